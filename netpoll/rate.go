package netpoll

import "time"

// Rate is how much of something may happen: so much a second in the long run,
// and a burst of it at once. The zero value is no limit.
type Rate struct {
	perUnit float64       // nanoseconds in which one unit is earned
	depth   time.Duration // in which a whole burst is
}

// NewRate returns the Rate of perSecond units a second, with bursts of burst
// units. No rate, 0, is no limit.
func NewRate(perSecond, burst float64) Rate {
	if perSecond <= 0 {
		return Rate{}
	}
	r := Rate{perUnit: float64(time.Second) / perSecond}
	r.depth = r.cost(burst)
	return r
}

// Limited reports whether the Rate is a limit.
func (r *Rate) Limited() bool { return r.perUnit > 0 }

// forever is 73 years: two of them are still a Duration.
const forever = time.Duration(1 << 61)

// cost is rounded down, so that a whole burst fits into the bucket.
func (r *Rate) cost(units float64) time.Duration {
	return time.Duration(min(units*r.perUnit, float64(forever)))
}

// Meter measures something against a Rate. It is a token bucket in 8 bytes that
// nobody needs to refill: the time at which the bucket will be full again. The
// zero value is a full bucket. Times are on any clock that begins at 0 and only
// goes forward.
//
// What is spent beyond the burst becomes a debt, so something larger than the
// burst gets through, and is paid for afterwards.
type Meter time.Duration

// Spend takes units out of the bucket. Over reports that there is a debt then.
func (m *Meter) Spend(r *Rate, now time.Duration, units int) (over bool) {
	*m = min(max(*m, Meter(now)), Meter(forever)) + Meter(r.cost(float64(units)))
	return m.Wait(r, now, 0) > 0
}

// Wait is how long it takes until there are that many units in the bucket, 0 where
// there are; for none it is the time until a debt is paid. They must not be more
// than the burst.
func (m Meter) Wait(r *Rate, now time.Duration, units float64) time.Duration {
	return max(0, time.Duration(m)-now-r.depth+r.cost(units))
}

// Left is how many whole units are in the bucket.
func (m Meter) Left(r *Rate, now time.Duration) int {
	const rounding = 1 // nanosecond, which the bucket may have been made too small by
	earned := r.depth - max(0, time.Duration(m)-now)
	return max(0, int(float64(earned+rounding)/r.perUnit))
}
