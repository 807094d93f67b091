package fan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"ws-gateway/bench/sock"
)

const (
	window  = 64                    // handshakes under way at one time
	longest = 50 * time.Millisecond // of a sleep, before ctx is looked at
)

// state of a connection until it is open: the handshake, and then an echo, which
// shows that the server has taken it in. Some answer the handshake first.
type state uint8

const (
	undialled state = iota
	connecting
	asked
	greeting
	open
)

type member struct {
	fd      int32
	matched int32 // bytes of the message under way that have arrived
	state   state
}

// Crowd holds connections to one server. It is for one goroutine.
type Crowd struct {
	target  netip.AddrPort
	busy    bool
	poller  *sock.Poller
	members []member
	buf     []byte
	heads   map[int32][]byte // answers to handshakes, until they are complete

	seq uint32 // broadcasts so far
}

// Connect opens n connections, one after the other but for a window. busy spins
// where it would sleep, so that the server never pays for waking this client. The
// Crowd must be closed.
func Connect(ctx context.Context, target netip.AddrPort, n int, busy bool) (*Crowd, error) {
	p, err := sock.NewPoller()
	if err != nil {
		return nil, fmt.Errorf("fan: creating an epoll: %w", err)
	}
	c := &Crowd{
		target: target, busy: busy, poller: p,
		members: make([]member, n), buf: make([]byte, 64<<10), heads: make(map[int32][]byte),
	}
	if err := c.connect(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Crowd) connect(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	dialled, opened := 0, 0
	for opened < len(c.members) {
		for ; dialled < len(c.members) && dialled-opened < window; dialled++ {
			if err := c.dial(int32(dialled)); err != nil {
				return fmt.Errorf("fan: connection %d: %w", dialled, err)
			}
		}
		events, err := c.next(ctx)
		if err != nil {
			return fmt.Errorf("fan: connecting (%d of %d are open): %w", opened, len(c.members), err)
		}
		for _, e := range events {
			done, err := c.shake(e.Fd)
			if err != nil {
				return fmt.Errorf("fan: connection %d: %w", e.Fd, err)
			}
			if done {
				opened++
			}
		}
	}
	return nil
}

// next waits for events, or for ctx.
func (c *Crowd) next(ctx context.Context) ([]unix.EpollEvent, error) {
	for {
		events, err := c.poller.Poll()
		if len(events) == 0 && err == nil && !c.busy {
			events, err = c.poller.Wait(longest)
		}
		if len(events) > 0 || err != nil {
			return events, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

func (c *Crowd) dial(i int32) error {
	fd, err := sock.Dial(c.target, source(c.target.Addr(), int(i)), 0)
	if err != nil {
		return err
	}
	c.members[i] = member{fd: int32(fd), state: connecting}
	return c.poller.Add(fd, i, unix.EPOLLOUT)
}

var errClosed = errors.New("the server closed the connection")

// shake takes a connection one step further, and tells whether it is open now.
func (c *Crowd) shake(i int32) (done bool, err error) {
	m := &c.members[i]
	switch m.state {
	case connecting:
		if err := m.write(request(c.target)); err != nil {
			return false, err
		}
		m.state = asked
		return false, c.poller.Modify(int(m.fd), i, unix.EPOLLIN)
	case asked:
		n, err := c.read(m)
		if err != nil || n == 0 {
			return false, err
		}
		head := append(c.heads[i], c.buf[:n]...)
		c.heads[i] = head
		through, err := checkAnswer(head)
		if err != nil || !through {
			return false, err
		}
		delete(c.heads, i)
		m.state = greeting
		return false, m.write(masked(hello))
	case greeting:
		if err := c.match(m, plain(hello)); err != nil || int(m.matched) < len(plain(hello)) {
			return false, err
		}
		m.state = open
		return true, nil
	default:
		n, err := c.read(m)
		if err == nil && n > 0 {
			err = fmt.Errorf("unasked for came %.80q", c.buf[:n])
		}
		return false, err
	}
}

// write is for what is small and goes out at once.
func (m *member) write(p []byte) error {
	if n, err := sock.Write(int(m.fd), p); n < len(p) {
		return fmt.Errorf("sending: the kernel took %d of %d bytes: %v", n, len(p), err)
	}
	return nil
}

// read returns 0 where nothing is there.
func (c *Crowd) read(m *member) (int, error) {
	n, err := sock.Read(int(m.fd), c.buf)
	switch {
	case sock.WouldBlock(err):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("reading: %w", err)
	case n == 0:
		return 0, errClosed
	default:
		return n, nil
	}
}

// match compares what has arrived with the frame that is due.
func (c *Crowd) match(m *member, frame []byte) error {
	n, err := c.read(m)
	if err != nil {
		return err
	}
	if got, want := c.buf[:n], frame[m.matched:]; !bytes.HasPrefix(want, got) {
		return fmt.Errorf("%q was due, %.80q came", want, got)
	}
	m.matched += int32(n)
	return nil
}

// Close drops all connections with a reset. It may be called twice.
func (c *Crowd) Close() {
	if c.poller == nil {
		return
	}
	for i := range c.members {
		if m := &c.members[i]; m.state != undialled {
			sock.HangUp(int(m.fd))
		}
	}
	c.poller.Close()
	c.poller = nil
}

// perSource is how many connections share a source address, as in package load.
const perSource = 4_000

func source(target netip.Addr, conn int) netip.Addr {
	if !target.Is4() || !target.IsLoopback() {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + conn/perSource)})
}
