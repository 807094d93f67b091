package scenario

import (
	"slices"
	"testing"
	"time"

	"ws-gateway/bench/load"
	"ws-gateway/bench/report"
)

func TestEachKindOfWorkIsDoneByOursFirstAndThenByEachPeer(t *testing.T) {
	work := []string{"echo", "idle", "broadcast"}
	var got, want []string
	cfg := Compare{Work: work, Conns: []int{10, 20}, Traffic: Traffic{Size: 64, Window: Window{Duration: 1}}, Against: []Peer{{Name: "a"}, {Name: "b"}}}
	cases, err := cfg.Cases(Options{})
	for _, c := range cases {
		got = append(got, c.Scenario+" "+c.Name)
	}
	for _, work := range []string{
		"echo, 10 connections, 64 B, closed loop", "echo, 20 connections, 64 B, closed loop", "20 idle connections", "broadcast to 20 connections",
	} {
		want = append(want, "compare "+work+": ours", "compare "+work+": a", "compare "+work+": b")
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	cfg.Work, cfg.Against = work[2:], nil
	if all, err := cfg.Cases(Options{}); err != nil || len(all) != 1 {
		t.Errorf("%d cases, one was asked for: %v", len(all), err)
	}
}

func TestWithCompressionTheSameWorkIsDoneWithDocuments(t *testing.T) {
	var got []string
	cfg := Compare{
		Work: []string{"echo", "idle", "broadcast"}, Conns: []int{10, 20}, Traffic: Traffic{Size: 64, Window: Window{Duration: 1}},
		Compression: true, Document: 1024, Against: []Peer{{Name: "a"}},
	}
	cases, err := cfg.Cases(Options{})
	for _, c := range cases {
		got = append(got, c.Name)
	}
	var want []string
	for _, work := range []string{
		"compressed echo, 10 connections, 1,024 B, closed loop", "compressed echo, 20 connections, 1,024 B, closed loop",
		"20 idle connections after compressed echoes", "compressed broadcast to 20 connections",
	} {
		want = append(want, work+": ours", work+": a")
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	cfg.Document = 64
	if _, err := cfg.Cases(Options{}); err == nil {
		t.Error("a document of 64 bytes has no room for its members")
	}
}

func TestEachKindOfWorkOfGatewaysIsDoneByOursFirstAndThenByEachPeer(t *testing.T) {
	var got []string
	cfg := CompareGateways{
		Work: []string{"roundtrip", "answer", "paced", "send"}, Conns: []int{10, 20}, Rate: 500, Callers: 2, Size: 64, Window: Window{Duration: 1},
		Against: []Peer{{Name: "a", Path: "a"}},
	}
	cases, err := cfg.Cases(Options{Threads: 1})
	for _, c := range cases {
		got = append(got, c.Name)
	}
	var want []string
	for _, work := range []string{
		"round trips, 10 connections, 64 B, closed loop", "round trips, 20 connections, 64 B, closed loop",
		"round trips by the callback's answer, 20 connections, 64 B, closed loop", "round trips, 20 connections, 64 B, open loop at 500/s",
		"sends, 20 connections, each call to one, 64 B, 2 callers, closed loop",
	} {
		want = append(want, work+": ours", work+": a")
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := cfg.Cases(Options{Threads: 2}); err == nil {
		t.Error("two threads cannot see all deliveries of a call")
	}
}

func TestARivalIsToldWhatItKnowsOfTheGatewaysArguments(t *testing.T) {
	if got := rivalArgs("", patient); !slices.Equal(got, []string{"--listen", "127.0.0.1:0"}) {
		t.Errorf("push-only: %q", got)
	}
	if got := rivalArgs("u", append([]string{"--callback-reply"}, patient...)); !slices.Equal(got, []string{"--listen", "127.0.0.1:0", "--callback-url", "u", "--callback-reply"}) {
		t.Errorf("with replies: %q", got)
	}
}

func TestFiguresAreComparedThatAreNamed(t *testing.T) {
	var o outcome
	o.add("CPU", "s", 2)
	o.add("no matter", "", 7)
	o.compared("a", limits{"CPU": 1.5})
	if r := o.row("compare", "idle: a", 1, report.Host{}); r.Server != "a" || !r.Figures[0].Compared || r.Figures[0].Limit != 1.5 || r.Figures[1].Compared {
		t.Errorf("got %+v", r)
	}
}

func TestBroadcastFiguresAreForEachDelivery(t *testing.T) {
	r := load.PushResult{Result: recorded(4_000, time.Millisecond), Calls: 4, Last: recorded(1, 30*time.Millisecond).Latency}
	r.Elapsed, r.CPU = 100*time.Millisecond, 20*time.Millisecond
	s := stage{Env: &Env{}}
	s.broadcastFigures(r, cost{cpu: 40 * time.Millisecond})
	has(t, s.outcome, map[string]float64{
		"deliveries": 40_000, "server CPU, a million deliveries": 10, "last target p50": 30, "last target max": 30,
		"broadcasts": 4, "load client CPU, a million deliveries": 5,
	})
}
