package forward

import "sync/atomic"

// pressure watches how much memory the waiting events hold. One goroutine makes
// the calls, so they follow one another and alternate.
type pressure struct {
	limit atomic.Int64
	call  func(on bool)

	held atomic.Int64  // bytes
	on   atomic.Bool   // what call was told last; written by watch only
	look chan struct{} // has one place: held has crossed a mark
	quit chan struct{}
}

func newPressure(limit int64, call func(on bool)) *pressure {
	p := &pressure{call: call, look: make(chan struct{}, 1), quit: make(chan struct{})}
	p.limit.Store(limit)
	return p
}

// add counts n bytes more, or fewer.
func (p *pressure) add(n int64) {
	if held := p.held.Add(n); p.crossed(held, p.on.Load()) {
		select {
		case p.look <- struct{}{}:
		default:
		}
	}
}

// crossed reports whether so many bytes call for a change.
func (p *pressure) crossed(held int64, on bool) bool {
	if on {
		return held <= p.limit.Load()/2
	}
	return held > p.limit.Load()
}

// watch makes the calls until quit is closed. It looks again after each: add
// may have seen the old state.
func (p *pressure) watch() {
	for {
		for on := p.on.Load(); p.crossed(p.held.Load(), on); on = !on {
			p.on.Store(!on)
			p.call(!on)
		}
		select {
		case <-p.look:
		case <-p.quit:
			return
		}
	}
}
