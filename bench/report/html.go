package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"ws-gateway/bench/proc"
)

//go:embed page.tmpl
var pageSource string

//go:embed page.css
var pageCSS string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"number": Number, "plural": plural, "bar": bar, "command": command,
	"gibi": func(n uint64) string { return Number(float64(n) / (1 << 30)) },
}).Parse(pageSource))

// page is what the template shows.
type page struct {
	CSS         template.CSS
	Versions    []Version
	First, Last time.Time
	Runs        []runView
	Machines    []proc.Machine
	Goals       []goalView
	Met         int
	Comparison  string
	Scenarios   []*scenarioView
}

// runView is a run, with how busy others kept the machine during it.
type runView struct {
	Run
	Others, Steal, Load Line
}

// goalView is a figure that has a goal.
type goalView struct {
	Result
	Line
}

type scenarioView struct {
	Name        string
	Comparisons []Comparison
	Curves      []curvesView
	Results     []Result
}

// curvesView is a picture with several lines.
type curvesView struct {
	Title   string
	Lines   []curveLine
	Picture template.HTML
}

// WriteHTML writes the report as one page that needs no network and no other
// file, for the screen and for paper. comparison is what benchstat says of several
// versions. The same recordings make the same page.
func WriteHTML(w io.Writer, all []Recording, comparison string) error {
	p := page{CSS: template.CSS(pageCSS), Versions: Versions(all), Comparison: comparison}
	for _, rec := range all {
		p.addRun(rec)
	}
	results := Results(all)
	for i, r := range results {
		s := p.scenario(r.Summary.Scenario)
		s.Results = append(s.Results, r)
		if i+1 < len(results) && r.sameCase(results[i+1]) {
			continue // the last version is held to the goals
		}
		for _, l := range r.Summary.Lines {
			if l.Goal > 0 {
				p.Goals = append(p.Goals, goalView{r, l})
			}
			if l.Met {
				p.Met++
			}
		}
	}
	for _, c := range compareAll(all) {
		s := p.scenario(c.Scenario)
		s.Comparisons = append(s.Comparisons, c)
	}
	for _, s := range p.Scenarios {
		s.addCurves(len(p.Versions) > 1)
	}
	var b strings.Builder
	if err := pageTemplate.Execute(&b, p); err != nil {
		return fmt.Errorf("making the page: %w", err)
	}
	_, err := io.WriteString(w, printable(b.String()))
	return err
}

// addRun adds a run, and its machine if that is another one.
func (p *page) addRun(rec Recording) {
	v := runView{Run: rec.Run}
	for _, r := range rec.Rounds {
		v.Others.Values = append(v.Others.Values, 100*r.Host.Others)
		v.Steal.Values = append(v.Steal.Values, 100*r.Host.Steal)
		v.Load.Values = append(v.Load.Values, r.Host.LoadAverage)
	}
	if len(rec.Rounds) > 0 {
		v.Others.settle()
		v.Steal.settle()
		v.Load.settle()
	}
	if len(p.Runs) == 0 || v.Started.Before(p.First) {
		p.First = v.Started
	}
	if v.Started.After(p.Last) {
		p.Last = v.Started
	}
	p.Runs = append(p.Runs, v)
	if !slices.ContainsFunc(p.Machines, func(m proc.Machine) bool { return reflect.DeepEqual(m, v.Machine) }) {
		p.Machines = append(p.Machines, v.Machine)
	}
}

// scenario returns what the page says of a scenario.
func (p *page) scenario(name string) *scenarioView {
	i := slices.IndexFunc(p.Scenarios, func(s *scenarioView) bool { return s.Name == name })
	if i < 0 {
		i = len(p.Scenarios)
		p.Scenarios = append(p.Scenarios, &scenarioView{Name: name})
	}
	return p.Scenarios[i]
}

// addCurves draws each kind of curve that the results have.
func (s *scenarioView) addCurves(versions bool) {
	var kinds []Curve // without points
	lines := make(map[string][]curveLine)
	for _, r := range s.Results {
		of := make(map[string][][][2]float64)
		for _, round := range r.Rounds {
			for _, c := range round.Curves {
				if title := c.title(); len(c.Points) > 0 {
					kinds, of[title] = append(kinds, c), append(of[title], c.Points)
				}
			}
		}
		name := r.Summary.Case
		if versions {
			name += " · " + r.Version.String()
		}
		for title, rounds := range of {
			lines[title] = append(lines[title], curveLine{name, len(lines[title]) % looks, rounds})
		}
	}
	for _, title := range distinct(kinds, Curve.title) {
		axis := kinds[slices.IndexFunc(kinds, func(c Curve) bool { return c.title() == title })].Axis
		for some := range slices.Chunk(lines[title], looks) {
			s.Curves = append(s.Curves, curvesView{title, some, drawCurves(title, axis, some)})
		}
	}
}

// title says what a curve is over what.
func (c Curve) title() string {
	over := string(c.Axis)
	switch c.Axis {
	case Percentile:
		over = "percentile of messages"
	case Seconds:
		over = "seconds since the round began"
	}
	return withUnit(c.Name, c.Unit) + " over " + over
}

func withUnit(name, unit string) string {
	if unit == "" {
		return name
	}
	return name + ", " + unit
}

// command writes a command line so that a shell takes it as it was.
func command(args []string) string {
	words := []string{"ws-bench"}
	for _, a := range args {
		if a == "" || strings.ContainsFunc(a, needsQuotes) {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

func needsQuotes(r rune) bool {
	return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=./,:+@%", r)
}
