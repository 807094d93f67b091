package report

import (
	"encoding/json"
	"io"
	"slices"
	"time"

	"ws-gateway/bench/proc"
)

// Figure is one measured value.
type Figure struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit"`
	Value float64 `json:"value"`
	Goal  float64 `json:"goal,omitempty"` // at most this; 0 if there is none
	Head  string  `json:"-"`              // of its column in a table of Rows; "" for none

	// Compared with the same figure of the other servers.
	Compared bool `json:"compared,omitempty"`
	// Limit is how many times a peer's figure ours may be at most; 0 if there is none.
	Limit float64 `json:"limit,omitempty"`
}

// Run describes a run of the harness.
type Run struct {
	Record  string       `json:"record"` // "run"
	Started time.Time    `json:"started"`
	Args    []string     `json:"args"`
	Commit  string       `json:"commit"` // of the server under test
	Dirty   bool         `json:"dirty"`  // it has changes that are not committed
	Machine proc.Machine `json:"machine"`
	Rounds  int          `json:"rounds"`
}

// Host is how busy the machine was during a round. Others are the processes
// that have nothing to do with the measurement; shares are of all processors.
type Host struct {
	LoadAverage float64 `json:"load_average"` // at the start, over a minute
	Others      float64 `json:"others"`       // 0 to 1
	Steal       float64 `json:"steal"`        // 0 to 1: taken by the host for other machines
}

// Round is one round of one case.
type Round struct {
	Record   string   `json:"record"` // "round"
	Scenario string   `json:"scenario"`
	Case     string   `json:"case"`
	Round    int      `json:"round"`            // from 1
	Server   string   `json:"server,omitempty"` // of a comparison: whose turn it was
	Figures  []Figure `json:"figures"`
	Notes    []string `json:"notes,omitempty"`
	Broken   []string `json:"broken,omitempty"` // what must hold and did not
	Curves   []Curve  `json:"curves,omitempty"`
	Host     Host     `json:"host"`
}

// Axis is what the x of a Curve counts.
type Axis string

// The axes.
const (
	Percentile  Axis = "percentile"  // 0 to 100
	Seconds     Axis = "seconds"     // since the round began
	Connections Axis = "connections" // that are open, or that a send has as targets
)

// Curve is a value measured at many places: latency over percentiles, memory
// over time or over connections.
type Curve struct {
	Name   string       `json:"name"`
	Unit   string       `json:"unit"`   // of y
	Axis   Axis         `json:"axis"`   // of x
	Points [][2]float64 `json:"points"` // x, y; x ascends; a few hundred at most
}

// Line is a figure over all rounds.
type Line struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit"`
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Values []float64 `json:"values"` // in the order of the rounds
	Goal   float64   `json:"goal,omitempty"`
	Met    bool      `json:"met"` // false if there is no goal
}

// Note is a remark and in how many rounds it was made.
type Note struct {
	Text   string `json:"text"`
	Rounds int    `json:"rounds"`
}

// Summary is one case over all rounds.
type Summary struct {
	Record   string `json:"record"` // "summary"
	Scenario string `json:"scenario"`
	Case     string `json:"case"`
	Rounds   int    `json:"rounds"`
	Lines    []Line `json:"figures"`
	Notes    []Note `json:"notes,omitempty"`
	Broken   []Note `json:"broken,omitempty"` // what must hold and did not
	Others   Line   `json:"others"`           // of Host, in per cent
	Steal    Line   `json:"steal"`
}

// Summarise puts the rounds of one case together; there must be one at least.
// Figures are matched by name and stand in the order of their first appearance.
func Summarise(rounds []Round) Summary {
	s := Summary{Record: "summary", Scenario: rounds[0].Scenario, Case: rounds[0].Case, Rounds: len(rounds)}
	others, steal := Line{Name: "others", Unit: "%"}, Line{Name: "steal", Unit: "%"}
	for _, r := range rounds {
		for _, f := range r.Figures {
			i := slices.IndexFunc(s.Lines, func(l Line) bool { return l.Name == f.Name })
			if i < 0 {
				i = len(s.Lines)
				s.Lines = append(s.Lines, Line{Name: f.Name, Unit: f.Unit, Goal: f.Goal})
			}
			s.Lines[i].Values = append(s.Lines[i].Values, f.Value)
		}
		s.Notes, s.Broken = noted(s.Notes, r.Notes), noted(s.Broken, r.Broken)
		others.Values = append(others.Values, 100*r.Host.Others)
		steal.Values = append(steal.Values, 100*r.Host.Steal)
	}
	for i := range s.Lines {
		s.Lines[i].settle()
	}
	others.settle()
	steal.settle()
	s.Others, s.Steal = others, steal
	return s
}

// settle computes what follows from the values.
func (l *Line) settle() {
	l.Median, l.Min, l.Max = Median(l.Values), slices.Min(l.Values), slices.Max(l.Values)
	l.Met = l.Goal > 0 && l.Median <= l.Goal
}

// Median returns the middle of values, or the mean of the two in the middle;
// there must be one at least.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// WriteJSON writes a record as one line.
func WriteJSON(w io.Writer, record any) error { return json.NewEncoder(w).Encode(record) }
