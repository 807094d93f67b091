package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Ours is how the echo server on netpoll is called among its peers.
const Ours = "ours"

// Comparison is one figure of ours against the same one of the peers, measured in
// turn in one run.
type Comparison struct {
	Version  Version
	Scenario string
	Work     string // what all of them did
	Figure   string
	Unit     string
	Limit    float64 // of the figure
	Ratios   []Ratio // there is one at least; the smallest comes first
}

// Ratio is a figure of a peer divided by ours, round by round: 2 if the peer has
// twice as much. Its line has the peer's name.
type Ratio struct {
	Line
	Ours, Theirs float64 // medians
}

// Compare finds the figures in the rounds of one run that are compared.
func Compare(rounds []Round) (all []Comparison) {
	for _, r := range rounds {
		for _, f := range r.Figures {
			known := func(c Comparison) bool { return c.Scenario == r.Scenario && c.Work == r.work() && c.Figure == f.Name }
			if r.Server != Ours || !f.Compared || slices.ContainsFunc(all, known) {
				continue
			}
			c := Comparison{Scenario: r.Scenario, Work: r.work(), Figure: f.Name, Unit: f.Unit, Limit: f.Limit}
			if c.with(rounds); len(c.Ratios) > 0 {
				all = append(all, c)
			}
		}
	}
	return all
}

// compareAll finds those of several runs.
func compareAll(all []Recording) (comparisons []Comparison) {
	for _, rec := range all {
		for _, c := range Compare(rec.Rounds) {
			c.Version = rec.Run.Version()
			comparisons = append(comparisons, c)
		}
	}
	return comparisons
}

// work is a case without the server's name.
func (r Round) work() string { return strings.TrimSuffix(r.Case, ": "+r.Server) }

// with adds the ratio of each peer, if ours and the peer have the figure in one
// round at least and ours is above 0 there.
func (c *Comparison) with(rounds []Round) {
	rounds = slices.DeleteFunc(slices.Clone(rounds), func(r Round) bool { return r.Scenario != c.Scenario || r.work() != c.Work })
	for _, peer := range distinct(rounds, func(r Round) string { return r.Server }) {
		ratio := Ratio{Line: Line{Name: peer}}
		var ours, theirs []float64
		for _, n := range distinct(rounds, func(r Round) int { return r.Round }) {
			x, y := c.value(rounds, Ours, n), c.value(rounds, peer, n)
			if x > 0 && !math.IsInf(x, 0) && math.Abs(y/x) <= absurd { // neither is NaN
				ours, theirs, ratio.Values = append(ours, x), append(theirs, y), append(ratio.Values, y/x)
			}
		}
		if peer != Ours && len(ratio.Values) > 0 {
			ratio.settle()
			ratio.Ours, ratio.Theirs = Median(ours), Median(theirs)
			c.Ratios = append(c.Ratios, ratio)
		}
	}
	slices.SortStableFunc(c.Ratios, func(a, b Ratio) int { return cmp.Compare(a.Median, b.Median) })
}

// value is what a server has in a round; NaN is nothing.
func (c *Comparison) value(rounds []Round, server string, n int) float64 {
	for _, r := range rounds {
		for _, f := range r.Figures {
			if r.Server == server && r.Round == n && f.Name == c.Figure {
				return f.Value
			}
		}
	}
	return math.NaN()
}

// Title says what is compared.
func (c Comparison) Title() string {
	return fmt.Sprintf("%s: %s; %s against the peers", c.Scenario, c.Work, c.Version)
}

// Most is the largest of the ratios.
func (c Comparison) Most() float64 {
	return slices.MaxFunc(c.Ratios, func(a, b Ratio) int { return cmp.Compare(a.Max, b.Max) }).Max
}

// Verdict says how far ours is from the limit, if there is one.
func (c Comparison) Verdict(r Ratio) string {
	if c.Limit == 0 || r.Median == 0 {
		return ""
	}
	times := 1 / r.Median
	verdict := "met"
	if times > c.Limit {
		verdict = "missed"
	}
	return fmt.Sprintf("ours is %s × this, ≤ %s %s", Number(times), Number(c.Limit), verdict)
}

// String is a table with a row for each peer.
func (c Comparison) String() string {
	rows := [][]string{
		{withUnit(c.Figure, c.Unit), "median", "to ours", "min", "max", ""},
		{Ours, Number(c.Ratios[0].Ours), Number(1), "", "", ""},
	}
	for _, r := range c.Ratios {
		rows = append(rows, []string{r.Name, Number(r.Theirs), Number(r.Median), Number(r.Min), Number(r.Max), c.Verdict(r)})
	}
	return layOut(rows, 1)
}
