package forward

import "time"

// rampStep is the longest that the number of attempts in flight stays the same while it
// grows after an outage.
const rampStep = 100 * time.Millisecond

// breaker is the circuit breaker that keeps all but one from trying an app that cannot
// be reached. While it is open one probe at a time, with back-off, finds out whether the
// app is back (elsewhere called half-open). Once it has closed it lets attempts through
// in growing numbers: twice as many whenever those before have ended, or after rampStep.
// It is a pure state machine; its owner passes the time.
type breaker struct {
	policy *policy
	full   int // attempts in flight without an outage

	open    bool
	since   time.Duration // when it opened
	closed  time.Duration // when it last closed
	probing bool          // a probe is on its way
	probes  int           // that failed since it opened, including the attempt that opened it
	probed  time.Duration // when the last of them ended
	probeAt time.Duration // when the next one is due

	limit  int           // attempts in flight
	stepAt time.Duration // when limit doubles
}

func newBreaker(p *policy, full int) breaker { return breaker{policy: p, full: full, limit: full} }

// unreachable notes that an attempt, begun at began, got no connection. It reports
// whether that has opened the breaker.
func (b *breaker) unreachable(now, began time.Duration, probe bool) (opens bool) {
	switch {
	case b.open && !probe, !b.open && began < b.closed:
		return false // it says nothing that is not known
	case !b.open:
		b.open, b.since, b.probes = true, now, 0
		opens = true
	}
	b.probeEnded(now)
	return opens
}

// probeEnded schedules the next probe after one that did not get through.
func (b *breaker) probeEnded(now time.Duration) {
	b.probing = false
	b.probes++
	b.probed = now
	b.probeAt = b.policy.beforeEnd(now, now+b.policy.backoff(b.probes))
}

// reached closes the breaker.
func (b *breaker) reached(now time.Duration) {
	b.open, b.probing = false, false
	b.closed = now
	b.limit = 1
	b.stepAt = now + rampStep
}

// answered notes that an attempt ended for another reason than that it got no
// connection.
func (b *breaker) answered() {
	if !b.open && b.limit < b.full {
		b.limit++
	}
}

// step brings limit up to date.
func (b *breaker) step(now time.Duration) {
	for !b.open && b.limit < b.full && b.stepAt <= now {
		b.limit = min(2*b.limit, b.full)
		b.stepAt += rampStep
	}
}
