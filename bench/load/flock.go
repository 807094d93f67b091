package load

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// FlockConfig configures a Flock. Zero values mean the defaults named beside them.
type FlockConfig struct {
	Target netip.AddrPort // required
	Path   string         // default "/ws"
	Conns  int            // required
	First  int            // number of its first connection: several flocks share source addresses and identities otherwise
	Header func(dst []byte, conn int) []byte

	Window   int           // handshakes under way at one time; default: all of them
	Backoff  time.Duration // before the next attempt after one that failed, doubled each time up to 16-fold; default 1 s
	Patience time.Duration // for the answer to a handshake or a close frame; default 10 s
}

// Flock is connections that leave and come back, many at once, and are silent
// in between; messages that they get are counted. Whoever fails to come in tries
// again, as clients do. Its methods are for one goroutine at a time, but for Open
// and Messages.
type Flock struct {
	dialer
	cfg     FlockConfig
	epoch   time.Time
	birds   []bird
	alarms  alarms
	landing int  // handshakes under way
	staying bool // nobody comes in

	gathering Gathering
	open      atomic.Int64
	messages  atomic.Uint64
}

// bird is one connection of a flock.
type bird struct {
	wanted   int64  // when it was to be open, on the flock's clock
	skip     int64  // bytes of a frame's payload to come
	alarm    uint32 // which alarm of its is the valid one
	attempts uint8
	link
}

// Gathering is how a flock came in.
type Gathering struct {
	Opened   int
	Attempts int                     // handshakes begun
	Answers  map[string]int          // refusals, by status line
	Failed   int                     // attempts that had no answer, or no connection
	Failure  string                  // the first of them
	Ended    int                     // open connections that the server ended
	Times    *hdrhistogram.Histogram // nanoseconds from when a connection wanted in until it was open
}

// Refused is how many attempts were answered with something else than 101.
func (g Gathering) Refused() (n int) {
	for _, count := range g.Answers {
		n += count
	}
	return n
}

// NewFlock prepares a flock of which nobody is there yet. It must be closed.
func NewFlock(cfg FlockConfig) (*Flock, error) {
	if !cfg.Target.IsValid() || cfg.Conns < 1 {
		return nil, errors.New("load: a flock needs a target and connections")
	}
	if cfg.Window <= 0 {
		cfg.Window = cfg.Conns
	}
	if cfg.Backoff <= 0 {
		cfg.Backoff = time.Second
	}
	if cfg.Patience <= 0 {
		cfg.Patience = 10 * time.Second
	}
	d, err := newDialer(cfg.Target, cfg.Path, cfg.Header)
	return &Flock{dialer: d, cfg: cfg, epoch: time.Now(), birds: make([]bird, cfg.Conns), gathering: newGathering()}, err
}

func newGathering() Gathering {
	return Gathering{Answers: make(map[string]int), Times: newLatency()}
}

// SetWindow replaces the configured one from the next attempt on.
func (f *Flock) SetWindow(window int) {
	if window <= 0 {
		window = len(f.birds)
	}
	f.cfg.Window = window
}

// Open is how many connections are open.
func (f *Flock) Open() int { return int(f.open.Load()) }

// Messages is how many data frames have come whole.
func (f *Flock) Messages() uint64 { return f.messages.Load() }

// Close drops what is there with a reset. It may be called twice.
func (f *Flock) Close() {
	if f.poller == nil {
		return
	}
	f.Reset()
	f.poller.Close()
	f.poller = nil
}

// Reset drops all connections at once, as a network that goes away does.
func (f *Flock) Reset() {
	for i := range f.birds {
		f.away(int32(i))
	}
	f.landing, f.alarms = 0, nil
}

// Leave sends close frames on all open connections at once and returns when the
// server has ended them all; stuck are those that it had not after Patience.
func (f *Flock) Leave(ctx context.Context) (stuck int, err error) {
	f.staying = true
	defer func() { f.staying = false }()
	for i := range f.birds {
		if f.birds[i].state == open {
			f.leave(int32(i))
		}
	}
	failed := f.gathering.Failed
	err = f.run(ctx, func(int64) (time.Duration, bool) { return longest, f.count(leaving) == 0 })
	stuck = f.gathering.Failed - failed
	f.Reset() // whoever meant to come back as well
	return stuck, err
}

// Gather has all that are not open come in, at random times within spread, with
// 0 all at once, and returns when the last one is open, or with ctx's error.
func (f *Flock) Gather(ctx context.Context, spread time.Duration) (Gathering, error) {
	f.gathering = newGathering()
	now := f.now()
	for i := range f.birds {
		if f.birds[i].state == undialled {
			f.birds[i].attempts = 0
			f.birds[i].wanted = now + int64(rand.Float64()*float64(spread))
			f.wake(int32(i), f.birds[i].wanted)
		}
	}
	err := f.run(ctx, func(int64) (time.Duration, bool) { return longest, f.Open() == len(f.birds) })
	return f.gathering, err
}

// Churn has connections leave and come back, so many a second in turn, one with
// a close frame and the next with a reset, until ctx is done.
func (f *Flock) Churn(ctx context.Context, rate float64) (Gathering, error) {
	f.gathering = newGathering()
	began, turns := f.now(), 0
	interval := float64(time.Second) / max(rate, 1e-6)
	err := f.run(ctx, func(now int64) (time.Duration, bool) {
		for rate > 0 {
			if ahead := began + int64(float64(turns)*interval) - now; ahead > 0 {
				return time.Duration(ahead), false
			}
			f.turn(int32(turns%len(f.birds)), turns%2 == 0)
			turns++
		}
		return longest, false
	})
	if ctx.Err() != nil {
		err = nil
	}
	return f.gathering, err
}

// turn has a bird that is open leave, and come back at once.
func (f *Flock) turn(i int32, politely bool) {
	b := &f.birds[i]
	if b.state != open {
		return
	}
	if politely {
		f.leave(i)
		return
	}
	f.away(i)
	f.again(i, f.now())
}

// run serves the flock until tick says that it is done. tick is told the time and
// says when it wants to be called again, at the latest.
func (f *Flock) run(ctx context.Context, tick func(now int64) (time.Duration, bool)) error {
	for {
		timeout, done := tick(f.now())
		if done {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		events, err := f.poller.Wait(min(timeout, f.ring()))
		if err != nil {
			return fmt.Errorf("load: waiting for events: %w", err)
		}
		for i := range events {
			f.serve(events[i].Fd)
		}
	}
}

// ring does what alarms say that are due, and returns the time to the next one.
func (f *Flock) ring() time.Duration {
	for dialled := 0; len(f.alarms) > 0; {
		next, now := f.alarms[0], f.now()
		b := &f.birds[next.bird]
		if next.number != b.alarm {
			heap.Pop(&f.alarms)
			continue
		}
		if next.at > now {
			return min(longest, time.Duration(next.at-now))
		}
		if b.state == undialled && f.landing >= f.cfg.Window {
			return longest // an event makes room
		}
		if dialled == burst {
			return 0 // answers have their turn
		}
		heap.Pop(&f.alarms)
		switch {
		case b.state != undialled:
			f.fail(next.bird, fmt.Errorf("%s had no answer in %v", what(b.state), f.cfg.Patience))
		case !f.staying:
			f.attempt(next.bird, b)
			dialled++
		}
	}
	return longest
}

func what(s state) string {
	if s == leaving {
		return "a close frame"
	}
	return "a handshake"
}

// serve takes a connection on whose socket something has happened.
func (f *Flock) serve(i int32) {
	switch b := &f.birds[i]; b.state {
	case connecting, shaking:
		f.opening(i, b)
	case open, leaving:
		f.receive(i, b)
	}
}

// wake sets the bird's alarm, which replaces the one before.
func (f *Flock) wake(i int32, at int64) {
	b := &f.birds[i]
	b.alarm++
	heap.Push(&f.alarms, alarm{at, i, b.alarm})
}

// again has a bird that is away come back at once.
func (f *Flock) again(i int32, now int64) {
	f.birds[i].wanted, f.birds[i].attempts = now, 0
	f.wake(i, now)
}

// away ends a connection from this side.
func (f *Flock) away(i int32) {
	b := &f.birds[i]
	switch b.state {
	case undialled:
		return
	case connecting, shaking:
		f.landing--
	case open:
		f.open.Add(-1)
	}
	f.hangUp(&b.link, i, undialled)
	b.skip = 0
	b.alarm++
}

// fail ends an attempt, of which there is to be another.
func (f *Flock) fail(i int32, err error) {
	f.gathering.Failed++
	if f.gathering.Failure == "" {
		f.gathering.Failure = err.Error()
	}
	f.later(i)
}

// later ends an attempt and sets the time of the next.
func (f *Flock) later(i int32) {
	f.away(i)
	b := &f.birds[i]
	f.wake(i, f.now()+int64(f.cfg.Backoff)<<min(b.attempts, 4))
	b.attempts = min(b.attempts+1, 4)
}

func (f *Flock) count(s state) (n int) {
	for i := range f.birds {
		if f.birds[i].state == s {
			n++
		}
	}
	return n
}

func (f *Flock) now() int64 { return int64(time.Since(f.epoch)) }

// alarm is the time at which a bird is to be looked at.
type alarm struct {
	at     int64
	bird   int32
	number uint32
}

// alarms is a heap.Interface, the next one first.
type alarms []alarm

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].at < a[j].at }
func (a alarms) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }

// Push and Pop are for package heap.
func (a *alarms) Push(x any) { *a = append(*a, x.(alarm)) }
func (a *alarms) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}
