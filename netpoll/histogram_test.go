package netpoll

import (
	"math"
	"testing"
	"time"
)

func TestAHistogramsBucketHoldsWhatIsUpToItsBound(t *testing.T) {
	for d, want := range map[time.Duration]int{
		-time.Second: 0, 0: 0, 1: 0, time.Microsecond: 0, time.Microsecond + 1: 1, 2 * time.Microsecond: 1, 2*time.Microsecond + 1: 2,
		4 * time.Microsecond: 2, time.Millisecond: 10, 2 * time.Second: 21, UpperBound(24): 24, UpperBound(24) + 1: 25, math.MaxInt64: 25,
	} {
		var h Histogram
		h.observe(d)
		for i, n := range h.Buckets {
			if (n == 1) != (i == want) {
				t.Errorf("%v: bucket %d has %d, want it in %d", d, i, n, want)
			}
		}
		if h.Sum != d {
			t.Errorf("%v: the sum is %v", d, h.Sum)
		}
	}
}

func TestHistogramsAddUp(t *testing.T) {
	var a, b Histogram
	a.observe(time.Microsecond)
	b.observe(time.Microsecond)
	b.observe(time.Second)
	a.add(&b)
	if a.Buckets[0] != 2 || a.Buckets[20] != 1 || a.Sum != time.Second+2*time.Microsecond {
		t.Errorf("%+v", a)
	}
}
