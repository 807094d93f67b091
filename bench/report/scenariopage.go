package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"ws-gateway/bench/report/chart"
)

// scenarioPage gathers what the page says of a scenario; id begins the ids of its
// charts.
func scenarioPage(id, name string, results []Result, ratios []versionRatio, versions []Version) scenarioView {
	s := scenarioView{Name: name}
	var own []Result
	for _, r := range results {
		if r.Summary.Scenario == name {
			own = append(own, r)
			s.Results = append(s.Results, resultView{r, r.Summary.Case})
		}
	}
	names := labels(own, versions)
	s.Figures = append(s.Figures, ratioFigures(id, name, ratios, versions)...)
	s.Figures = append(s.Figures, curveFigures(id, name, own, names, versions)...)
	s.Figures = append(s.Figures, caseFigures(id, name, own, names, versions)...)
	return s
}

// labels names results by what distinguishes them: what all their cases have in
// common is left out, and the version is said only if there are several.
func labels(results []Result, versions []Version) []string {
	short := make([]string, len(results))
	for i, r := range results {
		var parts []string
		for part := range strings.SplitSeq(r.Summary.Case, ", ") {
			everywhere := !slices.ContainsFunc(results, func(o Result) bool {
				return !slices.Contains(strings.Split(o.Summary.Case, ", "), part)
			})
			if !everywhere {
				parts = append(parts, part)
			}
		}
		if len(versions) > 1 {
			parts = append(parts, r.Version.String())
		}
		short[i] = strings.Join(parts, ", ")
	}
	return short
}

// curveFigures draws each kind of curve that the results have.
func curveFigures(id, scenario string, results []Result, names []string, versions []Version) []figureView {
	type kind struct {
		name, unit string
		axis       Axis
	}
	var kinds []kind
	lines := make(map[kind][]chart.Line)
	for i, r := range results {
		byKind := make(map[kind][][][2]float64)
		for _, round := range r.Rounds {
			for _, c := range round.Curves {
				k := kind{c.Name, c.Unit, c.Axis}
				if !slices.Contains(kinds, k) {
					kinds = append(kinds, k)
				}
				byKind[k] = append(byKind[k], c.Points)
			}
		}
		for k, rounds := range byKind {
			if points := medianCurve(rounds); len(points) > 0 {
				lines[k] = append(lines[k], chart.Line{
					Name: names[i], Points: points, Look: look(results, i),
					Dashed: len(versions) > 1 && r.Version == versions[0],
				})
			}
		}
	}
	var figures []figureView
	for _, k := range kinds {
		// As many looks as there are keep the versions of a case in one chart.
		perChart := chart.Looks * max(1, len(versions))
		for part := range slices.Chunk(lines[k], perChart) {
			c := chart.Lines{
				ID:    fmt.Sprintf("%s-curve-%d", id, len(figures)+1),
				Title: fmt.Sprintf("%s: %s over %s", scenario, k.name, axisName(k.axis)),
				XName: axisName(k.axis), YName: withUnit(k.name, k.unit), Lines: part,
				YScale: yScale(part),
			}
			if k.axis == Percentile {
				c.XScale = chart.Tail
			}
			figures = append(figures, curveFigure(c, k.axis, len(versions) > 1))
		}
	}
	return figures
}

// look numbers a case: its versions look the same but for the dashes.
func look(results []Result, i int) int {
	cases := distinct(results, caseOf)
	return slices.Index(cases, results[i].Summary.Case)
}

func axisName(a Axis) string {
	switch a {
	case Percentile:
		return "percentile of messages"
	case Seconds:
		return "seconds since the round began"
	case Connections:
		return "connections"
	default:
		return string(a)
	}
}

func withUnit(name, unit string) string {
	if unit == "" {
		return name
	}
	return name + ", " + unit
}

// yScale is logarithmic if values are far apart.
func yScale(lines []chart.Line) chart.Scale {
	var ys []float64
	for _, l := range lines {
		for _, p := range l.Points {
			ys = append(ys, p[1])
		}
	}
	if low := slices.Min(ys); low > 0 && slices.Max(ys) > 20*low {
		return chart.Log
	}
	return chart.Linear
}

// mostRows bounds the table behind a chart of lines.
const mostRows = 40

func curveFigure(c chart.Lines, axis Axis, dashes bool) figureView {
	head := []string{axisName(axis)}
	rows := make(map[float64][]string)
	var xs []float64
	for i, l := range c.Lines {
		head = append(head, cmp.Or(l.Name, c.YName))
		for _, p := range l.Points {
			if rows[p[0]] == nil {
				xs = append(xs, p[0])
				rows[p[0]] = make([]string, len(c.Lines)+1)
				rows[p[0]][0] = chart.Value(p[0])
			}
			rows[p[0]][i+1] = Number(p[1])
		}
		last := l.Points[len(l.Points)-1]
		c.Description += fmt.Sprintf("%s begins with %s and ends with %s. ", cmp.Or(l.Name, "The line"), Number(l.Points[0][1]), Number(last[1]))
	}
	slices.Sort(xs)
	f := figureView{Title: c.Title, Text: "Medians of the rounds.", Head: head}
	if c.YScale == chart.Log {
		f.Text += " The upright axis is logarithmic."
	}
	if dashes {
		f.Text += " Dashed: the first version."
	}
	for _, x := range thin(xs, mostRows) {
		f.Rows = append(f.Rows, rows[x])
	}
	f.Chart = c.SVG()
	return f
}

// caseFigures shows side by side what the cases need, for each figure that has a
// goal in one of them.
func caseFigures(id, scenario string, results []Result, names []string, versions []Version) []figureView {
	if len(results) < 2 {
		return nil
	}
	var wanted []string
	for _, r := range results {
		for _, l := range r.Summary.Lines {
			if l.Goal > 0 && !slices.Contains(wanted, l.Name) {
				wanted = append(wanted, l.Name)
			}
		}
	}
	var figures []figureView
	for n, name := range wanted {
		f := figureView{
			Text: "Bars are medians, dots rounds, whiskers reach from the least to the most. A thick upright line is the goal, an upper limit.",
			Head: []string{"case", "median", "min", "max", "goal"},
		}
		c := chart.Bars{ID: fmt.Sprintf("%s-bars-%d", id, n+1), Title: scenario + ": " + name}
		for i, r := range results {
			at := slices.IndexFunc(r.Summary.Lines, func(l Line) bool { return l.Name == name })
			if at < 0 {
				continue
			}
			l := r.Summary.Lines[at]
			c.XName = withUnit(l.Name, l.Unit)
			label := cmp.Or(names[i], r.Summary.Case)
			c.Bars = append(c.Bars, chart.Bar{
				Name: label, Label: Number(l.Median), Median: l.Median, Min: l.Min, Max: l.Max, Values: l.Values, Goal: l.Goal,
				Own: len(versions) > 1 && r.Version != versions[0],
			})
			row := []string{label, Number(l.Median), Number(l.Min), Number(l.Max), ""}
			if l.Goal > 0 {
				row[4] = "≤ " + Number(l.Goal)
			}
			f.Rows = append(f.Rows, row)
		}
		c.Description = describe(c)
		f.Title, f.Chart = c.Title, c.SVG()
		figures = append(figures, f)
	}
	return figures
}
