package access

import (
	"net"
	"net/netip"
)

// Peer is where a connection comes from.
type Peer struct {
	Place   Place
	Network netip.Prefix // its address, of IPv6 the /64 network; the zero value is the unix socket
}

// Place is how far away a peer is.
type Place uint8

const (
	Remote   Place = iota // another host, as far as one can tell
	Loopback              // TCP from this host, or from a container of the same pod
	Unix                  // a process that may open the socket's file
)

// PeerOf returns the peer with the given address.
func PeerOf(addr net.Addr) Peer {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		if _, ok := addr.(*net.UnixAddr); ok {
			return Peer{Place: Unix}
		}
		return Peer{}
	}
	ip := tcp.AddrPort().Addr().Unmap()
	place, bits := Remote, ip.BitLen()
	if ip.IsLoopback() {
		place = Loopback
	} else if ip.Is6() {
		bits = 64
	}
	network, _ := ip.WithZone("").Prefix(bits) // zero for an address that is none
	return Peer{place, network}
}

// String is the peer in the log.
func (p Peer) String() string {
	switch {
	case !p.Network.IsValid():
		return "unix socket"
	case p.Network.IsSingleIP():
		return p.Network.Addr().String()
	}
	return p.Network.String()
}
