package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Verdict is what may be said of a figure of two versions.
type Verdict string

// The verdicts. What has moved is Better or Worse where the unit says which: more
// of a rate (1/s) is better, less of time and memory is, and of a figure that has
// a goal, which is an upper limit. Of the others it is only said that they moved.
const (
	TooFew      Verdict = "too few rounds"
	WithinNoise Verdict = "within noise"
	Better      Verdict = "better"
	Worse       Verdict = "worse"
	Moved       Verdict = "moved"
)

// What it takes to call a figure changed. Rounds of the same code are apart by
// chance in one of 35 figures where there are four of each, in one of 126 where
// there are five; of the hundred figures of a full run a few will be.
const (
	fewestRounds = 4
	smallestMove = 0.03 // of the median
)

// Change is a figure of two versions.
type Change struct {
	Name, Unit    string
	Before, After Line
	Ratio         float64 // of the medians, after to before; 0 where before is 0
	Overlap       bool    // some of the rounds of one lie within the range of the other's
	Verdict       Verdict
}

// Comparison is a case of two versions.
type Comparison struct {
	Scenario, Case string
	Before, After  Version
	Changes        []Change
	Caveats        []string // why the two may not be comparable
}

// Compare puts the first version of each case beside each later one.
func Compare(results []Result) []Comparison {
	var all []Comparison
	for i, after := range results {
		first := slices.IndexFunc(results, func(r Result) bool {
			return r.Summary.Scenario == after.Summary.Scenario && r.Summary.Case == after.Summary.Case
		})
		if first < i {
			all = append(all, compare(results[first], after))
		}
	}
	return all
}

func compare(before, after Result) Comparison {
	c := Comparison{
		Scenario: before.Summary.Scenario, Case: before.Summary.Case, Before: before.Version, After: after.Version,
		Caveats: caveats(before, after),
	}
	for _, b := range before.Summary.Lines {
		i := slices.IndexFunc(after.Summary.Lines, func(l Line) bool { return l.Name == b.Name && l.Unit == b.Unit })
		if i >= 0 {
			c.Changes = append(c.Changes, change(b, after.Summary.Lines[i]))
		}
	}
	return c
}

// change judges: a figure has moved where no round of the one version lies in the
// range of the other's rounds and the median is more than 3 % away. Anything
// less is noise, and with fewer than four rounds of each nothing can be said.
func change(before, after Line) Change {
	c := Change{
		Name: before.Name, Unit: before.Unit, Before: before, After: after,
		Overlap: before.Min <= after.Max && after.Min <= before.Max,
	}
	if before.Median != 0 {
		c.Ratio = after.Median / before.Median
	}
	moved := after.Median - before.Median
	switch better := direction(before); {
	case len(before.Values) < fewestRounds || len(after.Values) < fewestRounds:
		c.Verdict = TooFew
	case c.Overlap, math.Abs(moved) <= smallestMove*math.Abs(before.Median):
		c.Verdict = WithinNoise
	case better == 0:
		c.Verdict = Moved
	case (moved > 0) == (better > 0):
		c.Verdict = Better
	default:
		c.Verdict = Worse
	}
	return c
}

// direction is 1 where more is better, -1 where less is, 0 where nobody knows.
func direction(l Line) int {
	switch {
	case l.Goal > 0:
		return -1
	case strings.HasSuffix(l.Unit, "/s"):
		return 1
	case slices.Contains([]string{"s", "ms", "µs", "ns", "B", "KiB", "MiB", "GiB"}, l.Unit):
		return -1
	default:
		return 0
	}
}

// caveats says what differs between two results besides the code.
func caveats(before, after Result) []string {
	var all []string
	if a, b := machinesOf(before.Runs), machinesOf(after.Runs); !slices.Equal(a, b) {
		all = append(all, "measured on different machines, kernels or versions of Go")
	}
	if a, b := optionsOf(before.Runs), optionsOf(after.Runs); !slices.Equal(a, b) {
		all = append(all, "measured with different options: "+strings.Join(a, "; ")+" and "+strings.Join(b, "; "))
	}
	if a, b := disturbance(before.Summary), disturbance(after.Summary); max(a, b) > 5 {
		all = append(all, fmt.Sprintf("others and the host took %s %% of the machine before, %s %% after: time, rate and CPU move with that", Number(a), Number(b)))
	}
	return all
}

// disturbance is what others and the machine's host took, in per cent.
func disturbance(s Summary) float64 { return s.Others.Median + s.Steal.Median }

func machinesOf(runs []Run) []string {
	var all []string
	for _, r := range runs {
		all = append(all, strings.Join([]string{r.Machine.CPU, Count(float64(r.Machine.CPUs)), r.Machine.Kernel, r.Machine.Go}, "\x00"))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// optionsOf lists the commands without what changes no figure: which binary it
// was, where the output went, how many rounds there were.
func optionsOf(runs []Run) []string {
	var all []string
	for _, r := range runs {
		var kept []string
		for i := 0; i < len(r.Args); i++ {
			name, _, attached := strings.Cut(r.Args[i], "=")
			if slices.Contains([]string{"--json", "--html", "--gateway", "--rounds"}, name) {
				if !attached {
					i++
				}
				continue
			}
			kept = append(kept, r.Args[i])
		}
		all = append(all, strings.Join(kept, " "))
	}
	slices.Sort(all)
	return slices.Compact(all)
}
