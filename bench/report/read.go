package report

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// Recording is a run as its JSON lines tell it. Rounds of the same scenario and
// case are in the order in which they were measured. Summaries are made of them anew.
type Recording struct {
	Run    Run
	Rounds []Round
}

// longestLine bounds a line of JSON, in bytes: a round with its curves is a
// hundredth of it.
const longestLine = 16 << 20

var (
	errNoRun     = errors.New("there is no run in it: was it written with --json?")
	errHeadless  = errors.New("it belongs to no run: a line with \"record\":\"run\" must come first")
	errNoRecord  = errors.New("it is no line of ws-bench: it has no \"record\"")
	errUnordered = errors.New("x does not ascend")
	errAbsurd    = errors.New("nobody can have measured that")
)

// Read reads the JSON lines of one or several runs. Records of a kind that it
// does not know are passed over; whatever else cannot be read is an error that
// names the line. name is that of the file, for errors.
func Read(r io.Reader, name string) ([]Recording, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, longestLine)
	var all []Recording
	n := 0
	for lines.Scan() {
		n++
		if len(lines.Bytes()) == 0 {
			continue
		}
		var err error
		if all, err = appendRecord(all, lines.Bytes()); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", name, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: line %d: %w", name, n+1, err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: %w", name, errNoRun)
	}
	return all, nil
}

// appendRecord adds what a line holds to the last of the recordings, or, if it
// begins a run, a recording.
func appendRecord(all []Recording, line []byte) ([]Recording, error) {
	var kind struct{ Record string }
	if err := json.Unmarshal(line, &kind); err != nil {
		return nil, err
	}
	switch kind.Record {
	case "":
		return nil, errNoRecord
	case "run":
		var r Run
		err := json.Unmarshal(line, &r)
		return append(all, Recording{Run: r}), err
	case "round":
		if len(all) == 0 {
			return nil, errHeadless
		}
		var r Round
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, err
		}
		rec := &all[len(all)-1]
		rec.Rounds = append(rec.Rounds, r)
		return all, r.check()
	default:
		return all, nil
	}
}

func (r Round) check() error {
	for _, f := range r.Figures {
		if err := plausible(f.Name, f.Value, f.Goal); err != nil {
			return err
		}
	}
	for _, c := range r.Curves {
		for _, p := range c.Points {
			if err := plausible(c.Name, p[0], p[1]); err != nil {
				return err
			}
		}
		if !slices.IsSortedFunc(c.Points, byX) {
			return fmt.Errorf("curve %q: %w", c.Name, errUnordered)
		}
	}
	return plausible("host", r.Host.LoadAverage, r.Host.Others, r.Host.Steal)
}

// absurd is what no figure exceeds.
const absurd = 1e15

// plausible refuses what nobody can have measured and no axis could show.
// Memory for each connection may well have shrunk.
func plausible(name string, values ...float64) error {
	for _, v := range values {
		if math.Abs(v) > absurd {
			return fmt.Errorf("%q is %v: %w", name, v, errAbsurd)
		}
	}
	return nil
}

func byX(a, b [2]float64) int { return cmp.Compare(a[0], b[0]) }
