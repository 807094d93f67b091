package forward

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Level says how much of Config.Memory is in use, and so what may still be accepted.
type Level uint8

const (
	Relaxed Level = iota // connections within their share are read
	Stopped              // no connection is read; there is room for opens and closes
	Full                 // there is no room
)

// pressure watches how much memory the waiting events hold, and shares it out.
//
// Three quarters of the limit are for shares: events of one connection may take a quarter
// of what is left of these, and past that it is not read. So busy connections come to
// have the same share each, and four times that is free for newcomers. The more there are
// the less each has, down to one event. A connection above its share is not read until
// its events have gone out. The next eighth is for such single events; at its end no
// connection is read. The last eighth is for opens and closes.
//
// Whoever appends the event that raises the level makes the call, at once: on a busy
// machine, until another goroutine had its turn, each connection could append one more
// event, and nothing would be left of the last eighth. watch makes the other calls. Calls
// never overlap.
type pressure struct {
	limit atomic.Int64
	call  func(Level)
	mu    sync.Mutex // held by whoever makes calls

	held  atomic.Int64  // bytes
	level atomic.Uint32 // what the last call said; written with mu held
	look  chan struct{} // has one place; a value says that watch may have something to do
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

// move sets another limit.
func (p *pressure) move(limit int64) {
	p.limit.Store(limit)
	p.wake()
}

// tell makes the calls that are due, only those for rises or all of them, and reports
// whether none is left. It looks again after each call, because add may have seen the old
// level. The caller holds mu.
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

// over reports whether watch has ended or is about to. Then there are no more calls.
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

// share is how many bytes of events one connection may have.
func (p *pressure) share() int64 {
	if p == nil {
		return math.MaxInt64
	}
	limit := p.limit.Load()
	return max(limit-limit/4-p.held.Load(), 0) / shareOf
}

// next is the level for so many bytes, coming from level now.
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

// sweepEvery is how often to look at connections that are over their share although none
// of their events go out: others may have left enough free by now.
const sweepEvery = time.Second

// watch makes the calls until quit is closed. It calls sweep again as long as sweep says
// that there is more to do.
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
