package report

import (
	"math"
	"slices"
	"testing"
)

// ofRounds makes rounds from 1 on with one figure; 0 leaves it out.
func ofRounds(values ...float64) []Round {
	var all []Round
	for i, v := range values {
		r := Round{Round: i + 1}
		if v != 0 {
			r.Figures = []Figure{{Name: "other", Value: 1}, {Name: "CPU", Unit: "s", Value: v}}
		}
		all = append(all, r)
	}
	return all
}

func TestARatioIsTheMedianOfTheRoundsRatiosAndNotTheRatioOfMedians(t *testing.T) {
	r, ok := NewRatio("compare", "echo", "peer", "CPU", ofRounds(10, 20, 40), ofRounds(30, 30, 40))
	if !ok || !slices.Equal(r.Values, []float64{3, 1.5, 1}) || r.Median != 1.5 || r.Min != 1 || r.Max != 3 {
		t.Errorf("got %+v", r)
	}
	if r.Ours != 20 || r.Theirs != 30 || r.Unit != "s" || r.Record != "ratio" || r.Peer != "peer" || r.Case != "echo" {
		t.Errorf("got %+v", r)
	}
}

func TestARatioTakesOnlyRoundsThatBothHave(t *testing.T) {
	theirs := ofRounds(8, 0, 9, 12)
	theirs[0].Round, theirs[3].Round = 4, 1 // in another order
	r, ok := NewRatio("compare", "echo", "peer", "CPU", ofRounds(6, 7, -1, 4, 5), theirs)
	if !ok || !slices.Equal(r.Values, []float64{2, 2}) || r.Ours != 5 || r.Theirs != 10 {
		t.Errorf("got %+v", r)
	}
	for _, c := range [][2][]Round{{nil, ofRounds(1)}, {ofRounds(1), nil}, {ofRounds(0), ofRounds(1)}, {ofRounds(-1), ofRounds(1)}, {ofRounds(1), ofRounds(math.Inf(1))}} {
		if r, ok := NewRatio("compare", "echo", "peer", "CPU", c[0], c[1]); ok {
			t.Errorf("%v: got %+v", c, r)
		}
	}
}

func TestRatiosStandUnderTheirFigure(t *testing.T) {
	cpu := Ratio{Figure: "CPU", Unit: "s", Ours: 12.5, Theirs: 25, Median: 2, Min: 1.9, Max: 2.2}
	cpu.Peer = "gorilla"
	floor := cpu
	floor.Peer, floor.Theirs, floor.Median, floor.Min, floor.Max = "c", 12.4, 0.992, 0.98, 1.01
	memory := Ratio{Figure: "memory", Unit: "B", Ours: 100, Peer: "c", Theirs: 20, Median: 0.2, Min: 0.2, Max: 0.2}
	got := Ratios("echo, 1,000 connections", []Ratio{floor, cpu, memory}, []string{"a remark"})
	const want = `echo, 1,000 connections
  CPU, s   median  to ours    min   max
  ───────  ──────  ───────  ─────  ────
  ours       12.5     1.00
  c          12.4    0.992  0.980  1.01
  gorilla    25.0     2.00   1.90  2.20

  memory, B  median  to ours    min    max
  ─────────  ──────  ───────  ─────  ─────
  ours          100     1.00
  c            20.0    0.200  0.200  0.200

  note: a remark

`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
