package admin

import (
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// How many connections are served at a time. Peers of this host are counted
// apart, so that strangers can never take the app's places.
const (
	maxLocal  = 4096
	maxRemote = 1024
)

// door is where connections come in: it bounds them, knows them all and shows
// them out. The zero value is open.
type door struct {
	closed atomic.Bool    // written with mu held
	empty  sync.WaitGroup // a goroutine for each connection inside

	mu      sync.Mutex // guards following
	inside  map[net.Conn]*visit
	local   int
	remote  int
	refused uint64
}

// visit is a connection's time inside.
type visit struct {
	from peer
	busy bool // a request is under way
}

// enter runs serve for c on a goroutine of its own, or turns c away.
func (d *door) enter(c net.Conn, serve func(net.Conn)) {
	v := &visit{from: peerOf(c.RemoteAddr())}
	d.mu.Lock()
	count, limit := d.places(v.from)
	if d.closed.Load() || *count >= limit {
		d.refused++
		d.mu.Unlock()
		turnAway(c)
		return
	}
	*count++
	if d.inside == nil {
		d.inside = make(map[net.Conn]*visit)
	}
	d.inside[c] = v
	d.empty.Go(func() {
		defer d.leave(c)
		serve(c)
	})
	d.mu.Unlock()
}

// places returns the count and the limit that hold for a peer. mu is held.
func (d *door) places(from peer) (count *int, limit int) {
	if from == remotePeer {
		return &d.remote, maxRemote
	}
	return &d.local, maxLocal
}

func (d *door) leave(c net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	count, _ := d.places(d.inside[c].from)
	*count--
	delete(d.inside, c)
}

// busy notes whether c has a request under way. Once the door is closed a
// connection without one ends.
func (d *door) busy(c net.Conn, busy bool) {
	d.mu.Lock()
	d.inside[c].busy = busy
	d.mu.Unlock()
	if !busy && d.closed.Load() {
		c.Close()
	}
}

// shut lets nobody in any more and ends the connections without a request.
func (d *door) shut() {
	d.end(func(v *visit) bool { return !v.busy })
}

// cut ends all connections.
func (d *door) cut() {
	d.end(func(*visit) bool { return true })
}

func (d *door) end(which func(*visit) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed.Store(true)
	for c, v := range d.inside {
		if which(v) {
			c.Close()
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
