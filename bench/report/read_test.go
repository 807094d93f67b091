package report

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ws-gateway/bench/proc"
)

// recorded is a run of echo as its JSON lines.
func recorded(commit string, rounds []Round, summaries ...Summary) string {
	about := Run{
		Record: "run", Started: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), Args: []string{"echo", "--rounds", "5"},
		Commit: commit, Rounds: len(rounds), Machine: proc.Machine{Kernel: "6.18.0", CPU: "a processor", CPUs: 2, Go: "go1.26",
			Memory: 24 << 30, Sysctls: map[string]string{"net.core.somaxconn": "4096", "fs.nr_open": "1048576"}},
	}
	var b bytes.Buffer
	write := func(record any) {
		if err := WriteJSON(&b, record); err != nil {
			panic(err)
		}
	}
	write(about)
	for _, r := range rounds {
		r.Record = "round"
		write(r)
	}
	for _, s := range summaries {
		write(s)
	}
	return b.String()
}

// read reads lines that must be in order.
func read(t testing.TB, lines string) []Recording {
	t.Helper()
	all, err := Read(strings.NewReader(lines), "a file")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestWhatWasWrittenIsReadBack(t *testing.T) {
	lines := recorded("a", rounds(), Summarise(rounds())) + "\n" + recorded("b", rounds()[:1])
	all := read(t, lines)
	if len(all) != 2 || all[0].Run.Commit != "a" || len(all[0].Rounds) != 3 || len(all[1].Rounds) != 1 {
		t.Fatalf("got %+v", all)
	}
}

func TestRecordsOfTheFutureArePassedOver(t *testing.T) {
	all := read(t, `{"record":"weather","degrees":21}`+"\n"+recorded("a", rounds())+`{"record":"epilogue","figures":7}`+"\n")
	if len(all) != 1 || len(all[0].Rounds) != 3 {
		t.Errorf("got %+v", all)
	}
}

func TestABrokenLineIsNamed(t *testing.T) {
	run := recorded("a", nil)
	for name, c := range map[string]struct{ lines, want string }{
		"nothing":            {"", "runs.jsonl: there is no run in it"},
		"cut off":            {run + `{"record":"round","scen`, "runs.jsonl: line 2: unexpected end"},
		"not JSON":           {run + "\n" + run + "BenchmarkX 12 ns/op\n", "runs.jsonl: line 4: invalid character"},
		"another's JSON":     {run + `{"Action":"run"}`, "line 2: it is no line of ws-bench"},
		"not an object":      {run + `[1]`, "line 2: json:"},
		"no run":             {`{"record":"round"}`, "line 1: it belongs to no run"},
		"a wrong kind":       {run + `{"record":"round","figures":[{"name":"cpu","value":"fast"}]}`, "line 2: json: cannot unmarshal string"},
		"an absurd value":    {run + `{"record":"round","figures":[{"name":"cpu","value":1e99}]}`, `line 2: "cpu" is 1e+99`},
		"an absurd point":    {run + `{"record":"round","curves":[{"name":"memory","points":[[0,-1e16]]}]}`, `line 2: "memory" is -1e+16`},
		"disorder":           {run + `{"record":"round","curves":[{"name":"memory","points":[[2,0],[1,0]]}]}`, `line 2: curve "memory": x does not ascend`},
		"a line without end": {run + strings.Repeat("x", longestLine+1), "line 2: bufio.Scanner: token too long"},
	} {
		_, err := Read(strings.NewReader(c.lines), "runs.jsonl")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func TestRoundsOfSeveralRunsOfACommitCountTogether(t *testing.T) {
	all := read(t, recorded("a", rounds())+recorded("b", rounds()[:2])+recorded("a", rounds()[:1]))
	results := Results(all)
	if len(results) != 2 || results[0].Summary.Rounds != 4 || results[1].Summary.Rounds != 2 {
		t.Fatalf("got %+v", results)
	}
	if results[0].Version != (Version{Commit: "a"}) || results[1].Version != (Version{Commit: "b"}) {
		t.Errorf("versions %v and %v", results[0].Version, results[1].Version)
	}
}

func TestVersionsOfACaseStandBesideEachOther(t *testing.T) {
	cases := withCurves(2)
	var got []string
	for _, r := range Results(read(t, recorded("a", cases)+recorded("b", rounds())+recorded("b", cases))) {
		got = append(got, r.Summary.Case[:3]+r.Version.Commit)
	}
	if want := "[100a 100b 200a 200b 1,0b]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// FuzzRead feeds files of any kind: they are refused, or make a report that is
// well-formed.
func FuzzRead(f *testing.F) {
	f.Add(recorded("a", rounds(), Summarise(rounds())))
	f.Add(recorded("a", withCurves(2)) + recorded("b", withCurves(1)))
	f.Add(recorded("a", compared()))
	for _, axis := range []Axis{Percentile, Seconds, Connections, "luck"} {
		f.Add(recorded("a", []Round{{Scenario: "s", Case: "c", Curves: []Curve{
			{Name: "n", Axis: axis, Points: [][2]float64{{0, 0}, {0, 1e15}, {99.9999999, 1e-15}, {100, -3}, {1e15, 2}}}, {Axis: axis}}}}))
	}
	f.Add("{\"record\":\"run\",\"commit\":\"\\u001b[2J\",\"args\":[\"\\uffff\",\"it's\",\"\"]}\n{\"record\":\"round\"}")
	f.Fuzz(func(t *testing.T, lines string) {
		all, err := Read(strings.NewReader(lines), "file")
		if err != nil {
			return
		}
		Text(all, comparisonOf(all))
		wellFormed(t, pageOf(t, all))
	})
}

// comparisonOf says what benchstat is given of the first version.
func comparisonOf(all []Recording) string {
	var b strings.Builder
	if len(Versions(all)) > 1 {
		_ = WriteBench(&b, all, Versions(all)[0]) // a Builder never fails
	}
	return b.String()
}

// pageOf is the page of recordings.
func pageOf(t testing.TB, all []Recording) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteHTML(&b, all, comparisonOf(all)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// withCurves are rounds of several cases with every kind of curve.
func withCurves(cases int) []Round {
	var all []Round
	for c := range cases {
		for n := range 5 {
			v := float64(10*(c+1) + n)
			all = append(all, Round{
				Scenario: "echo", Case: fmt.Sprintf("%d connections, 64 B", 100*(c+1)), Round: n + 1,
				Figures: []Figure{{Name: "rate", Unit: "1/s", Value: 1e5 - v}, {Name: "cpu", Unit: "s", Value: v, Goal: 12.5}},
				Curves: []Curve{
					{Name: "latency", Unit: "ms", Axis: Percentile, Points: [][2]float64{{0, 0.1}, {50, v / 10}, {99, v}, {99.9, 2 * v}, {100, 3 * v}}},
					{Name: "resident", Unit: "MiB", Axis: Seconds, Points: [][2]float64{{0, v}, {60, v + 1}, {120, v + 1}}},
					{Name: "memory", Unit: "MiB", Axis: Connections, Points: [][2]float64{{0, v}, {1_000, v + 3}}},
				},
			})
		}
	}
	return all
}

// compared are rounds of ours and two peers.
func compared() (all []Round) {
	for server, values := range map[string][]float64{Ours: {10, 20, 40}, "gorilla/websocket": {20.4, 40, 80.8}, "C": {10.4, 20.6, 42}} {
		for i, v := range values {
			all = append(all, Round{
				Scenario: "compare", Case: "echo: " + server, Round: i + 1, Server: server,
				Figures: []Figure{{Name: "server CPU, a million", Unit: "s", Value: v, Compared: true}},
			})
		}
	}
	slices.SortFunc(all, func(a, b Round) int { return cmp.Or(cmp.Compare(a.Round, b.Round), cmp.Compare(b.Server, a.Server)) })
	return all
}
