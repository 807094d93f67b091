package forward

import "time"

// idleTimeout is how long a worker keeps a connection that it does not use. Node's and
// uvicorn's servers close one after 5 s. It is shorter than that, because they may close
// it while a POST is on its way.
const idleTimeout = 4 * time.Second

// keep does what is due by time, until stop.
func (p *pool) keep() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-p.kick:
		}
		now := p.now()
		p.mu.Lock()
		if p.stopped {
			p.mu.Unlock()
			return
		}
		hangUp := p.retireLocked(now)
		expired := p.expiredLocked(now)
		woken, _ := p.assignLocked(now)
		p.armed = p.wakeAtLocked()
		wait := p.armed - now
		p.mu.Unlock()
		p.wake(hangUp, false)
		p.wake(woken, false)
		for _, l := range expired {
			p.expire(l)
		}
		timer.Reset(wait)
	}
}

// wakeAtLocked is when keep has something to do, unless a worker does it first.
func (p *pool) wakeAtLocked() time.Duration {
	at := p.sched.expiresAt()
	if len(p.warm)+len(p.cold) > 0 && !p.held { // otherwise the first worker that is idle looks, or goOn does
		at = min(at, p.sched.wakeAt())
	}
	if len(p.warm) > 0 {
		at = min(at, p.warm[0].idleSince+idleTimeout)
	}
	return at
}

func (p *pool) expiredLocked(now time.Duration) (lanes []*lane) {
	for l := p.sched.expired(now); l != nil; l = p.sched.expired(now) {
		lanes = append(lanes, l)
	}
	return lanes
}

// retireLocked takes workers off the list that have not used their connection for
// idleTimeout.
func (p *pool) retireLocked(now time.Duration) (woken *worker) {
	n := 0
	for n < len(p.warm) && p.warm[n].idleSince+idleTimeout <= now {
		w := p.warm[n]
		w.job, w.woken = job{kind: jobHangUp}, woken
		woken = w
		n++
	}
	p.warm = append(p.warm[:0], p.warm[n:]...)
	return woken
}

// hurry moves forward to latest what waits for a later instant.
func (p *pool) hurry(latest time.Duration) {
	p.mu.Lock()
	p.sched.hurry(latest)
	woken, early := p.assignLocked(p.now())
	p.mu.Unlock()
	p.wake(woken, early)
}

// hasten ends all lingering.
func (p *pool) hasten() {
	p.mu.Lock()
	p.sched.linger, p.sched.due = 0, 0
	p.mu.Unlock()
	p.look()
}
