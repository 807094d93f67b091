package report

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func line(unit string, values ...float64) Line {
	l := Line{Name: "figure", Unit: unit, Values: values}
	l.settle()
	return l
}

func TestOnlyWhatIsOutsideOfTheNoiseHasChanged(t *testing.T) {
	for name, c := range map[string]struct {
		before, after Line
		want          Verdict
	}{
		"less time":                       {line("s", 10, 11, 12, 13), line("s", 6, 7, 8, 9), Better},
		"more time":                       {line("ms", 6, 7, 8, 9), line("ms", 10, 11, 12, 13), Worse},
		"more memory":                     {line("MiB", 6, 7, 8, 9), line("MiB", 10, 11, 12, 13), Worse},
		"a higher rate":                   {line("1/s", 6, 7, 8, 9), line("1/s", 10, 11, 12, 13), Better},
		"a lower rate":                    {line("1/s", 10, 11, 12, 13), line("1/s", 6, 7, 8, 9), Worse},
		"one round in the other's range":  {line("s", 10, 11, 12, 13), line("s", 6, 7, 8, 10), WithinNoise},
		"one round far outside":           {line("s", 10, 10, 10, 10), line("s", 5, 5, 5, 50), WithinNoise},
		"three per cent":                  {line("s", 100, 100, 100, 100), line("s", 103, 103, 103, 103), WithinNoise},
		"more than three per cent":        {line("s", 100, 100, 100, 100), line("s", 103.1, 103.1, 103.1, 103.1), Worse},
		"the same":                        {line("s", 0, 0, 0, 0), line("s", 0, 0, 0, 0), WithinNoise},
		"something where nothing was":     {line("s", 0, 0, 0, 0), line("s", 1, 1, 1, 1), Worse},
		"below zero":                      {line("B", -5, -5, -5, -5), line("B", -9, -9, -9, -9), Better},
		"three rounds before":             {line("s", 10, 11, 12), line("s", 6, 7, 8, 9), TooFew},
		"three rounds after":              {line("s", 10, 11, 12, 13), line("s", 6, 7, 8), TooFew},
		"a share, of which nobody knows":  {line("%", 10, 11, 12, 13), line("%", 6, 7, 8, 9), Moved},
		"a count, of which nobody knows":  {line("", 10, 11, 12, 13), line("", 6, 7, 8, 9), Moved},
		"a count that has an upper limit": {Line{Goal: 1, Values: make([]float64, 4), Median: 2, Min: 2, Max: 2}, line("", 1, 1, 1, 1), Better},
	} {
		if got := change(c.before, c.after); got.Verdict != c.want {
			t.Errorf("%s: got %s, want %s", name, got.Verdict, c.want)
		}
	}
	if got := change(line("s", 4), line("s", 6)); got.Ratio != 1.5 || got.Overlap {
		t.Errorf("got %+v", got)
	}
	if got := change(line("s", 0), line("s", 6)); got.Ratio != 0 {
		t.Errorf("a ratio to nothing: %v", got.Ratio)
	}
}

func TestEachLaterVersionIsComparedWithTheFirst(t *testing.T) {
	all := read(t, recorded("a", rounds())+recorded("b", rounds())+recorded("c", rounds()[:1]))
	var pairs []string
	for _, c := range Compare(Results(all)) {
		pairs = append(pairs, c.Before.Commit+c.After.Commit)
		if len(c.Changes) != 2 || c.Case != "1,000 connections" {
			t.Errorf("got %+v", c)
		}
	}
	if !reflect.DeepEqual(pairs, []string{"ab", "ac"}) {
		t.Errorf("compared %v", pairs)
	}
	all[1].Run.Commit, all[1].Run.Dirty = "a", true
	if got := Compare(Results(all[:2])); len(got) != 1 || got[0].After.String() != "a with changes" {
		t.Errorf("a commit with changes is not itself: %+v", got)
	}
	if got := Compare(Results(all[:1])); got != nil {
		t.Errorf("one version was compared with %+v", got)
	}
}

func TestWhatElseDiffersIsSaid(t *testing.T) {
	all := read(t, recorded("a", rounds())+recorded("b", rounds()))
	all[0].Run.Args = []string{"echo", "--gateway", "old", "--json=a", "--rounds", "3", "--size", "64"}
	all[1].Run.Args = []string{"echo", "--gateway=new", "--json", "b", "--size", "64"}
	caveats := func() string { return strings.Join(Compare(Results(all))[0].Caveats, "\n") }
	if got := caveats(); got != "" {
		t.Errorf("runs that can be compared: %s", got)
	}
	all[1].Run.Args = append(all[1].Run.Args, "--busy")
	all[1].Run.Machine.Kernel = "7.0.0"
	all[1].Rounds[0].Host.Others, all[1].Rounds[1].Host.Others = 0.3, 0.2
	got := caveats()
	for _, want := range []string{"different machines", "echo --size 64 and echo --size 64 --busy", "20.0 % after"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not said in: %s", want, got)
		}
	}
}

func TestTheTerminalHasTablesPeersAndChanges(t *testing.T) {
	var b bytes.Buffer
	if err := WriteText(&b, fullReport(t)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"echo: 100 connections, 64 B · aaaaaaaaa; 5 rounds", "compare: echo; aaaaaaaaa against the peers",
		"  C                           12.6     1.04  1.03  1.05", "echo: 300 connections, 64 B; aaaaaaaaa, then bbbbbbbbb", "within noise",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}

func TestACurveOverRoundsIsTheMedianWhereAllHaveSomething(t *testing.T) {
	got := medianCurve([][][2]float64{
		{{0, 1}, {10, 11}, {20, 21}, {25, 26}, {30, 31}},
		{{5, 100}, {15, 200}, {20, 300}, {35, 400}},
		{{0, 2}, {5, 3}, {10, 4}, {38, 32}, {40, 34}},
		nil,
	})
	want := [][2]float64{{5, 6}, {15, 16}, {20, 21}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := medianCurve(nil); got != nil {
		t.Errorf("got %v of nothing", got)
	}
	long := make([][2]float64, 1_000)
	for i := range long {
		long[i] = [2]float64{float64(i), 1}
	}
	if got := medianCurve([][][2]float64{long}); len(got) != mostPoints || got[0] != long[0] || got[mostPoints-1] != long[999] {
		t.Errorf("%d points", len(got))
	}
}
