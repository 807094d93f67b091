package report

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// ofServer makes rounds of a server, from 1 on, with one figure that is compared;
// 0 leaves it out.
func ofServer(server string, values ...float64) (all []Round) {
	for i, v := range values {
		r := Round{Round: i + 1, Case: "echo: " + server, Server: server, Figures: []Figure{{Name: "other", Value: 1}}}
		if v != 0 {
			r.Figures = append(r.Figures, Figure{Name: "CPU", Unit: "s", Value: v, Compared: true})
		}
		all = append(all, r)
	}
	return all
}

func TestARatioIsTheMedianOfTheRoundsRatiosAndNotTheRatioOfMedians(t *testing.T) {
	all := Compare(append(ofServer(Ours, 10, 20, 40), ofServer("peer", 30, 30, 40)...))
	if len(all) != 1 || len(all[0].Ratios) != 1 || all[0].Work != "echo" || all[0].Figure != "CPU" || all[0].Unit != "s" {
		t.Fatalf("got %+v", all)
	}
	if r := all[0].Ratios[0]; !slices.Equal(r.Values, []float64{3, 1.5, 1}) || r.Median != 1.5 || r.Min != 1 || r.Max != 3 ||
		r.Ours != 20 || r.Theirs != 30 || r.Name != "peer" {
		t.Errorf("got %+v", r)
	}
}

func TestARatioTakesOnlyRoundsThatBothHave(t *testing.T) {
	theirs := ofServer("peer", 8, 0, 9, 12)
	theirs[0].Round, theirs[3].Round = 4, 1 // in another order
	all := Compare(append(ofServer(Ours, 6, 7, -1, 4, 5), theirs...))
	if r := all[0].Ratios[0]; !slices.Equal(r.Values, []float64{2, 2}) || r.Ours != 5 || r.Theirs != 10 {
		t.Errorf("got %+v", r)
	}
	for _, c := range [][2]float64{{0, 1}, {1, 0}, {-1, 1}, {1, math.Inf(1)}, {1, math.NaN()}, {5e-324, 1}} {
		if all := Compare(append(ofServer(Ours, c[0]), ofServer("peer", c[1])...)); len(all) != 0 {
			t.Errorf("%v: got %+v", c, all)
		}
	}
}

func TestRatiosStandUnderTheirFigure(t *testing.T) {
	const want = `  server CPU, a million, s  median  to ours   min   max
  ────────────────────────  ──────  ───────  ────  ────
  ours                        20.0     1.00
  C                           20.6     1.04  1.03  1.05
  gorilla/websocket           40.0     2.02  2.00  2.04
`
	if got := Compare(compared())[0].String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestALimitIsOnHowManyTimesAPeersFigureOursIs(t *testing.T) {
	for _, tt := range []struct {
		limit, ours, peer float64
		want              string
	}{
		{0, 10, 20, ""},
		{1.5, 30, 20, "ours is 1.50 × this, ≤ 1.50 met"},
		{1.5, 40, 20, "ours is 2.00 × this, ≤ 1.50 missed"},
	} {
		rounds := append(ofServer(Ours, tt.ours), ofServer("peer", tt.peer)...)
		rounds[0].Figures[1].Limit = tt.limit
		all := Compare(rounds)
		if got := all[0].Verdict(all[0].Ratios[0]); got != tt.want || !strings.Contains(all[0].String(), tt.want) {
			t.Errorf("%+v: got %q", tt, got)
		}
	}
}
