package load

import "net/netip"

// perSource is how many connections share a source address. Towards one
// destination the kernel has some 28,000 ports for each; long before they run
// out it searches ever longer for a free one.
const perSource = 4_000

// source is the address that connection number conn comes from: 127.0.0.1,
// 127.0.0.2 and so on towards an IPv4 loopback address, elsewhere the zero Addr,
// which leaves the choice to the kernel.
func source(target netip.Addr, conn int) netip.Addr {
	if !target.Is4() || !target.IsLoopback() {
		return netip.Addr{}
	}
	n := conn / perSource
	return netip.AddrFrom4([4]byte{127, 0, byte(n / 250), byte(1 + n%250)})
}
