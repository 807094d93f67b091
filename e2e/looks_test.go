package e2e_test

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"ws-gateway/e2e/harness"
)

// Metrics and log lines come from other goroutines than the one that answers: right after
// an answer they may still be those from before it. So a test waits for what it has caused
// (awaitMetric, expectMetric, logged). It looks once (metricNow, Log.MatchingNow) only within
// a Poll, after the process has ended, for what came before something that it has waited
// for, or for what is never to happen, once something that comes later has.

// metricNow is the value of a series as it is shown at this moment.
func (g *gateway) metricNow(t testing.TB, series string) float64 {
	t.Helper()
	a := g.requestAt("http://"+cmp.Or(g.Own, g.Addr), http.MethodGet, "/metrics", "")
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
	if least <= 0 {
		t.Fatalf("%s is %v at least from the start: use expectMetric", series, least)
	}
	g.metricWhen(t, series, fmt.Sprint(least, " at least"), func(n float64) bool { return n >= least })
}

// expectMetric requires a series to be want. It waits for that, except that a counter is
// never less than it was: one that is past want is wrong, and for 0 there is nothing to wait
// for but what comes later, before the call.
func (g *gateway) expectMetric(t testing.TB, series string, want float64) {
	t.Helper()
	name, _, _ := strings.Cut(series, "{")
	counter := strings.HasSuffix(name, "_total")
	got := g.metricWhen(t, series, fmt.Sprint(want), func(n float64) bool { return n == want || counter && n > want })
	if got != want {
		t.Errorf("%s is %v, want %v", series, got, want)
	}
}

// metricWhen waits until the value of a series is good, and returns it.
func (g *gateway) metricWhen(t testing.TB, series, want string, good func(float64) bool) (now float64) {
	t.Helper()
	waiting := true
	defer func() {
		if waiting {
			t.Logf("%s was %v at last", series, now)
		}
	}()
	harness.Poll(t, series+" to be "+want, func() bool {
		now = g.metricNow(t, series)
		return good(now)
	})
	waiting = false
	return now
}

// logged waits for n lines that contain all of parts, in any case, and requires that there
// are no more of them.
func (g *gateway) logged(t testing.TB, n int, parts ...string) []logLine {
	t.Helper()
	lines := g.Log.AwaitMatching(n, parts...)
	if len(lines) != n {
		t.Fatalf("%d lines of the log have %q, want %d: %v", len(lines), parts, n, lines)
	}
	return lines
}

// altered is a token or an id in which character i is another one of base64url's. The last
// character may have bits that must be 0: alter one before it.
func altered(text string, i int) string {
	other := "A"
	if text[i] == 'A' {
		other = "B"
	}
	return text[:i] + other + text[i+1:]
}
