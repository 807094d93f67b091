package forward

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Level says how much of Config.Memory is taken, for those who bring events.
type Level uint8

const (
	Relaxed Level = iota // connections are read that are within their share
	Stopped              // no connection is read; there is room for opens and closes
	Full                 // there is none
)

// pressure watches how much memory the waiting events hold, and shares it out.
//
// Of the limit, three quarters are for shares: a connection may have a quarter of what
// is left of these waiting, and is not read past it. So n that are busy come to have
// the same, and four times that is free for who comes. The more come the less each
// has, down to one event; who is above it is not read until what waits has gone out.
// The next eighth is for such single events, and at its end nobody is read. The last
// is for opens and closes.
//
// A rise is told by who brings the event that makes it, at once: until another
// goroutine had its turn on a busy machine, each of the others could bring an event
// more, and nothing would be left of the last eighth. The rest is told by watch. The
// calls follow one another.
type pressure struct {
	limit atomic.Int64
	call  func(Level)
	mu    sync.Mutex // held by who makes calls

	held  atomic.Int64  // bytes
	level atomic.Uint32 // what call was told last; written with mu held
	look  chan struct{} // has one place: there may be something to do for watch
	quit  chan struct{}
}

func newPressure(limit int64, call func(Level)) *pressure {
	p := &pressure{call: call, look: make(chan struct{}, 1), quit: make(chan struct{})}
	p.limit.Store(limit)
	return p
}

// add counts n bytes more, or fewer.
func (p *pressure) add(n int64) {
	held := p.held.Add(n)
	now := Level(p.level.Load())
	switch next := p.next(held, now); {
	case next == now:
	case next > now && p.mu.TryLock():
		calm := p.tell(true)
		p.mu.Unlock()
		if !calm {
			p.wake()
		}
	default:
		p.wake()
	}
}

// tell makes the calls that are due, rises alone or all of them, and reports whether
// none is left. It looks again after each: add may have seen the old level. The caller
// holds mu.
func (p *pressure) tell(rises bool) (calm bool) {
	for now := Level(p.level.Load()); ; {
		next := p.next(p.held.Load(), now)
		if next == now || rises && (next < now || p.over()) {
			return next == now
		}
		now = next
		p.level.Store(uint32(now))
		p.call(now)
	}
}

// over reports whether watch has ended, or is about to: then nobody is called.
func (p *pressure) over() bool {
	select {
	case <-p.quit:
		return true
	default:
		return false
	}
}

func (p *pressure) wake() {
	select {
	case p.look <- struct{}{}:
	default:
	}
}

const shareOf = 4

// share is how much one connection may have waiting.
func (p *pressure) share() int64 {
	if p == nil {
		return math.MaxInt64
	}
	limit := p.limit.Load()
	return max(limit-limit/4-p.held.Load(), 0) / shareOf
}

// next is the level at which so many bytes are, coming from another.
func (p *pressure) next(held int64, now Level) Level {
	limit := p.limit.Load()
	step := limit / 16
	switch {
	case held > limit, now == Full && held > limit-step:
		return Full
	case held > limit-2*step, now >= Stopped && held > limit-3*step:
		return Stopped
	default:
		return Relaxed
	}
}

// sweepEvery is how often connections are looked at that are over their share and of
// which nothing goes out: what others have left free may be enough by now.
const sweepEvery = time.Second

// watch makes the calls until quit is closed. While sweep says that there is more to do
// it is called again.
func (p *pressure) watch(sweep func() (more bool)) {
	timer := time.NewTimer(sweepEvery)
	timer.Stop()
	defer timer.Stop()
	armed := false
	for {
		p.mu.Lock()
		p.tell(false)
		p.mu.Unlock()
		select {
		case <-p.look:
			if !armed {
				armed = true
				timer.Reset(sweepEvery)
			}
		case <-timer.C:
			if armed = sweep(); armed {
				timer.Reset(sweepEvery)
			}
		case <-p.quit:
			return
		}
	}
}
