package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"ws-gateway/bench/report/chart"
)

// versionRatio is a ratio, and whose it is.
type versionRatio struct {
	Ratio
	Version Version
}

func ratiosOf(all []Recording) []versionRatio {
	var ratios []versionRatio
	for _, rec := range all {
		for _, r := range rec.Ratios {
			ratios = append(ratios, versionRatio{r, rec.Run.Version()})
		}
	}
	return ratios
}

// ratioKind is what ratios are of.
type ratioKind struct{ scenario, name, figure, unit string }

// groupRatios puts the peers of one figure together, in the order of the kinds'
// first appearance; the peer that needs least comes first.
func groupRatios(ratios []versionRatio) (kinds []ratioKind, groups map[ratioKind][]versionRatio) {
	groups = make(map[ratioKind][]versionRatio)
	for _, r := range ratios {
		k := ratioKind{r.Scenario, r.Case, r.Figure, r.Unit}
		if groups[k] == nil {
			kinds = append(kinds, k)
		}
		groups[k] = append(groups[k], r)
	}
	for _, group := range groups {
		slices.SortStableFunc(group, func(a, b versionRatio) int { return cmp.Compare(a.Median, b.Median) })
	}
	return kinds, groups
}

// ratioFigures sets ours against the peers', for each figure that was compared.
func ratioFigures(id, scenario string, ratios []versionRatio, versions []Version) []figureView {
	kinds, groups := groupRatios(ratios)
	var figures []figureView
	for _, k := range kinds {
		if k.scenario != scenario {
			continue
		}
		f := figureView{
			Title: k.name + ": " + k.figure + " against the peers",
			Text:  "Bars are medians of the rounds' ratios, dots rounds, whiskers reach from the least to the most; ours is 1. ",
			Head:  []string{"peer", "theirs to ours", "min", "max", withUnit("ours", k.unit), withUnit("theirs", k.unit)},
		}
		if strings.HasSuffix(k.unit, "/s") { // a rate
			f.Text += "Bars shorter than ours: we do more."
		} else {
			f.Text += "Bars longer than ours: we need less."
		}
		c := chart.Bars{
			ID: fmt.Sprintf("%s-ratio-%d", id, len(figures)+1), Title: f.Title, XName: k.figure + ", times ours", Mark: 1, MarkName: "ours",
			Bars: []chart.Bar{{Name: "ours", Label: "1", Median: 1, Min: 1, Max: 1, Own: true}},
		}
		for _, r := range groups[k] {
			name := r.Peer
			if len(versions) > 1 {
				name += ", " + r.Version.String()
			}
			c.Bars = append(c.Bars, chart.Bar{
				Name: name, Label: Number(r.Median) + " ×", Median: r.Median, Min: r.Min, Max: r.Max, Values: r.Values,
			})
			f.Rows = append(f.Rows, []string{name, Number(r.Median), Number(r.Min), Number(r.Max), Number(r.Ours), Number(r.Theirs)})
		}
		c.Description = describe(c)
		f.Chart = c.SVG()
		figures = append(figures, f)
	}
	return figures
}

// describe says in words what bars show.
func describe(c chart.Bars) string {
	text := c.XName + ":"
	for _, b := range c.Bars {
		text += fmt.Sprintf(" %s %s, from %s to %s;", b.Name, b.Label, Number(b.Min), Number(b.Max))
	}
	return text[:len(text)-1] + "."
}
