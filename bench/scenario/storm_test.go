package scenario

import (
	"strings"
	"testing"

	"ws-gateway/bench/sink"
)

// passed is a storm of ten connections beside two clients in which nothing went
// wrong.
func passed() *storm {
	groups := func(open, closed uint64) map[string]sink.Group {
		return map[string]sink.Group{goodGroup: {Open: 2}, stormGroup: {Open: open, Close: closed}}
	}
	return &storm{
		watch: watch{stage: new(stage)}, conns: 10, good: 2,
		before: sample{app: sink.Stats{Groups: groups(10, 0)}},
		after:  sample{app: sink.Stats{Groups: groups(20, 10)}, metrics: metrics{"connections": 12}},
	}
}

func TestAStormIsJudgedByWhatTheAppWasTold(t *testing.T) {
	calm := passed()
	if calm.judge(); len(calm.broken) > 0 {
		t.Fatalf("nothing was wrong: %v", calm.broken)
	}
	for want, spoil := range map[string]func(*storm){
		"told of 20 opened and 9 closed": func(p *storm) { p.after.app.Groups[stormGroup] = sink.Group{Open: 20, Close: 9} },
		"and 11 are held":                func(p *storm) { p.after.metrics["connections"] = 11 },
		"2 close frames had no answer":   func(p *storm) { p.stuck = 2 },
		"1 connections that were back":   func(p *storm) { p.came.Ended = 1 },
		"good clients: 1":                func(p *storm) { p.during.Result.Failures = 1 },
		"good clients: 2":                func(p *storm) { p.during.pong.Failures = 2 },
		"3 wrong events": func(p *storm) {
			p.after.app.Groups[stormGroup] = sink.Group{Open: 20, Close: 10, Faults: 3}
		},
	} {
		p := passed()
		spoil(p)
		if p.judge(); !strings.Contains(strings.Join(p.broken, "; "), want) {
			t.Errorf("%q is not among %q", want, p.broken)
		}
	}
}
