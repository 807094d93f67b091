package exposure

import (
	"net"
	"net/netip"
	"strings"
)

// Beyond reports whether a listener can be reached from other hosts, judging by the text
// of its address.
func Beyond(addr string) bool {
	if addr == "" || strings.HasPrefix(addr, "unix:") {
		return false
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil || strings.EqualFold(host, "localhost") {
		return err != nil
	}
	ip, err := netip.ParseAddr(host)
	return err != nil || !ip.Unmap().IsLoopback()
}
