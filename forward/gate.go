package forward

import "time"

// rampStep is how long the number of attempts in flight stays the same, at
// most, while it grows after an outage.
const rampStep = 100 * time.Millisecond

// gate keeps everybody from trying an app that cannot be reached. While it is
// closed one probe at a time, with back-off, finds out whether the app is back;
// then attempts are let through in growing numbers: twice as many each time
// that those before have ended, or after rampStep. It is a pure state machine;
// its owner passes the time.
type gate struct {
	policy *policy
	full   int // attempts in flight without an outage

	closed  bool
	since   time.Duration // when it closed
	opened  time.Duration // when it last opened
	probing bool          // a probe is on its way
	probes  int           // that failed since it closed, the attempt that closed it included
	probed  time.Duration // when the last of them ended
	probeAt time.Duration // when the next one is due

	limit  int           // attempts in flight
	stepAt time.Duration // when limit doubles
}

func newGate(p *policy, full int) gate { return gate{policy: p, full: full, limit: full} }

// unreachable notes that an attempt, begun at began, got no connection. It
// reports whether that closed the gate.
func (g *gate) unreachable(now, began time.Duration, probe bool) (closes bool) {
	switch {
	case g.closed && !probe, !g.closed && began < g.opened:
		return false // it knows no more than what is known
	case !g.closed:
		g.closed, g.since, g.probes = true, now, 0
		closes = true
	}
	g.probeEnded(now)
	return closes
}

// probeEnded schedules the next probe after one that did not get through.
func (g *gate) probeEnded(now time.Duration) {
	g.probing = false
	g.probes++
	g.probed = now
	g.probeAt = g.policy.beforeEnd(now, now+g.policy.backoff(g.probes))
}

// reached opens the gate and returns how long it was closed.
func (g *gate) reached(now time.Duration) (outage time.Duration) {
	g.closed, g.probing = false, false
	g.opened = now
	g.limit = 1
	g.stepAt = now + rampStep
	return now - g.since
}

// answered notes that an attempt ended other than for want of a connection.
func (g *gate) answered() {
	if !g.closed && g.limit < g.full {
		g.limit++
	}
}

// step brings limit up to date.
func (g *gate) step(now time.Duration) {
	for !g.closed && g.limit < g.full && g.stepAt <= now {
		g.limit = min(2*g.limit, g.full)
		g.stepAt += rampStep
	}
}
