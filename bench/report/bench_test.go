package report

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func TestAVersionIsWrittenForBenchstat(t *testing.T) {
	all := read(t, recorded("a", rounds()[:2])+recorded("b", rounds()))
	all[0].Run.Args = []string{"echo", "--gateway", "old", "--json=a", "--rounds", "3", "--size", "64"}
	var b bytes.Buffer
	if err := WriteBench(&b, all, Version{Commit: "a"}); err != nil {
		t.Fatal(err)
	}
	const want = `machine: a processor, 2 processors, 6.18.0, go1.26
options: echo --size 64
Benchmarkecho/1,000_connections 1 90000 messages,_1/s 13 server_CPU,_a_million,_s 2 others,_% 0 steal,_%
Benchmarkecho/1,000_connections 1 92000 messages,_1/s 12 server_CPU,_a_million,_s 0 others,_% 10 steal,_%
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &b, want)
	}
	if got := Versions(all); !reflect.DeepEqual(got, []Version{{Commit: "a"}, {Commit: "b"}}) {
		t.Errorf("versions %v", got)
	}
}

func TestTheTerminalHasTablesPeersAndChanges(t *testing.T) {
	got := Text(fullReport(t), "echo: within noise\n")
	for _, want := range []string{
		"echo: 100 connections, 64 B · aaaaaaaaa; 5 rounds", "compare: echo; aaaaaaaaa against the peers",
		"  C                           20.6     1.04  1.03  1.05", "echo: within noise",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}
