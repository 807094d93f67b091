package tokenbucket

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestABurstPassesAtOnceAndWhatFollowsWaits(t *testing.T) {
	for _, perSecond := range []float64{0.5, 1, 3, 7, 1000, 999_983} {
		for _, burst := range []int{1, 2, 7, 100, 65536} {
			r := NewRate(perSecond, float64(burst))
			var b Bucket
			now := 5 * time.Second
			if left := b.Left(&r, now); left != burst {
				t.Fatalf("%v a second: a full bucket of %d has %d", perSecond, burst, left)
			}
			for i := range burst {
				if b.Spend(&r, now, 1) {
					t.Fatalf("%v a second, bursts of %d: number %d is over", perSecond, burst, i+1)
				}
				rounding := int(float64(i+1) * perSecond / float64(time.Second)) // up to a nanosecond each
				if left, want := b.Left(&r, now), burst-i-1; left < want || left > want+rounding {
					t.Fatalf("%v a second: %d left of %d, %d being spent", perSecond, left, burst, i+1)
				}
			}
			if perSecond*float64(burst) > float64(time.Second) { // rounding may let one more through
				b.Spend(&r, now, 1)
			}
			if !b.Spend(&r, now, 1) || b.Left(&r, now) != 0 {
				t.Fatalf("%v a second, bursts of %d: one more is not over", perSecond, burst)
			}
			wait, want := b.Wait(&r, now, 0), time.Duration(float64(time.Second)/perSecond)
			if (wait - want).Abs() > time.Duration(burst)+want {
				t.Errorf("%v a second: the debt of one is paid in %v, want %v", perSecond, wait, want)
			}
			if b.Wait(&r, now+wait, 0) != 0 || b.Wait(&r, now+wait-1, 0) == 0 {
				t.Errorf("%v a second: the wait is not exact", perSecond)
			}
			if later := now + wait + r.cost(float64(burst)); b.Left(&r, later) != burst || b.Left(&r, later+time.Hour) != burst {
				t.Errorf("%v a second: the bucket does not fill up, or over", perSecond)
			}
		}
	}
}

func TestSomethingLargerThanTheBurstPassesAndIsPaidFor(t *testing.T) {
	r := NewRate(1000, 2000)
	var b Bucket
	if !b.Spend(&r, 0, 12_000) {
		t.Error("it is within the burst")
	}
	if wait := b.Wait(&r, 0, 0); wait != 10*time.Second {
		t.Errorf("it is paid for in %v", wait)
	}
	if b.Spend(&r, 11*time.Second, 900) {
		t.Error("the debt was not forgiven when it was paid")
	}
}

func TestWaitingForSeveralUnitsEndsWhenTheyAreThere(t *testing.T) {
	r := NewRate(200, 50)
	var b Bucket
	b.Spend(&r, 0, 50)
	wait := b.Wait(&r, 0, 10)
	if wait != 50*time.Millisecond || b.Left(&r, wait) != 10 || b.Left(&r, wait-time.Microsecond) != 9 {
		t.Errorf("%v: %d there", wait, b.Left(&r, wait))
	}
}

func TestNoRateIsNoLimit(t *testing.T) {
	for _, perSecond := range []float64{0, -1} {
		if r := NewRate(perSecond, 5); r.Limited() {
			t.Errorf("%v a second is a limit", perSecond)
		}
	}
}

func TestTheMostExtremeDebtDoesNotOverflow(t *testing.T) {
	r := NewRate(1, 1)
	var b Bucket
	for range 10 {
		if !b.Spend(&r, 0, math.MaxInt64) || b.Wait(&r, 0, 0) <= 0 {
			t.Fatalf("overflow: %d", b)
		}
	}
}

// Whoever spends all that he can, waking up now and then as a loop's tick does,
// gets the rate: no more than that and the burst, and hardly less, as long as what
// is earned between two ticks fits into the burst.
func TestInTheLongRunTheRateIsKeptToByOneWhoTriesForMore(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		perSecond, burst float64
		most             int // units spent at a time
	}{
		{10, 20, 1}, {10, 10, 1}, {1000, 2000, 7}, {65536, 131072, 64 << 10}, {3, 6, 1}, {1000, 2000, 50_000},
	} {
		r := NewRate(c.perSecond, c.burst)
		var b Bucket
		var now time.Duration
		spent, debt := 0, 0
		for now < 10*time.Minute {
			for {
				n := 1 + random.IntN(c.most)
				spent += n
				now += time.Duration(random.IntN(1000))
				if b.Spend(&r, now, n) {
					debt = max(debt, n)
					break
				}
			}
			for b.Wait(&r, now, 0) > 0 { // the ticks are not quite even
				now = now.Truncate(time.Second) + time.Second + time.Duration(random.IntN(int(50*time.Millisecond)))
			}
		}
		most := c.perSecond*now.Seconds() + c.burst + float64(debt)
		if got := float64(spent); got > most+1 || got < c.perSecond*now.Seconds()*0.94 {
			t.Errorf("%v a second: %v in %v is %.3f of it", c.perSecond, spent, now, got/c.perSecond/now.Seconds())
		}
	}
}

func TestSpendingAllocatesNothing(t *testing.T) {
	r := NewRate(10, 20)
	var b Bucket
	if n := testing.AllocsPerRun(100, func() { b.Spend(&r, time.Second, 3); b.Wait(&r, time.Second, 0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
