package directory

import (
	"net/netip"
	"sync/atomic"
	"unique"

	"ws-gateway/netpoll"
)

// Session is what is kept of one connection. It lies in its loop's slab at the
// connection's slot, so nothing maps connections to sessions. There may be a
// million of them, and each byte counts.
type Session struct {
	// Immutable while listed, except that the loop changes Headers, the address and away
	// with the stripe's lock held: see Renew and SetAway. The loop reads them as it likes; other goroutines only
	// while they hold the lock of the session's stripe and have found it listed.
	User      string                // set by Join; one string for all sessions of a user
	Headers   string                // of the handshake, packed: what goes with the connection's events
	Agent     unique.Handle[string] // User-Agent
	connected int64                 // Unix nanoseconds, strictly increasing within a stripe
	addr      [16]byte
	port      uint16
	away      bool // its client has lost its transport and may come back

	// Owned by the loop. The directory does not look at it.
	Fresh bool   // Headers have changed since the last event
	Seq   uint32 // number of the last event

	// listed says that the session is in the directory, and in which stripe. It is
	// written under the stripe's lock and may be read without.
	listed atomic.Uint64

	// Guarded by the stripe's lock.
	next, prev ref    // the user's sessions, in the order of joining
	entry      uint32 // the user, in the stripe's entries

	// Owned by the loop, as Seq is; here it fills up the last 8 bytes.
	Groups uint32 // its memberships, in the loop's groups.Table; 0: none
}

// SetRemote sets the client's address.
func (s *Session) SetRemote(a netip.AddrPort) {
	s.addr, s.port = a.Addr().As16(), a.Port()
}

// Remote returns the client's address and port, IPv4 unmapped.
func (s *Session) Remote() netip.AddrPort { return remote(s.addr, s.port) }

// Addr returns the client's address, IPv4 in the form that is mapped to IPv6.
func (s *Session) Addr() netip.Addr { return netip.AddrFrom16(s.addr) }

// Kept returns how many bytes of the handshake the session keeps. A User-Agent
// counts for each session, although those that are alike are kept once.
func (s *Session) Kept() int { return len(s.User) + len(s.Headers) + len(s.Agent.Value()) }

// Connected returns when the session has joined, in Unix nanoseconds.
func (s *Session) Connected() int64 { return s.connected }

// Away reports whether the client is away. Only the session's loop may call it.
func (s *Session) Away() bool { return s.away }

// Release drops the strings, so that an unused slot keeps nothing alive.
func (s *Session) Release() {
	s.User, s.Headers, s.Agent = "", "", unique.Handle[string]{}
}

// ref names a session by loop and slot: a netpoll.ID without the generation. It
// must only be followed while the session cannot leave.
type ref uint32

// nobody is no session. It is the ref of the last slot of the last loop that the
// layout of an ID allows, which no real session comes near.
const nobody = ^ref(0)

func refOf(id netpoll.ID) ref { return ref(id >> 32) }

func (r ref) id(generation uint32) netpoll.ID {
	return netpoll.ID(uint64(r)<<32 | uint64(generation))
}

// listing is the value of Session.listed: generation and stripe of a session that
// is in the directory, 0 for one that is not. A generation is never used twice, so
// if it is the same before and after, it was the same all the time.
type listing uint64

func makeListing(generation uint32, stripe uint8) listing {
	return listing(uint64(generation)<<8 | uint64(stripe))
}

func (l listing) generation() uint32 { return uint32(l >> 8) }
func (l listing) stripe() uint8      { return uint8(l) }

func (s *Session) listing() listing { return listing(s.listed.Load()) }
