package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// NewRatio compares a figure of a peer's rounds with ours, round by round. ok is
// false if no round of both has it, or ours is not above 0.
func NewRatio(scenario, name, peer, figure string, ours, theirs []Round) (r Ratio, ok bool) {
	r = Ratio{Record: "ratio", Scenario: scenario, Case: name, Peer: peer, Figure: figure}
	var a, b []float64
	for _, our := range ours {
		i := slices.IndexFunc(theirs, func(t Round) bool { return t.Round == our.Round })
		if i < 0 {
			continue
		}
		x, found := our.figure(figure)
		y, foundToo := theirs[i].figure(figure)
		if !found || !foundToo || !(x.Value > 0) || math.IsInf(x.Value, 0) || math.IsInf(y.Value, 0) || math.IsNaN(y.Value) {
			continue
		}
		r.Unit = x.Unit
		a, b, r.Values = append(a, x.Value), append(b, y.Value), append(r.Values, y.Value/x.Value)
	}
	if len(r.Values) == 0 {
		return r, false
	}
	r.Ours, r.Theirs = Median(a), Median(b)
	r.Median, r.Min, r.Max = Median(r.Values), slices.Min(r.Values), slices.Max(r.Values)
	return r, true
}

func (r Round) figure(name string) (Figure, bool) {
	i := slices.IndexFunc(r.Figures, func(f Figure) bool { return f.Name == name })
	if i < 0 {
		return Figure{}, false
	}
	return r.Figures[i], true
}

// Ratios are the ratios of one case, a block for each figure and a row for
// each peer, with the notes of the case below.
func Ratios(name string, ratios []Ratio, notes []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", name)
	for len(ratios) > 0 {
		first := ratios[0]
		end := slices.IndexFunc(ratios, func(r Ratio) bool { return r.Figure != first.Figure })
		if end < 0 {
			end = len(ratios)
		}
		head := first.Figure
		if first.Unit != "" {
			head += ", " + first.Unit
		}
		rows := [][]string{{head, "median", "to ours", "min", "max", ""}, {"ours", Number(first.Ours), Number(1), "", "", ""}}
		for _, r := range ratios[:end] {
			rows = append(rows, []string{r.Peer, Number(r.Theirs), Number(r.Median), Number(r.Min), Number(r.Max), ""})
		}
		layOut(&b, rows, 1)
		b.WriteByte('\n')
		ratios = ratios[end:]
	}
	for _, text := range notes {
		fmt.Fprintf(&b, "  note: %s\n", text)
	}
	if len(notes) > 0 {
		b.WriteByte('\n')
	}
	return b.String()
}
