// Package address knows what addresses of listeners mean: which of them one process
// cannot use together, and how this host reaches them. An address is host:port, in which
// an empty host stands for all addresses of the machine, or unix:/path. The package is
// pure and imports none of ours.
package address

import (
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// Clash reports whether a listener at a keeps others from listening at b, as far as the
// text tells. Port 0 takes a free one, localhost is 127.0.0.1, and which addresses other
// names have is not known.
func Clash(a, b string) bool {
	pathA, unixA := strings.CutPrefix(a, "unix:")
	pathB, unixB := strings.CutPrefix(b, "unix:")
	if unixA || unixB {
		return unixA && unixB && filepath.Clean(pathA) == filepath.Clean(pathB)
	}
	hostA, portA, okA := split(a)
	hostB, portB, okB := split(b)
	if !okA || !okB || portA != portB || portA == 0 {
		return false
	}
	if everything(hostA) || everything(hostB) || strings.EqualFold(hostA, hostB) {
		return true
	}
	ipA, okA := ipOf(hostA)
	ipB, okB := ipOf(hostB)
	if !okA || !okB {
		return false
	}
	return ipA == ipB
}

func split(addr string) (host string, port uint64, ok bool) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, false
	}
	port, err = strconv.ParseUint(text, 10, 16)
	return host, port, err == nil
}

// everything reports whether host stands for all addresses. Go listens at 0.0.0.0 as at
// [::], for IPv4 and IPv6.
func everything(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.Unmap().IsUnspecified()
}

func ipOf(host string) (netip.Addr, bool) {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
	}
	ip, err := netip.ParseAddr(host)
	return ip.Unmap(), err == nil
}
