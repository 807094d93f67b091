package admin

import (
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"ws-gateway/admin/access"
	"ws-gateway/netpoll/wire"
)

// How many connections are served at a time. Peers of this host are counted
// apart, so that strangers can never take the app's places.
const (
	maxLocal  = 4096
	maxRemote = 1024

	// maxPeer is how many of the strangers' places one address may have, or one
	// IPv6 network: nobody can take them all.
	maxPeer = maxRemote / 4
)

// door is where connections come in: it bounds them, knows them all and shows
// them out. The zero value is open.
type door struct {
	most int // connections, whoever they are from; 0: those above. Static.

	closed atomic.Bool    // written with mu held
	empty  sync.WaitGroup // a goroutine for each connection inside

	mu      sync.Mutex // guards following
	inside  map[*caller]struct{}
	entered uint64
	local   int
	remote  int
	from    map[netip.Prefix]int // how many of each peer's
	refused uint64
}

// caller is a connection that is inside.
type caller struct {
	net.Conn
	peer access.Peer   // immutable, as the following
	nth  uint64        // in the order of entering
	out  chan struct{} // closed when it is shown out; nil behind a door that shows nobody out

	shown    bool                 // out, for others; guarded by the door's mu, as the following
	gone     chan struct{}        // where it was shown out: closed when its goroutine ends
	busy     bool                 // a request is under way
	held     bool                 // its place is its own
	unread   bool                 // a body was left unread; for the connection's goroutine only, as the following
	heard    bool                 // something has been read
	mistaken *wire.HandshakeError // the first bytes were of another protocol

	clock            func() time.Duration // Config.Clock; nil: the wall's
	reading, writing allowance
}

func callerOf(ctx *fasthttp.RequestCtx) *caller { return ctx.Conn().(*caller) }

// enter runs serve for c on a goroutine of its own, or turns c away.
func (d *door) enter(conn net.Conn, clock func() time.Duration, serve func(*caller)) {
	c := &caller{Conn: conn, peer: access.PeerOf(conn.RemoteAddr()), clock: clock}
	if d.most > 0 {
		c.out = make(chan struct{})
	}
	d.mu.Lock()
	count, limit := d.places(c.peer.Place)
	refuse := d.closed.Load() || d.crowded(c)
	var gone <-chan struct{}
	if !refuse && *count >= limit {
		gone = d.showOut()
		refuse = gone == nil
	}
	if refuse {
		d.refused++
		d.mu.Unlock()
		turnAway(conn)
		return
	}
	*count++
	if d.from == nil {
		d.from = make(map[netip.Prefix]int)
	}
	d.from[c.peer.Network]++
	if d.inside == nil {
		d.inside = make(map[*caller]struct{})
	}
	d.entered++
	c.nth = d.entered
	d.inside[c] = struct{}{}
	d.empty.Go(func() {
		defer d.leave(c)
		serve(c)
	})
	d.mu.Unlock()
	if gone != nil {
		// Who comes faster than others leave must not have more served than there are
		// places. Whatever it waited for, its connection is closed: it goes at once.
		<-gone
	}
}

// places returns the count and the limit that hold for a peer. mu is held.
func (d *door) places(from access.Place) (count *int, limit int) {
	switch {
	case d.most > 0:
		return &d.local, d.most
	case from == access.Remote:
		return &d.remote, maxRemote
	}
	return &d.local, maxLocal
}

// showOut makes a place where all have the same right to one: it ends the oldest
// connection of the peer who has most. So whoever takes many pays for it, and not a
// probe that has one. What it returns is closed when that one is no longer served;
// nil where all are held. mu is held.
func (d *door) showOut() (gone <-chan struct{}) {
	var out *caller
	if d.most == 0 {
		return nil
	}
	for c := range d.inside {
		if !c.held && (out == nil || d.before(c, out)) {
			out = c
		}
	}
	if out == nil {
		return nil
	}
	d.remove(out)
	d.refused++
	out.gone = make(chan struct{})
	close(out.out)
	out.Conn.Close()
	return out.gone
}

// before reports whether a goes rather than b. mu is held.
func (d *door) before(a, b *caller) bool {
	if ofA, ofB := d.from[a.peer.Network], d.from[b.peer.Network]; ofA != ofB {
		return ofA > ofB
	}
	return a.nth < b.nth
}

// hold says whether c's place is its own, which it may be for a moment. It returns
// false once c has been shown out.
func (d *door) hold(c *caller, held bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	c.held = held
	return !c.shown
}

func (d *door) leave(c *caller) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !c.shown {
		d.remove(c)
	}
	if c.gone != nil {
		close(c.gone)
	}
}

// remove takes a connection off the books. mu is held.
func (d *door) remove(c *caller) {
	c.shown = true
	count, _ := d.places(c.peer.Place)
	*count--
	if d.from[c.peer.Network]--; d.from[c.peer.Network] == 0 {
		delete(d.from, c.peer.Network)
	}
	delete(d.inside, c)
}

// crowded reports whether c is a stranger whose peer has maxPeer places already.
// mu is held.
func (d *door) crowded(c *caller) bool {
	return d.most == 0 && c.peer.Place == access.Remote && d.from[c.peer.Network] >= maxPeer
}

// busy notes whether c has a request under way. Once the door is closed a
// connection without one ends.
func (d *door) busy(c *caller, busy bool) {
	d.mu.Lock()
	c.busy = busy
	d.mu.Unlock()
	if !busy && d.closed.Load() {
		c.Conn.Close()
	}
}

// shut lets nobody in any more and ends the connections without a request.
func (d *door) shut() {
	d.end(func(c *caller) bool { return !c.busy })
}

// cut ends all connections.
func (d *door) cut() {
	d.end(func(*caller) bool { return true })
}

func (d *door) end(which func(*caller) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed.Store(true)
	for c := range d.inside {
		if which(c) {
			c.Conn.Close()
		}
	}
}

func (d *door) counts() (local, remote int, refused uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.local, d.remote, d.refused
}

// turnAway answers a connection for which there is no room. What it sends fits
// every socket's empty buffer, so that the accepting goroutine is not held up.
func turnAway(c net.Conn) {
	body := appendError(nil, 503, "too many management connections")
	head := "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: " + jsonType +
		"\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n"
	c.SetWriteDeadline(time.Now().Add(time.Second))
	c.Write(append([]byte(head), body...))
	c.Close()
}

const (
	lingerTime  = time.Second
	lingerBytes = 16 << 20
)

// Close ends the connection, for the goroutine that serves it. What a client is
// still sending is read for a while: closing over unread bytes resets the
// connection, and the client may never read why its request was refused.
func (c *caller) Close() error {
	if c.unread {
		if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
			half.CloseWrite()
		}
		c.Conn.SetReadDeadline(time.Now().Add(lingerTime))
		io.CopyN(io.Discard, c.Conn, lingerBytes)
	}
	return c.Conn.Close()
}
