package scenario

import (
	"testing"
	"time"

	"ws-gateway/bench/load"
	"ws-gateway/bench/report"
)

func TestFanoutCallsOftenEnough(t *testing.T) {
	f := fanout{calls: 10}
	for n, want := range map[int]int{1: 2_000, 10: 2_000, 100: 300, 1_000: 30, 10_000: 10, 15_000: 10} {
		if got := f.repeats(n); got != want {
			t.Errorf("%d targets: %d calls, not %d", n, got, want)
		}
	}
}

func TestFanoutLeavesOutWhoMeasuresTheDelay(t *testing.T) {
	all := fanout{to: "all"}
	if got := all.member(3, roster{"probe-0": {"x"}}); got != `"all":true,"exclude":["x"]` {
		t.Errorf("got %s", got)
	}
	users := fanout{to: "users"}
	if got := users.member(2, roster{"probe-0": {"x"}}); got != `"users":["user-1000000","user-1000001"]` {
		t.Errorf("got %s", got)
	}
}

func TestFanoutHasCurvesOverTargets(t *testing.T) {
	m, err := load.Event(64)
	if err != nil {
		t.Fatal(err)
	}
	var all []spread
	for _, n := range []int{100, 10_000} {
		alone := load.PushResult{Result: recorded(uint64(n)*10, time.Millisecond), Calls: 10}
		alone.Last = recorded(1, 100*time.Millisecond).Latency
		all = append(all, spread{
			targets: n, alone: alone, used: cost{cpu: time.Second},
			delay: delays{pong: recorded(1, 3*time.Millisecond), idle: recorded(1, time.Millisecond)},
		})
	}
	f := fanout{to: "users", message: m}
	s := stage{Env: &Env{}}
	f.figures(&s, all[0].delay, all)
	o := s.outcome
	for _, name := range []string{"10,000 targets: to the last, median", "100 targets: pong meanwhile, max", "100 targets: pong later than that"} {
		if got := figure(o, name); got.Value <= 0 {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	if got := figure(o, "10,000 targets: gateway CPU, a million deliveries").Value; got != 10 {
		t.Errorf("%v s a million", got)
	}
	if len(o.curves) != 4 {
		t.Fatalf("%d curves", len(o.curves))
	}
	for _, c := range o.curves {
		if c.Axis != report.Connections || len(c.Points) != 2 || c.Points[0][0] != 100 || c.Points[1][0] != 10_000 || c.Points[1][1] <= 0 {
			t.Errorf("got %+v", c)
		}
	}
}
