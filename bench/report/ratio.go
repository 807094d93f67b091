package report

import (
	"cmp"
	"fmt"
	"slices"
)

// Ratio compares a figure of ours with the same one of a peer, measured in turn
// in one run.
type Ratio struct {
	Record   string    `json:"record"` // "ratio"
	Scenario string    `json:"scenario"`
	Case     string    `json:"case"`
	Peer     string    `json:"peer"`
	Figure   string    `json:"figure"`
	Unit     string    `json:"unit"`   // of Ours and Theirs
	Ours     float64   `json:"ours"`   // median
	Theirs   float64   `json:"theirs"` // median
	Median   float64   `json:"median"` // theirs divided by ours: 2 if the peer has twice as much
	Min      float64   `json:"min"`
	Max      float64   `json:"max"`
	Values   []float64 `json:"values"` // in the order of the rounds
}

// Line is the ratios of the rounds.
func (r Ratio) Line() Line {
	return Line{Name: r.Peer, Median: r.Median, Min: r.Min, Max: r.Max, Values: r.Values}
}

// ratioGroup is one figure of one version against the peers'.
type ratioGroup struct {
	Version Version
	Ratios  []Ratio // there is one at least; the smallest comes first
}

func (g ratioGroup) scenario() string { return g.Ratios[0].Scenario }

// Title says what is compared.
func (g ratioGroup) Title() string {
	return fmt.Sprintf("%s: %s; %s against the peers", g.scenario(), g.Ratios[0].Case, g.Version)
}

// Most is the largest of the ratios.
func (g ratioGroup) Most() float64 {
	return slices.MaxFunc(g.Ratios, func(a, b Ratio) int { return cmp.Compare(a.Max, b.Max) }).Max
}

// groupRatios puts the peers of one figure together, in the order of the figures'
// first appearance.
func groupRatios(all []Recording) (groups []ratioGroup) {
	for _, rec := range all {
		v := rec.Run.Version()
		for _, r := range rec.Ratios {
			i := slices.IndexFunc(groups, func(g ratioGroup) bool {
				o := g.Ratios[0]
				return g.Version == v && o.Scenario == r.Scenario && o.Case == r.Case && o.Figure == r.Figure && o.Unit == r.Unit
			})
			if i < 0 {
				i = len(groups)
				groups = append(groups, ratioGroup{Version: v})
			}
			groups[i].Ratios = append(groups[i].Ratios, r)
		}
	}
	for _, g := range groups {
		slices.SortStableFunc(g.Ratios, func(a, b Ratio) int { return cmp.Compare(a.Median, b.Median) })
	}
	return groups
}
