package netpoll

import (
	"math/bits"
	"time"
)

// HistogramBuckets is the number of buckets of a Histogram.
const HistogramBuckets = 26

// Histogram counts durations by powers of two: bucket i counts those up to 2^i
// microseconds, the last one all that are longer too. It is not safe for concurrent
// use.
type Histogram struct {
	Buckets [HistogramBuckets]uint64
	Sum     time.Duration
}

// UpperBound is the longest duration that bucket i counts, but for the last one.
func UpperBound(i int) time.Duration { return time.Microsecond << i }

func (h *Histogram) observe(d time.Duration) {
	whole := uint64(max(d-1, 0)) / uint64(time.Microsecond)
	h.Buckets[min(bits.Len64(whole), HistogramBuckets-1)]++
	h.Sum += d
}

func (h *Histogram) add(other *Histogram) {
	for i, n := range other.Buckets {
		h.Buckets[i] += n
	}
	h.Sum += other.Sum
}
