// Package tokenbucket limits how often something may happen: at a rate in the long
// run, and in a burst at once. It knows no clock, and imports none of the project's
// packages; all may import it.
package tokenbucket

import "time"

// Rate is how many units a second a bucket earns, and how many it holds. The zero
// value is no limit.
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

// Bucket is a token bucket in 8 bytes that nobody needs to refill: the time at
// which it will be full again. The zero value is a full bucket. Times are on any
// clock that begins at 0 and only goes forward.
//
// What is spent beyond the burst becomes a debt: something larger than the burst
// gets through, and is paid for afterwards.
type Bucket time.Duration

// Spend takes units out of the bucket, and reports whether it is in debt then.
func (b *Bucket) Spend(r *Rate, now time.Duration, units int) (over bool) {
	*b = min(max(*b, Bucket(now)), Bucket(forever)) + Bucket(r.cost(float64(units)))
	return b.Wait(r, now, 0) > 0
}

// Wait is how long it takes until the bucket holds that many units, which must not
// be more than the burst; 0 if it does already. For 0 units it is how long it takes
// to pay a debt.
func (b Bucket) Wait(r *Rate, now time.Duration, units float64) time.Duration {
	return max(0, time.Duration(b)-now-r.depth+r.cost(units))
}

// Left is how many whole units the bucket holds.
func (b Bucket) Left(r *Rate, now time.Duration) int {
	const rounding = 1 // nanosecond, which the bucket may have been made too small by
	earned := r.depth - max(0, time.Duration(b)-now)
	return max(0, int(float64(earned+rounding)/r.perUnit))
}
