package callback

import (
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
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
	err := raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		ok = err != unix.EAGAIN
	})
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
	watched := &watchedConn{Conn: c, watch: w, raw: raw}
	watched.take = watched.read // once, so that a read allocates nothing
	return watched
}

// watchedConn is a connection whose reads a Watch sees.
type watchedConn struct {
	net.Conn
	watch *Watch
	raw   syscall.RawConn
	take  func(fd uintptr) bool

	// Of the read under way.
	p   []byte
	n   int
	err error
}

func (c *watchedConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.p = p
	err := c.raw.Read(c.take)
	c.p = nil
	switch {
	case err != nil:
		return 0, err
	case c.err != nil:
		return 0, &net.OpError{Op: "read", Net: c.RemoteAddr().Network(), Err: os.NewSyscallError("read", c.err)}
	case c.n == 0:
		return 0, io.EOF
	}
	return c.n, nil
}

// read reads what is there; false makes the runtime wait for more.
func (c *watchedConn) read(fd uintptr) (done bool) {
	w := c.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		c.n, c.err = unix.Read(int(fd), c.p)
		if c.err != unix.EINTR {
			break
		}
	}
	if w.starved = c.err == unix.EAGAIN; w.starved {
		w.wakeLocked()
	}
	return !w.starved
}
