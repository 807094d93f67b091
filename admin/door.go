package admin

import (
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// How many connections are served at a time. Peers of this host are counted
// apart, so that strangers can never take the app's places.
const (
	maxLocal  = 4096
	maxRemote = 1024
)

// door is where connections come in: it bounds them and knows them all. The
// zero value is open.
type door struct {
	empty sync.WaitGroup // the connections that are inside

	mu       sync.Mutex // guards following
	closed   bool
	inside   map[net.Conn]peer
	local    int
	remote   int
	refused  uint64
	entrance []*entrance
}

// entrance is a listener whose connections pass the door.
type entrance struct {
	net.Listener
	door *door
	log  zerolog.Logger
	once sync.Once
	done chan struct{}
}

// open lets connections of ln in, unless the door is shut, which closes ln.
func (d *door) open(ln net.Listener, log zerolog.Logger) *entrance {
	e := &entrance{Listener: ln, door: d, log: log, done: make(chan struct{})}
	d.mu.Lock()
	closed := d.closed
	if !closed {
		d.entrance = append(d.entrance, e)
	}
	d.mu.Unlock()
	if closed {
		e.Close()
	}
	return e
}

// shut closes all entrances for good.
func (d *door) shut() {
	d.mu.Lock()
	d.closed = true
	entrance := d.entrance
	d.entrance = nil
	d.mu.Unlock()
	for _, e := range entrance {
		e.Close()
	}
}

// cut closes the connections that are inside.
func (d *door) cut() {
	d.mu.Lock()
	conns := make([]net.Conn, 0, len(d.inside))
	for c := range d.inside {
		conns = append(conns, c)
	}
	d.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
}

// enter reports whether c may be served.
func (d *door) enter(c net.Conn) bool {
	from := peerOf(c.RemoteAddr())
	d.mu.Lock()
	defer d.mu.Unlock()
	count, limit := &d.local, maxLocal
	if from == remotePeer {
		count, limit = &d.remote, maxRemote
	}
	if d.closed || *count >= limit {
		d.refused++
		return false
	}
	*count++
	if d.inside == nil {
		d.inside = make(map[net.Conn]peer)
	}
	d.inside[c] = from
	d.empty.Add(1)
	return true
}

// leave is called once for each connection that entered.
func (d *door) leave(c net.Conn) {
	d.mu.Lock()
	from, ok := d.inside[c]
	if ok {
		delete(d.inside, c)
		if from == remotePeer {
			d.remote--
		} else {
			d.local--
		}
	}
	d.mu.Unlock()
	if ok {
		d.empty.Done()
	}
}

func (d *door) counts() (local, remote int, refused uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.local, d.remote, d.refused
}

// Accept returns the next connection that may be served. A shortage of
// descriptors or memory passes: the listener waits and says so once.
func (e *entrance) Accept() (net.Conn, error) {
	const longest = time.Second
	delay := time.Duration(0)
	for {
		c, err := e.Listener.Accept()
		switch {
		case err == nil && e.door.enter(c):
			return c, nil
		case err == nil:
			turnAway(c)
			continue
		case errors.Is(err, net.ErrClosed):
			return nil, net.ErrClosed // the very error that ends fasthttp's Serve in peace
		case !passing(err):
			return nil, err
		}
		if delay == 0 {
			delay = 5 * time.Millisecond
			e.log.Error().Err(err).Msg("cannot accept management connections: trying on")
		} else {
			delay = min(2*delay, longest)
		}
		select {
		case <-time.After(delay):
		case <-e.done:
			return nil, net.ErrClosed
		}
	}
}

// Close may be called more than once.
func (e *entrance) Close() (err error) {
	e.once.Do(func() {
		close(e.done)
		err = e.Listener.Close()
	})
	return err
}

// passing reports whether accept may succeed later.
func passing(err error) bool {
	for _, errno := range [...]unix.Errno{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.ECONNABORTED, unix.EINTR} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// turnAway answers a connection for which there is no room. What it sends fits
// every socket's empty buffer, so that this does not block.
func turnAway(c net.Conn) {
	body := appendError(nil, 503, "too many management connections")
	c.SetWriteDeadline(time.Now().Add(time.Second))
	c.Write(append([]byte("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: "+jsonType+
		"\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"), body...))
	c.Close()
}
