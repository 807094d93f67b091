package stream

import "time"

// clock estimates how long a packet was under way, without comparing what clocks
// show: only that both go at nearly the same speed is assumed.
//
// The packet that was fastest says by how much the two clocks differ at most; one that
// took longer than that allows was held up for the difference. That is too little by
// what the fastest one took, never too much.
type clock struct {
	known bool
	most  time.Duration // our clock minus the peer's is at most this
	since time.Duration // when that was found, on our clock

	stamp time.Duration // of the packet that came last, and
	heard time.Duration // when that was
}

const (
	// clockDrift is what share of a second two clocks can move apart in a second.
	// Kernels correct by 500 millionths at most, each.
	clockDrift = 1000

	// echoFor is how long after a packet its stamp says what the peer's clock shows, to
	// within echoError.
	echoFor   = 10 * time.Second
	echoError = 2 * echoFor / clockDrift
)

// underway returns how long a packet was under way at least, if it arrives now.
// echo is 0, or what our clock was past when it was written.
func (c *clock) underway(stamp, echo, now time.Duration) time.Duration {
	difference := now - stamp
	most := c.most + (now-c.since)/clockDrift
	switch {
	case !c.known, difference < most:
		most = difference
	case echo > 0 && echo-stamp > most+echoError:
		// The clocks are further apart than they can be: the peer's stood still, as it
		// does in a virtual machine that is suspended.
		most = difference
	}
	*c = clock{known: true, most: most, since: now, stamp: stamp, heard: now}
	return difference - most
}

// echo is what the peer's clock is past now; 0 if that is not known well.
func (c *clock) echo(now time.Duration) time.Duration {
	if !c.known || now-c.heard > echoFor {
		return 0
	}
	return max(0, c.stamp+now-c.heard)
}
