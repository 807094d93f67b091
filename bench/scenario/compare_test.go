package scenario

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"ws-gateway/bench/load"
	"ws-gateway/bench/report"
)

func TestEachKindOfWorkIsDoneByOursFirstAndThenByEachPeer(t *testing.T) {
	work := []string{"echo", "idle", "broadcast"}
	all := Compare{Work: work, Procs: 1, Conns: []int{10, 20}, Traffic: Traffic{Size: 64, Window: Window{Duration: time.Second}}}.With([]Peer{{Name: "a"}, {Name: "b"}})
	var names []string
	for _, c := range all {
		names = append(names, c.Name)
		if len(c.Cases) != 3 || !slices.Equal(c.Peers, []string{"a", "b"}) {
			t.Errorf("%s: %+v", c.Name, c)
		}
		for i, server := range []string{Ours, "a", "b"} {
			if got := c.Cases[i]; got.Scenario != "compare" || got.Name != c.Name+": "+server {
				t.Errorf("got %+v", got)
			}
		}
	}
	want := []string{
		"echo, 10 connections, 64 B, closed loop", "echo, 20 connections, 64 B, closed loop",
		"20 idle connections", "broadcast to 20 connections",
	}
	if !slices.Equal(names, want) {
		t.Errorf("got %q", names)
	}
	if all := (Compare{Work: work[2:], Conns: []int{5}, Traffic: Traffic{Size: 64}}).With(nil); len(all) != 1 {
		t.Errorf("%d kinds of work, one was asked for", len(all))
	}
	if err := (Compare{Conns: []int{5}, Traffic: Traffic{Size: 3, Window: Window{Duration: 1}}}).Possible(); err == nil {
		t.Error("a message of 3 bytes was taken")
	}
}

func TestRatiosAreOfTheFiguresThatAreCompared(t *testing.T) {
	c := Compare{Work: []string{"idle"}, Conns: []int{9}}.With([]Peer{{Name: "a"}, {Name: "b"}})[0]
	rounds := make(map[string][]report.Round)
	for i, one := range c.Cases {
		for n := 1; n <= 2; n++ {
			rounds[one.Name] = append(rounds[one.Name], report.Round{Case: one.Name, Round: n, Figures: []report.Figure{
				{Name: c.Figures[0], Value: float64(i + 1)}, {Name: c.Figures[1], Value: 3}, {Name: "no matter", Value: 7},
			}})
		}
	}
	var got []string
	for _, r := range c.Ratios(rounds) {
		got = append(got, fmt.Sprint(r.Figure, " ", r.Peer, " ", r.Median))
	}
	want := []string{c.Figures[0] + " a 2", c.Figures[0] + " b 3", c.Figures[1] + " a 1", c.Figures[1] + " b 1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	delete(rounds, c.Cases[1].Name) // the run ended before a had its turn
	if left := c.Ratios(rounds); len(left) != 2 || left[0].Peer != "b" {
		t.Errorf("got %+v", left)
	}
}

func TestBroadcastFiguresAreForEachDelivery(t *testing.T) {
	r := load.PushResult{Result: recorded(4_000, time.Millisecond), Calls: 4, Last: recorded(1, 30*time.Millisecond).Latency}
	r.Elapsed, r.CPU = 100*time.Millisecond, 20*time.Millisecond
	s := stage{Env: &Env{}}
	s.broadcastFigures(r, cost{cpu: 40 * time.Millisecond})
	for name, want := range map[string]float64{
		"deliveries": 40_000, "server CPU, a million deliveries": 10, "last target p50": 30, "last target max": 30,
		"broadcasts": 4, "load client CPU, a million deliveries": 5,
	} {
		if got := figure(s.outcome, name).Value; math.Abs(got-want) > 0.02 {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}
