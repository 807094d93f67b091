package load

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies outside of these are counted as the nearer one.
const (
	shortestLatency = int64(time.Microsecond)
	longestLatency  = int64(time.Minute)
)

func newLatency() *hdrhistogram.Histogram {
	return hdrhistogram.New(shortestLatency, longestLatency, 3)
}

// Result of the recorded part of an Exchange.
type Result struct {
	Messages uint64                  // replies received, each the right one
	Elapsed  time.Duration           // wall clock
	CPU      time.Duration           // of the client's threads
	Latency  *hdrhistogram.Histogram // nanoseconds, three significant digits

	// Load is the share of its time that the busiest thread had something to do,
	// or waited for a processor to do it on, 0 to 1. Near 1 the client was the
	// limit, not the server.
	Load float64

	// Waited is the part of it that the same thread was without a processor, 0 to 1:
	// others had them all.
	Waited float64

	// Failures counts connections that broke or got a wrong reply, also before Begin,
	// and replies that never came; Details says more about the first few.
	Failures int
	Details  []string
}

// Err is not nil if something failed on connections.
func (r Result) Err() error {
	if r.Failures == 0 {
		return nil
	}
	return fmt.Errorf("%d failures on connections, such as: %s", r.Failures, strings.Join(r.Details, "; "))
}

// Saturated tells whether the client itself was the limit.
func (r Result) Saturated() bool { return r.Load >= 0.95 }

// Percentile returns a percentile of the latency in milliseconds.
func (r Result) Percentile(p float64) float64 {
	if p >= 100 {
		return float64(r.Latency.Max()) / float64(time.Millisecond)
	}
	return float64(r.Latency.ValueAtQuantile(p)) / float64(time.Millisecond)
}

// Rate is messages a second.
func (r Result) Rate() float64 {
	if r.Elapsed <= 0 {
		return math.NaN()
	}
	return float64(r.Messages) / r.Elapsed.Seconds()
}

// Curve is the latency in milliseconds over percentiles, those of the tail close
// together: 0, 50, 75, 87.5 and so on, two to each halving of what is left.
func (r Result) Curve() [][2]float64 {
	points := [][2]float64{{0, float64(r.Latency.Min()) / float64(time.Millisecond)}}
	for left := 100.0; left*float64(r.Latency.TotalCount()) >= 100; left /= 2 {
		for _, p := range []float64{100 - left*0.75, 100 - left/2} {
			points = append(points, [2]float64{p, r.Percentile(p)})
		}
	}
	return append(points, [2]float64{100, r.Percentile(100)})
}
