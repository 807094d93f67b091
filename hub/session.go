package hub

import (
	"net/netip"
	"sync/atomic"
	"unique"

	"ws-gateway/netpoll"
)

// session is what the hub knows of one connection. It lies in its loop's slab
// at the connection's slot, so nothing maps connections to sessions, and it is
// kept small: a million of them is the size to think of.
type session struct {
	// Immutable while listed. The loop reads them as it likes; any goroutine may
	// that holds the lock of the session's stripe and has found it listed.
	user      string                // shared by the user's sessions
	cookie    string                // what goes with its events, packed; shared by them
	agent     unique.Handle[string] // User-Agent
	connected int64                 // Unix nanoseconds, strictly increasing within a stripe
	addr      [16]byte
	port      uint16

	// Owned by the loop.
	seq uint32 // number of the last event

	// listed says that the session is in the directory, and where. It is written
	// under the stripe's lock and may be read without.
	listed atomic.Uint64

	// Guarded by the stripe's lock.
	next, prev ref    // the user's sessions, in the order of joining
	entry      uint32 // the user, in the stripe's entries
}

// ref names a session by loop and slot: what a netpoll.ID says without the
// generation. It must only be followed where the session cannot go meanwhile.
type ref uint32

// nobody is no session. It is the ref of the last slot of the last loop that the
// layout of an ID allows, which nothing gets near to.
const nobody = ^ref(0)

func refOf(id netpoll.ID) ref { return ref(id >> 32) }

func (r ref) id(generation uint32) netpoll.ID {
	return netpoll.ID(uint64(r)<<32 | uint64(generation))
}

// listing is the value of session.listed: generation and stripe of a session
// that is in the directory, 0 of one that is not. A generation is never used
// twice, so what was once equal and is equal again never changed in between.
type listing uint64

func makeListing(generation uint32, stripe uint8) listing {
	return listing(uint64(generation)<<8 | uint64(stripe))
}

func (l listing) generation() uint32 { return uint32(l >> 8) }
func (l listing) stripe() uint8      { return uint8(l) }

func (s *session) listing() listing { return listing(s.listed.Load()) }

func (s *session) setRemote(a netip.AddrPort) {
	s.addr, s.port = a.Addr().As16(), a.Port()
}

func (s *session) remoteAddr() netip.Addr { return netip.AddrFrom16(s.addr) }

// remote is a client's address, IPv4 unmapped.
func remote(addr [16]byte, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(addr).Unmap(), port)
}

// appendAddr appends a client's address as it is shown to others: without a port
// where none is known.
func appendAddr(dst []byte, a netip.AddrPort) []byte {
	if a.Port() == 0 {
		return a.Addr().AppendTo(dst)
	}
	return a.AppendTo(dst)
}

// kept is how many bytes of the handshake the session keeps. A User-Agent counts
// with each session although those that are alike are kept once.
func (s *session) kept() int { return len(s.user) + len(s.cookie) + len(s.agent.Value()) }

// release drops what the session holds, so that an unused slot keeps nothing
// alive.
func (s *session) release() {
	s.user, s.cookie, s.agent = "", "", unique.Handle[string]{}
}
