package forward

import (
	"math"
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
// One goroutine makes the calls, so they follow one another.
type pressure struct {
	limit atomic.Int64
	call  func(Level)

	held  atomic.Int64  // bytes
	level atomic.Uint32 // what call was told last; written by watch only
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
	if now := Level(p.level.Load()); p.next(held, now) != now {
		p.wake()
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

// watch makes the calls until quit is closed. It looks again after each: add may have
// seen the old state. While sweep says that there is more to do it is called again.
func (p *pressure) watch(sweep func() (more bool)) {
	timer := time.NewTimer(sweepEvery)
	timer.Stop()
	defer timer.Stop()
	armed := false
	for {
		for now := Level(p.level.Load()); ; {
			next := p.next(p.held.Load(), now)
			if next == now {
				break
			}
			now = next
			p.level.Store(uint32(now))
			p.call(now)
		}
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
