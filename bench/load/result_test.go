package load

import (
	"testing"
	"time"
)

func TestTheCurveGoesFromTheShortestToTheLongestLatency(t *testing.T) {
	r := Result{Latency: newLatency()}
	for ms := range int64(1000) {
		if err := r.Latency.RecordValue((ms + 1) * int64(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	points := r.Curve()
	for i, at := range points[1:] {
		if before := points[i]; at[0] <= before[0] || at[1] < before[1] {
			t.Errorf("%v comes after %v", at, before)
		}
	}
	first, last := points[0], points[len(points)-1]
	if first[0] != 0 || last[0] != 100 || first[1] > 1.01 || last[1] < 999 {
		t.Errorf("from %v to %v", first, last)
	}
	if len(points) < 15 || len(points) > 30 {
		t.Errorf("%d points for a thousand values", len(points))
	}
}

func TestACurveOfNothingIsShort(t *testing.T) {
	if points := (Result{Latency: newLatency()}).Curve(); len(points) != 2 {
		t.Errorf("got %v", points)
	}
}
