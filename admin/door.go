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

	"ws-gateway/netpoll"
)

// How many connections are served at a time. Peers of this host are counted
// apart, so that strangers can never take the app's places.
const (
	maxLocal  = 4096
	maxRemote = 1024

	// maxPeer is how many of the strangers' places one address may have: nobody can
	// take them all.
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
	from    map[netip.Addr]int // strangers, by address
	refused uint64
}

// caller is a connection that is inside.
type caller struct {
	net.Conn
	from peer   // immutable
	nth  uint64 // in the order of entering; immutable

	shown    bool                    // out, for others; guarded by the door's mu, as the following
	gone     chan struct{}           // where it was shown out: closed when its goroutine ends
	busy     bool                    // a request is under way
	unread   bool                    // a body was left unread; for the connection's goroutine only, as the following
	heard    bool                    // something has been read
	mistaken *netpoll.HandshakeError // the first bytes were of another protocol

	clock            func() time.Duration // Config.Clock; nil: the wall's
	reading, writing allowance
}

func callerOf(ctx *fasthttp.RequestCtx) *caller { return ctx.Conn().(*caller) }

// enter runs serve for c on a goroutine of its own, or turns c away.
func (d *door) enter(conn net.Conn, clock func() time.Duration, serve func(*caller)) {
	c := &caller{Conn: conn, from: peerOf(conn.RemoteAddr()), clock: clock}
	d.mu.Lock()
	count, limit := d.places(c.from)
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
	d.countIn(c)
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
		// places. It had no request, its connection is closed: it goes at once.
		<-gone
	}
}

// places returns the count and the limit that hold for a peer. mu is held.
func (d *door) places(from peer) (count *int, limit int) {
	switch {
	case d.most > 0:
		return &d.local, d.most
	case from == remotePeer:
		return &d.remote, maxRemote
	}
	return &d.local, maxLocal
}

// showOut makes a place by ending the oldest connection without a request, where
// all have the same right to one. What it returns is closed when that one is no
// longer served; nil where there is none. mu is held.
func (d *door) showOut() (gone <-chan struct{}) {
	var oldest *caller
	if d.most == 0 {
		return nil
	}
	for c := range d.inside {
		if !c.busy && (oldest == nil || c.nth < oldest.nth) {
			oldest = c
		}
	}
	if oldest == nil {
		return nil
	}
	d.remove(oldest)
	d.refused++
	oldest.gone = make(chan struct{})
	oldest.Conn.Close()
	return oldest.gone
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
	count, _ := d.places(c.from)
	*count--
	d.countOut(c)
	delete(d.inside, c)
}

// crowded reports whether c is a stranger whose address has maxPeer places already.
// mu is held.
func (d *door) crowded(c *caller) bool {
	a, ok := addressOf(c)
	return ok && d.from[a] >= maxPeer
}

// countIn counts a stranger by address. mu is held.
func (d *door) countIn(c *caller) {
	if a, ok := addressOf(c); ok {
		if d.from == nil {
			d.from = make(map[netip.Addr]int)
		}
		d.from[a]++
	}
}

// countOut undoes countIn. mu is held.
func (d *door) countOut(c *caller) {
	if a, ok := addressOf(c); ok {
		if d.from[a]--; d.from[a] == 0 {
			delete(d.from, a)
		}
	}
}

// addressOf is the address of a stranger.
func addressOf(c *caller) (netip.Addr, bool) {
	a, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok || c.from != remotePeer {
		return netip.Addr{}, false
	}
	return a.AddrPort().Addr().Unmap(), true
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
