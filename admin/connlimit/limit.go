package connlimit

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"ws-gateway/admin/access"
)

// Config of a Limit.
type Config struct {
	Local   int // connections from this host
	Remote  int // connections from elsewhere
	PerPeer int // of these, connections of one address or IPv6 /64 network

	// Any is how many connections there may be from anywhere, instead of these three. One
	// more ends another, see Limit.evict.
	Any int

	// Refusal is written to a connection for which there is no room. It must fit into a
	// socket's empty buffer, so that the accepting goroutine does not wait.
	Refusal []byte

	// Clock is the time in which the process runs, from some instant on; nil: the wall's
	// clock.
	Clock func() time.Duration
}

// Limit bounds how many connections are served at a time.
type Limit struct {
	cfg    Config
	closed atomic.Bool    // written with mu held
	empty  sync.WaitGroup // a goroutine for each connection

	mu      sync.Mutex // guards following
	conns   map[*Conn]struct{}
	peers   map[netip.Prefix]int // how many connections each peer has
	started uint64
	local   int // with Config.Any, all
	remote  int
	busy    int
	refused uint64
}

// New returns a limit without connections.
func New(cfg Config) *Limit {
	return &Limit{cfg: cfg, conns: make(map[*Conn]struct{}), peers: make(map[netip.Prefix]int)}
}

// Serve runs serve for a connection on a goroutine of its own, or turns the connection
// away.
func (l *Limit) Serve(conn net.Conn, serve func(*Conn)) {
	c := &Conn{Conn: conn, Peer: access.PeerOf(conn.RemoteAddr()), clock: l.cfg.Clock, limit: l}
	if l.cfg.Any > 0 {
		c.Evicted = make(chan struct{})
	}
	l.mu.Lock()
	count, limit := l.counter(c)
	refuse := l.closed.Load() || l.peerIsFull(c)
	var ended <-chan struct{}
	if !refuse && *count >= limit {
		ended = l.evict()
		refuse = ended == nil
	}
	if refuse {
		l.refused++
		l.mu.Unlock()
		conn.SetWriteDeadline(time.Now().Add(time.Second))
		conn.Write(l.cfg.Refusal)
		conn.Close()
		return
	}
	*count++
	l.peers[c.Peer.Network]++
	l.started++
	c.nth = l.started
	l.conns[c] = struct{}{}
	l.empty.Go(func() {
		defer l.end(c)
		serve(c)
	})
	l.mu.Unlock()
	if ended != nil {
		// Connections that come faster than evicted ones end must not exceed the limit.
		// Whatever the evicted one waited for, its socket is closed: it ends at once.
		<-ended
	}
}

// counter returns the count in which a connection is, and the limit of that. mu is held.
func (l *Limit) counter(c *Conn) (count *int, limit int) {
	switch {
	case l.cfg.Any > 0:
		return &l.local, l.cfg.Any
	case c.Peer.Place == access.Remote:
		return &l.remote, l.cfg.Remote
	}
	return &l.local, l.cfg.Local
}

// peerIsFull reports whether a connection is of a remote peer that has its part already.
// mu is held.
func (l *Limit) peerIsFull(c *Conn) bool {
	return l.cfg.Any == 0 && c.Peer.Place == access.Remote && l.peers[c.Peer.Network] >= l.cfg.PerPeer
}

// evict ends the oldest connection of the peer that has most, so that whoever takes many
// pays for it, and not a probe that has one. The result is closed when that connection is
// no longer served; it is nil if none can be ended. mu is held.
func (l *Limit) evict() (ended <-chan struct{}) {
	if l.cfg.Any == 0 {
		return nil
	}
	var out *Conn
	for c := range l.conns {
		if !c.held && (out == nil || l.goesBefore(c, out)) {
			out = c
		}
	}
	if out == nil {
		return nil
	}
	l.remove(out)
	l.refused++
	out.ended = make(chan struct{})
	close(out.Evicted)
	out.Conn.Close()
	return out.ended
}

// goesBefore reports whether a is evicted rather than b. mu is held.
func (l *Limit) goesBefore(a, b *Conn) bool {
	if ofA, ofB := l.peers[a.Peer.Network], l.peers[b.Peer.Network]; ofA != ofB {
		return ofA > ofB
	}
	return a.nth < b.nth
}

// Hold says whether c is safe from eviction, which it may be for a moment. It returns false
// once c has been evicted.
func (l *Limit) Hold(c *Conn, held bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.held = held
	return !c.removed
}

// end is the end of c's goroutine.
func (l *Limit) end(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !c.removed {
		l.remove(c)
	}
	if c.ended != nil {
		close(c.ended)
	}
}

// remove stops counting c. mu is held.
func (l *Limit) remove(c *Conn) {
	l.setBusy(c, false)
	c.removed = true
	count, _ := l.counter(c)
	*count--
	if l.peers[c.Peer.Network]--; l.peers[c.Peer.Network] == 0 {
		delete(l.peers, c.Peer.Network)
	}
	delete(l.conns, c)
}

// SetBusy notes whether c has a request under way. Once the limit is shut, a connection
// without one is closed.
func (l *Limit) SetBusy(c *Conn, busy bool) {
	l.mu.Lock()
	l.setBusy(c, busy)
	l.mu.Unlock()
	if !busy && l.closed.Load() {
		c.flush() // if it fails the connection has ended
		c.Conn.Close()
	}
}

func (l *Limit) setBusy(c *Conn, busy bool) {
	if c.busy == busy || c.removed {
		return
	}
	c.busy = busy
	if busy {
		l.busy++
	} else {
		l.busy--
	}
}

// Shut turns new connections away from now on, and closes those without a request. One whose
// answer has still to be sent ends itself after that.
func (l *Limit) Shut() {
	l.close(func(c *Conn) bool { return !c.busy && !c.later.waits.Load() })
}

// Cut is Shut, and closes all connections.
func (l *Limit) Cut() { l.close(func(*Conn) bool { return true }) }

func (l *Limit) close(which func(*Conn) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed.Store(true)
	for c := range l.conns {
		if which(c) {
			c.Conn.Close()
		}
	}
}

// Closed reports whether Shut or Cut was called.
func (l *Limit) Closed() bool { return l.closed.Load() }

// Wait returns when no connection is served any more.
func (l *Limit) Wait() { l.empty.Wait() }

// Counts of a Limit.
type Counts struct {
	Local   int    // connections from this host; with Config.Any, all
	Remote  int    // connections from elsewhere
	Busy    int    // of both, those with a request under way
	Refused uint64 // connections turned away or evicted
}

// Counts returns them.
func (l *Limit) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Counts{Local: l.local, Remote: l.remote, Busy: l.busy, Refused: l.refused}
}
