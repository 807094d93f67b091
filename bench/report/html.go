package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"ws-gateway/bench/report/chart"
)

//go:embed page.tmpl
var pageSource string

//go:embed page.css
var pageCSS string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"number": Number, "plural": plural, "strip": strip,
}).Parse(pageSource))

// page is what the template shows.
type page struct {
	CSS         template.CSS
	Versions    []Version
	First, Last time.Time
	Runs        []ranView
	Machines    []machineView
	Goals       []goalView
	Met         int
	Comparison  string
	Scenarios   []scenarioView
}

// ranView is a run, with how busy others kept the machine during it.
type ranView struct {
	Run
	Command             string
	Others, Steal, Load Line
}

type machineView struct {
	Run
	Memory  string
	Sysctls [][2]string
}

type goalView struct {
	Scenario, Case string
	Version        Version
	Line
}

type scenarioView struct {
	Name    string
	Figures []figureView
	Results []resultView
}

type resultView struct {
	Result
	Name string // the case, and the version if there are several
}

// figureView is a chart and the table of what it shows.
type figureView struct {
	Title, Text string
	Chart       template.HTML
	Head        []string
	Rows        [][]string
}

// WriteHTML writes the report as one page that needs no network and no other
// file, for the screen and for paper. comparison is what benchstat says of several
// versions. The same recordings make the same page.
func WriteHTML(w io.Writer, all []Recording, comparison string) error {
	results := Results(all)
	p := page{CSS: chart.CSS() + template.CSS(pageCSS), Versions: Versions(all), Comparison: comparison, Runs: ranViews(all), Machines: machineViews(all)}
	for i, r := range p.Runs {
		if i == 0 || r.Started.Before(p.First) {
			p.First = r.Started
		}
		if r.Started.After(p.Last) {
			p.Last = r.Started
		}
	}
	for i, r := range results {
		if i < lastOf(results, r) {
			continue
		}
		for _, l := range r.Summary.Lines {
			if l.Goal > 0 {
				p.Goals = append(p.Goals, goalView{r.Summary.Scenario, r.Summary.Case, r.Version, l})
			}
			if l.Met {
				p.Met++
			}
		}
	}
	ratios := ratiosOf(all)
	names := append(distinct(results, scenarioOf), distinct(ratios, func(r versionRatio) string { return r.Scenario })...)
	for i, name := range distinct(names, func(name string) string { return name }) {
		p.Scenarios = append(p.Scenarios, scenarioPage(fmt.Sprintf("s%d", i+1), name, results, ratios, p.Versions))
	}
	var b strings.Builder
	if err := pageTemplate.Execute(&b, p); err != nil {
		return fmt.Errorf("making the page: %w", err)
	}
	_, err := io.WriteString(w, printable(b.String()))
	return err
}

// lastOf returns the place of the last version of a case: goals are its.
func lastOf(results []Result, r Result) int {
	for i, o := range slices.Backward(results) {
		if o.Summary.Scenario == r.Summary.Scenario && o.Summary.Case == r.Summary.Case {
			return i
		}
	}
	return -1
}

func ranViews(all []Recording) []ranView {
	var views []ranView
	for _, rec := range all {
		v := ranView{Run: rec.Run, Command: command(rec.Run.Args)}
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
		views = append(views, v)
	}
	return views
}

// machineViews describes each machine once.
func machineViews(all []Recording) []machineView {
	var views []machineView
	for _, rec := range all {
		m := rec.Run.Machine
		v := machineView{Run: rec.Run, Memory: Number(float64(m.Memory)/(1<<30)) + " GiB"}
		for name, value := range m.Sysctls {
			v.Sysctls = append(v.Sysctls, [2]string{name, value})
		}
		slices.SortFunc(v.Sysctls, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
		if !slices.ContainsFunc(views, func(o machineView) bool { return sameMachine(o, v) }) {
			views = append(views, v)
		}
	}
	return views
}

func sameMachine(a, b machineView) bool {
	x, y := a.Machine, b.Machine
	return x.CPU == y.CPU && x.CPUs == y.CPUs && x.Kernel == y.Kernel && x.Go == y.Go && x.Arch == y.Arch && x.Memory == y.Memory &&
		slices.Equal(a.Sysctls, b.Sysctls)
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

func strip(l Line) template.HTML {
	values := make([]string, len(l.Values))
	for i, v := range l.Values {
		values[i] = Number(v)
	}
	words := "rounds: " + strings.Join(values, "; ")
	if l.Goal > 0 {
		words += "; goal: at most " + Number(l.Goal)
	}
	return chart.Strip{Values: l.Values, Goal: l.Goal, Words: words}.SVG()
}
