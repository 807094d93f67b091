package forward

import (
	"context"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// settleLimit is how long Settle waits at most: an answer that has arrived is
// dealt with in microseconds, unless the process has no time at all.
const settleLimit = time.Second

// Settle returns once every answer of the app that has arrived has been dealt
// with: Config.Reply, or the done function of Authorize, has returned. So what the
// app asks for after it has answered an event comes after what its answer says,
// if Settle is called first. Keys limits it to these connections. It waits for no
// answer that has not arrived, for a second at most, and until ctx is done.
//
// Unless Config has Reply or Settles it does nothing.
func (f *Forwarder) Settle(ctx context.Context, keys ...uint64) {
	if !f.cfg.Settles {
		return
	}
	var limit <-chan time.Time
	for _, w := range f.workers {
		for {
			dealt := w.link.watch.arrived(keys)
			if dealt == nil {
				break
			}
			if limit == nil {
				timer := time.NewTimer(settleLimit)
				defer timer.Stop()
				limit = timer.C
			}
			select {
			case <-dealt:
			case <-limit:
				return
			case <-ctx.Done():
				return
			}
		}
	}
}

// watch lets others see how far a worker has come with an exchange. The trick is
// that the worker takes bytes off the socket under the lock: whoever holds it sees
// an answer either in the socket or in the worker's hands.
type watch struct {
	busy atomic.Bool   // an exchange is under way; it ends when its answer has been dealt with
	key  atomic.Uint64 // whose

	mu      sync.Mutex      // guards the following
	raw     syscall.RawConn // nil where the connection has no descriptor
	starved bool            // the worker holds nothing of the answer that it has not understood
	waiting []chan struct{} // closed when either changes for the better
}

// begin and end enclose an exchange. A nil *watch is watched by nobody.
func (w *watch) begin(key uint64) {
	if w == nil {
		return
	}
	w.mu.Lock()
	w.starved = true
	w.mu.Unlock()
	w.key.Store(key)
	w.busy.Store(true)
}

func (w *watch) end() {
	if w == nil {
		return
	}
	w.busy.Store(false)
	w.mu.Lock()
	w.wakeLocked()
	w.mu.Unlock()
}

func (w *watch) wakeLocked() {
	for _, c := range w.waiting {
		close(c)
	}
	w.waiting = nil
}

// arrived returns nil, or, where the answer to one of keys (none: any) has arrived
// and has not been dealt with, a channel that is closed when it is time to ask
// again.
func (w *watch) arrived(keys []uint64) <-chan struct{} {
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

// conn makes c's reads visible.
func (w *watch) conn(c net.Conn) net.Conn {
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

// watchedConn is a connection whose reads a watch sees.
type watchedConn struct {
	net.Conn
	watch *watch
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

// read takes what is there; false makes the runtime wait for more.
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
