package main_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// metric returns the value of a series such as `ws_gateway_connections`.
func (g *gateway) metric(t testing.TB, series string) float64 {
	t.Helper()
	a := g.get("/metrics")
	for line := range strings.Lines(a.body) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatalf("%s: %v", series, err)
			}
			return n
		}
	}
	t.Fatalf("there is no metric %s: status %d", series, a.status)
	return 0
}

// awaitMetric waits until a series has reached a value.
func (g *gateway) awaitMetric(t testing.TB, series string, least float64) {
	t.Helper()
	poll(t, fmt.Sprintf("%s to reach %v", series, least), func() bool { return g.metric(t, series) >= least })
}
