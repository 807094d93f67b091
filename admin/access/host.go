package access

import (
	"bytes"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"
)

// hostKind is what a host name says about how a request reached us.
type hostKind uint8

const (
	foreignHost  hostKind = iota // a name, which may be in a stranger's DNS zone
	addressHost                  // an IP address
	loopbackHost                 // localhost, or an IP address of the loopback
)

// hostOf classifies the Host header. A page that was rebound to our address still sends
// the name under which it was loaded, and no DNS zone has an IP address or localhost as a
// name. In HTTP/1.0 the header is optional; that version is older than the attack.
func hostOf(h *fasthttp.RequestHeader) hostKind {
	host := h.Host()
	if len(host) == 0 && !h.IsHTTP11() {
		return addressHost
	}
	if usual(host) {
		return loopbackHost
	}
	return hostKindOf(string(host))
}

// usual reports whether the host is one of those that most callers name, for which no copy
// is needed.
func usual(host []byte) bool {
	if i := bytes.IndexByte(host, ':'); i >= 0 && digits(host[i+1:]) {
		host = host[:i]
	}
	return string(host) == "127.0.0.1" || string(host) == "localhost"
}

// hostKindOf classifies a host with or without a port.
func hostKindOf(host string) hostKind {
	if name, port, ok := cutPort(host); ok && digits(port) {
		host = name
	}
	if host = strings.TrimSuffix(host, "."); len(host) == len("localhost") && strings.EqualFold(host, "localhost") {
		return loopbackHost
	}
	bracketed := len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']'
	if bracketed {
		host = host[1 : len(host)-1]
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case err != nil, bracketed && !addr.Is6():
		return foreignHost
	case addr.Unmap().IsLoopback():
		return loopbackHost
	}
	return addressHost
}

// cutPort splits "name:port"; a bare IPv6 address has no port.
func cutPort(host string) (name, port string, ok bool) {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.IndexByte(host[:i], ':') >= 0 && host[i-1] != ']' {
		return host, "", false
	}
	return host[:i], host[i+1:], true
}

func digits[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
