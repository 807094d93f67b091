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

// HerdConfig configures a Herd. Zero values mean the defaults named beside them.
type HerdConfig struct {
	Target netip.AddrPort // required
	Path   string         // default "/ws"
	Conns  int            // required
	First  int            // number of its first connection: several herds share source addresses and identities otherwise
	Header func(dst []byte, conn int) []byte

	Resume bool // who comes back goes on with its session, which the server must have given it

	Window   int           // handshakes under way at one time; default: all of them
	Backoff  time.Duration // before the next attempt after one that failed, doubled each time up to 16-fold; default 1 s
	Patience time.Duration // for the answer to a handshake or a close frame; default 10 s
}

// Herd is connections that leave and come back, many at once (a thundering herd), and
// are silent in between; messages that they get are counted. Whoever fails to come in tries
// again, as clients do. Its methods are for one goroutine at a time, but for Open
// and Messages.
type Herd struct {
	dialer      Dialer
	cfg         HerdConfig
	epoch       time.Time
	members     []member
	sessions    []session // with HerdConfig.Resume: of members
	timers      timers
	handshaking int  // handshakes under way
	leavingAll  bool // nobody comes in

	gathering Gathering
	open      atomic.Int64
	messages  atomic.Uint64
}

// member is one connection of a Herd.
type member struct {
	wanted   int64  // when it was to be open, on the herd's clock
	skip     int64  // bytes of a frame's payload to come
	timer    uint32 // which timer of its is the valid one
	attempts uint8
	greeted  bool // with HerdConfig.Resume: on this connection
	Link
}

// Gathering is how a herd came in.
type Gathering struct {
	Opened   int
	Attempts int                     // handshakes begun
	Answers  map[string]int          // refusals, by status line
	Failed   int                     // attempts that had no answer, or no connection
	Failure  string                  // the first of them
	Ended    int                     // open connections that the server ended
	Resumed  int                     // that went on with their session
	Times    *hdrhistogram.Histogram // nanoseconds from when a connection wanted in until it was open
}

// Refused is how many attempts were answered with something else than 101.
func (g Gathering) Refused() (n int) {
	for _, count := range g.Answers {
		n += count
	}
	return n
}

// NewHerd prepares a herd of which nobody is there yet. It must be closed.
func NewHerd(cfg HerdConfig) (*Herd, error) {
	if !cfg.Target.IsValid() || cfg.Conns < 1 {
		return nil, errors.New("load: a herd needs a target and connections")
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
	d, err := NewDialer(cfg.Target, cfg.Path, cfg.Header)
	h := &Herd{dialer: d, cfg: cfg, epoch: time.Now(), members: make([]member, cfg.Conns), gathering: newGathering()}
	if cfg.Resume {
		h.sessions = make([]session, cfg.Conns)
		h.dialer.header = func(dst []byte, conn int) []byte {
			if cfg.Header != nil {
				dst = cfg.Header(dst, conn)
			}
			return h.sessions[conn-cfg.First].appendOffer(dst)
		}
	}
	return h, err
}

func newGathering() Gathering {
	return Gathering{Answers: make(map[string]int), Times: newLatency()}
}

// SetWindow replaces the configured one from the next attempt on.
func (h *Herd) SetWindow(window int) {
	if window <= 0 {
		window = len(h.members)
	}
	h.cfg.Window = window
}

// Open is how many connections are open.
func (h *Herd) Open() int { return int(h.open.Load()) }

// Messages is how many data frames have come whole.
func (h *Herd) Messages() uint64 { return h.messages.Load() }

// Close drops what is there with a reset. It may be called twice.
func (h *Herd) Close() {
	if h.dialer.Poller == nil {
		return
	}
	h.Reset()
	h.dialer.Poller.Close()
	h.dialer.Poller = nil
}

// Reset drops all connections at once, as a network that goes away does.
func (h *Herd) Reset() {
	for i := range h.members {
		h.away(int32(i))
	}
	h.handshaking, h.timers = 0, nil
}

// Leave sends close frames on all open connections at once and returns when the
// server has ended them all; stuck are those that it had not after Patience.
func (h *Herd) Leave(ctx context.Context) (stuck int, err error) {
	h.leavingAll = true
	defer func() { h.leavingAll = false }()
	for i := range h.members {
		if h.members[i].state == open {
			h.leave(int32(i))
		}
	}
	failed := h.gathering.Failed
	err = h.run(ctx, func(int64) (time.Duration, bool) { return longest, h.count(leaving) == 0 })
	stuck = h.gathering.Failed - failed
	h.Reset() // whoever meant to come back as well
	return stuck, err
}

// Gather has all that are not open come in, at random times within spread, with
// 0 all at once, and returns when the last one is open, or with ctx's error.
func (h *Herd) Gather(ctx context.Context, spread time.Duration) (Gathering, error) {
	h.gathering = newGathering()
	now := h.now()
	for i := range h.members {
		if h.members[i].state == undialled {
			h.members[i].attempts = 0
			h.members[i].wanted = now + int64(rand.Float64()*float64(spread))
			h.wake(int32(i), h.members[i].wanted)
		}
	}
	err := h.run(ctx, func(int64) (time.Duration, bool) { return longest, h.Open() == len(h.members) })
	return h.gathering, err
}

// Listen takes what comes until done says so, which it is asked after each of some, or ctx
// ends.
func (h *Herd) Listen(ctx context.Context, done func() bool) error {
	return h.run(ctx, func(int64) (time.Duration, bool) { return longest, done() })
}

// Resumed is how many members have gone on with their session since Gather began.
func (h *Herd) Resumed() int { return h.gathering.Resumed }

// Churn has connections leave and come back, so many a second in turn, one with
// a close frame and the next with a reset, until ctx is done.
func (h *Herd) Churn(ctx context.Context, rate float64) (Gathering, error) {
	h.gathering = newGathering()
	began, turns := h.now(), 0
	interval := float64(time.Second) / max(rate, 1e-6)
	err := h.run(ctx, func(now int64) (time.Duration, bool) {
		for rate > 0 {
			if ahead := began + int64(float64(turns)*interval) - now; ahead > 0 {
				return time.Duration(ahead), false
			}
			h.turn(int32(turns%len(h.members)), turns%2 == 0)
			turns++
		}
		return longest, false
	})
	if ctx.Err() != nil {
		err = nil
	}
	return h.gathering, err
}

// turn has a member that is open leave, and come back at once.
func (h *Herd) turn(i int32, politely bool) {
	m := &h.members[i]
	if m.state != open {
		return
	}
	if politely {
		h.leave(i)
		return
	}
	h.away(i)
	h.again(i, h.now())
}

// run serves the herd until tick says that it is done. tick is told the time and
// says when it wants to be called again, at the latest.
func (h *Herd) run(ctx context.Context, tick func(now int64) (time.Duration, bool)) error {
	for {
		timeout, done := tick(h.now())
		if done {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		events, err := h.dialer.Poller.Wait(min(timeout, h.fire()))
		if err != nil {
			return fmt.Errorf("load: waiting for events: %w", err)
		}
		for i := range events {
			h.serve(events[i].Fd)
		}
	}
}

// fire does what is due by its timer, and returns the time to the next one.
func (h *Herd) fire() time.Duration {
	for dialled := 0; len(h.timers) > 0; {
		next, now := h.timers[0], h.now()
		m := &h.members[next.member]
		if next.number != m.timer {
			heap.Pop(&h.timers)
			continue
		}
		if next.at > now {
			return min(longest, time.Duration(next.at-now))
		}
		if m.state == undialled && h.handshaking >= h.cfg.Window {
			return longest // an event makes room
		}
		if dialled == burst {
			return 0 // answers have their turn
		}
		heap.Pop(&h.timers)
		switch {
		case m.state != undialled:
			h.fail(next.member, fmt.Errorf("%s had no answer in %v", what(m.state), h.cfg.Patience))
		case !h.leavingAll:
			h.attempt(next.member, m)
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
func (h *Herd) serve(i int32) {
	switch m := &h.members[i]; m.state {
	case connecting, shaking:
		h.opening(i, m)
	case open, leaving:
		h.receive(i, m)
	}
}

// wake sets the member's timer, which replaces the one before.
func (h *Herd) wake(i int32, at int64) {
	m := &h.members[i]
	m.timer++
	heap.Push(&h.timers, timer{at, i, m.timer})
}

// again has a member that is away come back at once.
func (h *Herd) again(i int32, now int64) {
	h.members[i].wanted, h.members[i].attempts = now, 0
	h.wake(i, now)
}

// away ends a connection from this side.
func (h *Herd) away(i int32) {
	m := &h.members[i]
	switch m.state {
	case undialled:
		return
	case connecting, shaking:
		h.handshaking--
	case open:
		h.open.Add(-1)
	}
	h.dialer.hangUp(&m.Link, i, undialled)
	m.skip, m.greeted = 0, false
	m.timer++
}

// fail ends an attempt, of which there is to be another.
func (h *Herd) fail(i int32, err error) {
	h.gathering.Failed++
	if h.gathering.Failure == "" {
		h.gathering.Failure = err.Error()
	}
	h.later(i)
}

// later ends an attempt and sets the time of the next.
func (h *Herd) later(i int32) {
	h.away(i)
	m := &h.members[i]
	h.wake(i, h.now()+int64(h.cfg.Backoff)<<min(m.attempts, 4))
	m.attempts = min(m.attempts+1, 4)
}

func (h *Herd) count(s state) (n int) {
	for i := range h.members {
		if h.members[i].state == s {
			n++
		}
	}
	return n
}

func (h *Herd) now() int64 { return int64(time.Since(h.epoch)) }

// timer is the time at which a member is to be looked at.
type timer struct {
	at     int64
	member int32
	number uint32
}

// timers is a heap.Interface, the next one first.
type timers []timer

func (a timers) Len() int           { return len(a) }
func (a timers) Less(i, j int) bool { return a[i].at < a[j].at }
func (a timers) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }

// Push and Pop are for package heap.
func (a *timers) Push(x any) { *a = append(*a, x.(timer)) }
func (a *timers) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}
