package callback

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"ws-gateway/exchange"
)

// Watch lets other goroutines see how far an exchange has come. The trick is that bytes
// are read off the socket under the lock: whoever holds the lock finds an answer either
// in the socket or in the hands of the goroutine that reads it.
type Watch struct {
	busy atomic.Bool   // an exchange is under way; it ends when its answer has been dealt with
	key  atomic.Uint64 // whose

	mu      sync.Mutex      // guards the following
	raw     syscall.RawConn // nil if the connection has no descriptor
	starved bool            // nothing of the answer has been read that the reader has not understood
	waiting []chan struct{} // closed when either changes for the better
}

// Begin and End enclose an exchange for the connection with that key; it ends when its
// answer has been dealt with. On a nil *Watch they do nothing.
func (w *Watch) Begin(key uint64) {
	if w == nil {
		return
	}
	w.mu.Lock()
	w.starved = true
	w.mu.Unlock()
	w.key.Store(key)
	w.busy.Store(true)
}

// End ends the exchange.
func (w *Watch) End() {
	if w == nil {
		return
	}
	w.busy.Store(false)
	w.mu.Lock()
	w.wakeLocked()
	w.mu.Unlock()
}

func (w *Watch) wakeLocked() {
	for _, c := range w.waiting {
		close(c)
	}
	w.waiting = nil
}

// Arrived returns nil unless the answer to an exchange for one of keys, or for any if
// there are none, has arrived and has not been dealt with. Then it returns a channel
// that is closed when it is time to ask again.
func (w *Watch) Arrived(keys []uint64) <-chan struct{} {
	if !w.busy.Load() || len(keys) > 0 && !slices.Contains(keys, w.key.Load()) {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.busy.Load() || w.raw == nil || w.starved && !readable(w.raw) {
		return nil
	}
	c := make(chan struct{})
	w.waiting = append(w.waiting, c)
	return c
}

// readable reports whether a read would not have to wait: for bytes, the end of
// the stream or an error.
func readable(raw syscall.RawConn) (ok bool) {
	err := raw.Control(func(fd uintptr) { ok = exchange.Pending(fd) })
	return err == nil && ok // with an error it is being closed: its exchange is at its end
}

// conn makes reads of c visible.
func (w *Watch) conn(c net.Conn) net.Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.raw, w.starved = nil, true // what came on the connection before is over
	w.wakeLocked()
	s, ok := c.(syscall.Conn)
	if !ok {
		return c
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return c
	}
	w.raw = raw
	watched := &watchedConn{Conn: c}
	watched.socket.Receive = w.receive
	watched.socket.Use(c)
	return watched
}

// watchedConn is a connection whose reads a Watch sees.
type watchedConn struct {
	net.Conn
	socket exchange.Socket
}

func (c *watchedConn) Read(p []byte) (int, error) { return c.socket.Read(p) }

// receive reads what is there, for all to see.
func (w *Watch) receive(fd uintptr, p []byte) (n int, errno syscall.Errno) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, errno = exchange.Receive(fd, p)
	if w.starved = errno == unix.EAGAIN; w.starved {
		w.wakeLocked()
	}
	return n, errno
}
