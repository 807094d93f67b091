package forward

import (
	"sync"
	"time"
)

// pool hands the scheduler's jobs to the workers. Its lock is only held to move lanes and
// workers between lists.
type pool struct {
	now    func() time.Duration
	opened func()        // called when the circuit breaker has opened, with no lock held
	expire func(*lane)   // called with an authorization whose time is over, with no lock held
	kick   chan struct{} // tells keep that armed has been set to an earlier instant

	mu    sync.Mutex
	sched scheduler
	// Workers without a job, by whether they have a connection. The last of a list has
	// waited shortest and is taken first, so that a light load stays on few connections
	// and the others are closed.
	warm, cold []*worker
	armed      time.Duration // when keep looks next
	stopped    bool

	held  bool          // no jobs are handed out; see Forwarder.Hold
	busy  int           // then, workers that have not reported yet
	quiet chan struct{} // closed when there is none; nil: it has been
}

func newPool(p *policy, window time.Duration, workers int, now func() time.Duration, opened func()) *pool {
	return &pool{
		now:    now,
		opened: opened,
		kick:   make(chan struct{}, 1),
		sched:  newScheduler(p, window, workers),
		armed:  never,
	}
}

// put takes a lane that can be attempted. A pool that has been stopped does not take it:
// Drain finds the events in their lanes.
func (p *pool) put(l *lane, now time.Duration) (taken bool) {
	p.mu.Lock()
	if p.stopped || l.gone {
		p.mu.Unlock()
		return false
	}
	p.sched.add(l, now)
	woken, early := p.assignLocked(now)
	p.mu.Unlock()
	p.wake(woken, early)
	return true
}

// report is what a worker says about a job that it has done.
type report struct {
	job     job
	outcome Outcome       // of an attempt or probe
	err     error         // of an attempt that got no answer
	began   time.Duration // when that began
	back    *lane         // a chain of lanes that have events left and can be attempted now
	again   *lane         // the lane, if the same is to be attempted again
	due     time.Duration // when to attempt it again; 0: now
}

// exchange takes w's reports, of which there are none at first, and returns its next job.
// It waits until there is one.
func (p *pool) exchange(w *worker, reports []report) job {
	now := p.now()
	opened := false
	p.mu.Lock()
	for i := range reports {
		opened = p.reportLocked(&reports[i], now) || opened
	}
	j, ok := p.nextLocked(w, now)
	woken, early := p.assignLocked(now)
	p.mu.Unlock()
	p.wake(woken, early)
	if opened {
		p.opened()
	}
	if !ok {
		<-w.wake
		j = w.job
	}
	return j
}

// nextLocked returns w's next job. If there is none it makes w idle.
func (p *pool) nextLocked(w *worker, now time.Duration) (j job, ok bool) {
	switch {
	case p.stopped:
		return job{kind: jobStop}, true
	case p.held:
		p.idleLocked(w, now)
		if w.awaited {
			w.awaited = false
			p.busy--
			p.quietenLocked()
		}
		return job{}, false
	case w.cut:
		w.cut, w.awaited = false, false
		return job{kind: jobHangUp}, true
	}
	if j, ok = p.sched.next(now); !ok {
		p.idleLocked(w, now)
	} else if len(p.warm)+len(p.cold) == 0 {
		p.sched.chain(j)
	}
	return j, ok
}

// reportLocked takes a report, and reports whether the circuit breaker has opened.
func (p *pool) reportLocked(r *report, now time.Duration) (opened bool) {
	if r.job.kind <= jobProbe {
		opened = p.sched.ended(r.job.kind, r.outcome, r.began, now)
	}
	for l := r.back; l != nil; {
		next := l.next
		l.next = nil
		p.sched.add(l, now)
		l = next
	}
	switch l := r.again; {
	case l == nil:
	case r.due > now:
		p.sched.addLater(l, r.due)
	default:
		p.sched.add(l, now)
	}
	return opened
}

func (p *pool) idleLocked(w *worker, now time.Duration) {
	w.idleSince = now
	if w.client.Connected() {
		p.warm = append(p.warm, w)
	} else {
		p.cold = append(p.cold, w)
	}
}

// assignLocked gives jobs to idle workers as long as there are both. The caller passes
// the results to wake after it has released the lock.
func (p *pool) assignLocked(now time.Duration) (woken *worker, early bool) {
	for !p.stopped && !p.held && len(p.warm)+len(p.cold) > 0 {
		j, ok := p.sched.next(now)
		if !ok {
			break
		}
		list := &p.warm
		if len(p.warm) == 0 {
			list = &p.cold
		}
		last := len(*list) - 1
		w := (*list)[last]
		*list = (*list)[:last]
		w.job, w.woken = j, woken
		woken = w
	}
	if at := p.wakeAtLocked(); at < p.armed {
		p.armed = at
		early = true
	}
	return woken, early
}

func (p *pool) wake(woken *worker, early bool) {
	for w := woken; w != nil; {
		next := w.woken // w's own again once it runs
		w.wake <- struct{}{}
		w = next
	}
	if early {
		select {
		case p.kick <- struct{}{}:
		default:
		}
	}
}

// reached closes the circuit breaker: a probe has got its connection.
func (p *pool) reached() {
	now := p.now()
	p.mu.Lock()
	p.sched.reached(now)
	woken, early := p.assignLocked(now)
	p.mu.Unlock()
	p.wake(woken, early)
}

// renew gives the scheduler its part of new terms. With hangUp it closes the connections
// of idle workers.
func (p *pool) renew(retryFor, linger time.Duration, hangUp bool) {
	p.mu.Lock()
	p.sched.window, p.sched.linger = retryFor, linger
	var woken *worker
	if hangUp {
		for _, w := range p.warm {
			w.job, w.woken = job{kind: jobHangUp}, woken
			woken = w
		}
		p.warm = p.warm[:0]
	}
	p.mu.Unlock()
	p.wake(woken, false)
}

// stop ends keep and the idle workers, and the others when they come for their next job.
func (p *pool) stop() {
	p.mu.Lock()
	p.stopped = true
	var woken *worker
	for _, list := range [...][]*worker{p.warm, p.cold} {
		for _, w := range list {
			w.job, w.woken = job{kind: jobStop}, woken
			woken = w
		}
	}
	p.warm, p.cold = nil, nil
	p.mu.Unlock()
	p.wake(woken, true)
}

// abandon takes the authorizations that have no answer, after the workers have ended.
func (p *pool) abandon() []*lane {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sched.abandon()
}

// down reports whether the app cannot be reached.
func (p *pool) down() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sched.down()
}

// gauges are what Stats wants to know about the pool.
type gauges struct {
	inFlight, waiting int
	down              bool
}

func (p *pool) gauges() gauges {
	p.mu.Lock()
	defer p.mu.Unlock()
	return gauges{inFlight: p.sched.inFlight, waiting: p.sched.waiting.Len(), down: p.sched.down()}
}

// lastShift sets down, and returns when the app went down or came back; 0: never.
func (p *pool) lastShift(down *bool) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &p.sched.breaker
	if *down = b.open; b.open {
		return b.since
	}
	return b.closed
}

// formed notes that a job has formed its batch.
func (p *pool) formed() {
	p.mu.Lock()
	p.sched.claimed -= int64(p.sched.limit)
	woken, early := p.assignLocked(p.now())
	p.mu.Unlock()
	p.wake(woken, early)
}

// look looks for jobs.
func (p *pool) look() {
	p.mu.Lock()
	woken, early := p.assignLocked(p.now())
	p.mu.Unlock()
	p.wake(woken, early)
}
