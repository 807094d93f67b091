package load

import (
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// longest is how long a worker sleeps at most, before it looks whether to stop.
const longest = 50 * time.Millisecond

// conn is one connection. Counters of messages begin anew with each Exchange.
type conn struct {
	due int64 // closed loop: when the message that is timed was sent, on the worker's clock
	Link
	written  int32 // bytes of the frame under way that the kernel has taken
	matched  int32 // bytes of the reply under way that were right
	wanted   uint32
	sent     uint32
	received uint32
	timed    uint32 // count of sent messages with the one that is timed; 0: none is
}

// worker drives its share of the connections. Whatever is not atomic belongs to
// the goroutine that runs a phase, or, between phases, to the Client's caller.
type worker struct {
	// Static after construction.
	cfg   *Config
	index int
	epoch time.Time

	Dialer
	conns    []conn
	dialled  int
	lively   bool      // the last look at the epoll found something
	sessions []session // with Config.Resume: of conns
	ack      []byte
	tally    *Link // says which messages have been received; nil: replies do

	open atomic.Int64
	tid  atomic.Int64
	idle atomic.Int64 // nanoseconds spent in looks at the epoll that found nothing

	ex exchanging
}

func newWorker(cfg *Config, index int, epoch time.Time) (*worker, error) {
	d, err := NewDialer(cfg.Target, cfg.Path, cfg.Header)
	d.deflate, d.further = cfg.Deflate, cfg.Further
	w := &worker{cfg: cfg, index: index, epoch: epoch, Dialer: d}
	if cfg.Resume {
		w.header = w.offering(cfg.Header)
	}
	return w, err
}

// number is the client-wide number of a connection.
func (w *worker) number(i int32) int { return int(i)*w.cfg.Threads + w.index }

// now is the worker's clock, in nanoseconds.
func (w *worker) now() int64 { return int64(time.Since(w.epoch)) }

// next returns events, waiting for them no longer than timeout.
func (w *worker) next(timeout time.Duration) ([]unix.EpollEvent, error) {
	if w.cfg.Busy {
		before := w.now()
		events, err := w.Poller.Poll()
		if len(events) == 0 {
			w.idle.Add(w.now() - before)
		}
		return events, err
	}
	if w.lively {
		if events, err := w.Poller.Poll(); len(events) > 0 || err != nil {
			return events, err
		}
	}
	events, err := w.Poller.Wait(min(timeout, longest))
	w.lively = len(events) > 0
	return events, err
}

func (w *worker) connect(stop *atomic.Bool, share int) error {
	if missing := share - len(w.conns); missing > 0 {
		w.conns = append(w.conns, make([]conn, missing)...)
		if w.cfg.Resume {
			w.sessions = append(w.sessions, make([]session, missing)...)
		}
	}
	for int(w.open.Load()) < share && !stop.Load() {
		for w.dialled < share && w.dialled-int(w.open.Load()) < w.cfg.Window {
			i := int32(w.dialled)
			if err := w.Dial(&w.conns[i].Link, i, w.number(i)); err != nil {
				return fmt.Errorf("load: connection %d: %w", w.number(i), err)
			}
			w.dialled++
		}
		events, err := w.next(longest)
		if err != nil {
			return fmt.Errorf("load: waiting for events: %w", err)
		}
		for i := range events {
			if err := w.opening(events[i].Fd); err != nil {
				return fmt.Errorf("load: connection %d: %w", w.number(events[i].Fd), err)
			}
		}
	}
	return nil
}

// opening takes a connection one step further in its opening handshake.
func (w *worker) opening(i int32) error {
	c := &w.conns[i]
	var rest []byte
	var err error
	switch greeted := w.sessions == nil || w.sessions[i].token != nil; {
	case c.state == open && greeted:
		return w.interruption(i, c)
	case c.state == open:
		rest, err = w.Read(&c.Link, i)
	default:
		rest, err = w.Shake(&c.Link, i, w.number(i))
	}
	if err == nil && c.state == open && w.sessions != nil {
		rest, err = w.greet(i, rest)
	}
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("after the handshake came %s", describe(rest))
	}
	if err == nil && c.state == open && (w.sessions == nil || w.sessions[i].token != nil) {
		w.open.Add(1)
	}
	return err
}

// check looks at what has happened to connections that should be idle.
func (w *worker) check() error {
	for {
		events, err := w.Poller.Poll()
		if err != nil || len(events) == 0 {
			return err
		}
		for i := range events {
			if events[i].Fd < 0 {
				return errTally
			}
			if err := w.interruption(events[i].Fd, &w.conns[events[i].Fd]); err != nil {
				return fmt.Errorf("load: connection %d: %w", w.number(events[i].Fd), err)
			}
		}
	}
}

// interruption reads what nobody asked for.
func (w *worker) interruption(i int32, c *conn) error {
	data, err := w.Read(&c.Link, i)
	switch {
	case err != nil:
		return fmt.Errorf("an idle connection ended: %w", err)
	case len(data) > 0:
		return fmt.Errorf("an idle connection got %s", describe(data))
	default:
		return nil
	}
}

func (w *worker) close() {
	for i := range w.conns {
		if c := &w.conns[i]; c.state != undialled && c.state != failed {
			w.hangUp(&c.Link, int32(i), failed)
		}
	}
	w.open.Store(0)
	if w.tally != nil && w.tally.state == open {
		w.hangUp(w.tally, tallyIndex, failed)
	}
	w.Poller.Close()
}
