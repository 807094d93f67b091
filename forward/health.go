package forward

import "time"

// keptFailures is how many of the last failures are remembered.
const keptFailures = 16

// Failure is an event that failed for good: its name and why, never what is in it.
type Failure struct {
	Time      time.Time
	RequestID string
	Action    string
	Attempts  int
	Status    int // of the app's last answer; 0: there was none
	Reason    Outcome
}

// Health is what the callbacks tell about the app.
type Health struct {
	App      string    // its URL, without the query
	Down     bool      // it refuses connections
	Since    time.Time // the beginning of the outage; else the end of the last one, zero if there was none
	Trouble  *Trouble  // nil: it takes events, as far as anybody knows
	Failures []Failure // the newest first, at most 16
}

// Health returns a snapshot.
func (f *Forwarder) Health() Health {
	h := Health{App: f.terms.Load().target.Name, Failures: f.failures.latest(), Trouble: f.observer.state()}
	if since := f.pool.lastShift(&h.Down); since > 0 {
		h.Since = time.Now().Add(since - f.now())
	}
	return h
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

// rememberLocked keeps a failure for Health.
func (f *failures) rememberLocked(e *event, o Outcome, status int) {
	f.recent[f.count%keptFailures] = Failure{
		Time: time.Now(), RequestID: string(e.requestID()), Action: e.action.String(),
		Attempts: e.attempts, Status: status, Reason: o,
	}
	f.count++
}

// latest returns what is remembered, the newest first.
func (f *failures) latest() []Failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := make([]Failure, 0, min(f.count, keptFailures))
	for i := range cap(last) {
		last = append(last, f.recent[(f.count-1-i)%keptFailures])
	}
	return last
}
