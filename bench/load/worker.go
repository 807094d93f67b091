package load

import (
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"ws-gateway/bench/sock"
)

const (
	readBuffer = 256 << 10
	longest    = 50 * time.Millisecond // a worker sleeps at most, before it looks whether to stop
)

type state uint8

const (
	undialled  state = iota
	connecting       // TCP is being established
	shaking          // the request is out
	open
	failed
)

// conn is one connection. Counters of messages begin anew with each Exchange.
type conn struct {
	due      int64 // closed loop: when the message that is timed was sent, on the worker's clock
	fd       int32
	written  int32 // bytes of the frame under way that the kernel has taken
	matched  int32 // bytes of the reply under way that were right
	wanted   uint32
	sent     uint32
	received uint32
	timed    uint32 // count of sent messages with the one that is timed; 0: none is
	state    state
	armed    bool // EPOLLOUT is asked for
}

// worker drives its share of the connections. Whatever is not atomic belongs to
// the goroutine that runs a phase, or, between phases, to the Client's caller.
type worker struct {
	// Static after construction.
	cfg   *Config
	index int
	epoch time.Time
	host  string

	poller  *sock.Poller
	conns   []conn
	dialled int
	buf     []byte
	request []byte
	heads   map[int32][]byte // answers to handshakes that came in pieces
	lively  bool             // the last look at the epoll found something
	tally   *tally           // says which messages have been received; nil: replies do

	open atomic.Int64
	tid  atomic.Int64
	idle atomic.Int64 // nanoseconds spent in looks at the epoll that found nothing

	ex exchanging
}

func newWorker(cfg *Config, index int, epoch time.Time) (*worker, error) {
	p, err := sock.NewPoller()
	if err != nil {
		return nil, err
	}
	return &worker{
		cfg: cfg, index: index, epoch: epoch, host: cfg.Target.String(),
		poller: p, buf: make([]byte, readBuffer), heads: make(map[int32][]byte),
	}, nil
}

// number is the client-wide number of a connection.
func (w *worker) number(i int32) int { return int(i)*w.cfg.Threads + w.index }

// now is the worker's clock, in nanoseconds.
func (w *worker) now() int64 { return int64(time.Since(w.epoch)) }

// next returns events, waiting for them no longer than timeout.
func (w *worker) next(timeout time.Duration) ([]unix.EpollEvent, error) {
	if w.cfg.Busy {
		before := w.now()
		events, err := w.poller.Poll()
		if len(events) == 0 {
			w.idle.Add(w.now() - before)
		}
		return events, err
	}
	if w.lively {
		if events, err := w.poller.Poll(); len(events) > 0 || err != nil {
			return events, err
		}
	}
	events, err := w.poller.Wait(min(timeout, longest))
	w.lively = len(events) > 0
	return events, err
}

func (w *worker) connect(stop *atomic.Bool, share int) error {
	if missing := share - len(w.conns); missing > 0 {
		w.conns = append(w.conns, make([]conn, missing)...)
	}
	for int(w.open.Load()) < share && !stop.Load() {
		for w.dialled < share && w.dialled-int(w.open.Load()) < w.cfg.Window {
			if err := w.dial(int32(w.dialled)); err != nil {
				return err
			}
			w.dialled++
		}
		events, err := w.next(longest)
		if err != nil {
			return fmt.Errorf("load: waiting for events: %w", err)
		}
		for i := range events {
			if err := w.shake(events[i].Fd); err != nil {
				return fmt.Errorf("connection %d: %w", w.number(events[i].Fd), err)
			}
		}
	}
	return nil
}

func (w *worker) dial(i int32) error {
	n := w.number(i)
	fd, err := sock.Dial(w.cfg.Target, source(w.cfg.Target.Addr(), n), 0)
	if err != nil {
		return fmt.Errorf("load: connection %d: %w", n, err)
	}
	c := &w.conns[i]
	c.fd, c.state = int32(fd), connecting
	if err := w.ask(i, c); err != nil {
		return fmt.Errorf("connection %d: %w", n, err)
	}
	interest := uint32(unix.EPOLLIN)
	if c.state == connecting {
		interest = unix.EPOLLOUT
	}
	if err := w.poller.Add(fd, i, interest); err != nil {
		return fmt.Errorf("load: watching connection %d: %w", n, err)
	}
	return nil
}

// ask sends the opening handshake, if TCP is established by now.
func (w *worker) ask(i int32, c *conn) error {
	w.request = appendRequest(w.request[:0], w.host, w.cfg.Path, w.number(i), w.cfg.Header)
	n, err := sock.Write(int(c.fd), w.request)
	switch {
	case sock.WouldBlock(err):
		return nil
	case err != nil:
		return fmt.Errorf("load: sending the handshake to %v: %w", w.cfg.Target, err)
	case n < len(w.request):
		return fmt.Errorf("load: the kernel took only %d bytes of a handshake", n)
	}
	c.state = shaking
	return nil
}

// shake takes a connection one step further in its opening handshake.
func (w *worker) shake(i int32) error {
	c := &w.conns[i]
	switch c.state {
	case connecting:
		if err := w.ask(i, c); err != nil || c.state == connecting {
			return err
		}
		return w.poller.Modify(int(c.fd), i, unix.EPOLLIN)
	case shaking:
		return w.answered(i, c)
	default:
		return w.interruption(c)
	}
}

func (w *worker) answered(i int32, c *conn) error {
	n, err := sock.Read(int(c.fd), w.buf)
	switch {
	case sock.WouldBlock(err):
		return nil
	case err != nil:
		return fmt.Errorf("load: reading the answer to the handshake: %w", err)
	case n == 0:
		return fmt.Errorf("%w: the connection was closed", ErrRefused)
	}
	data, pieces := w.buf[:n], false
	if head, found := w.heads[i]; found {
		data, pieces = append(head, data...), true
	}
	length, err := checkResponse(data, w.number(i))
	switch {
	case err != nil:
		return err
	case length == 0:
		w.heads[i] = append([]byte(nil), data...)
		return nil
	case length < len(data):
		return fmt.Errorf("load: after the handshake came %s", describe(data[length:]))
	}
	if pieces {
		delete(w.heads, i)
	}
	c.state = open
	w.open.Add(1)
	return nil
}

// check looks at what has happened to connections that should be idle.
func (w *worker) check() error {
	for {
		events, err := w.poller.Poll()
		if err != nil || len(events) == 0 {
			return err
		}
		for i := range events {
			if events[i].Fd < 0 {
				return errTally
			}
			if err := w.interruption(&w.conns[events[i].Fd]); err != nil {
				return fmt.Errorf("connection %d: %w", w.number(events[i].Fd), err)
			}
		}
	}
}

// interruption reads what nobody asked for.
func (w *worker) interruption(c *conn) error {
	n, err := sock.Read(int(c.fd), w.buf)
	switch {
	case sock.WouldBlock(err):
		return nil
	case err != nil:
		return fmt.Errorf("load: an open connection broke: %w", err)
	case n == 0:
		return fmt.Errorf("load: an open connection was closed: %w", net.ErrClosed)
	default:
		return fmt.Errorf("load: an idle connection got %s", describe(w.buf[:n]))
	}
}

func (w *worker) close() {
	for i := range w.conns {
		if c := &w.conns[i]; c.state != undialled && c.state != failed {
			sock.HangUp(int(c.fd))
			c.state = failed
		}
	}
	w.open.Store(0)
	w.tally.close()
	w.poller.Close()
}
