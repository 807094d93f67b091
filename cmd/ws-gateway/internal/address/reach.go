package address

import (
	"net"
	"strconv"
	"strings"
)

// IsTCP reports whether addr is host:port, with a host that may be empty and a port that
// is a number.
func IsTCP(addr string) bool {
	host, _, ok := split(addr)
	return ok && !strings.ContainsAny(host, " /")
}

// URL is how a process of this host reaches what listens at addr, which IsTCP.
func URL(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	switch ip := net.ParseIP(host); {
	case host == "" || ip.Equal(net.IPv4zero):
		host = "127.0.0.1" // not localhost: an empty container need not know it
	case ip.IsUnspecified():
		host = "::1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// IsPort reports whether a URL's port can be one. An empty one is the scheme's.
func IsPort(port string) bool {
	_, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil
}
