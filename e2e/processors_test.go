package e2e_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

func TestProcessorsAndLoopsAreThoseThatTheReadyLineAndTheMetricsSay(t *testing.T) {
	usual := fmt.Sprint(runtime.NumCPU())
	if runtime.NumCPU() <= 2 {
		usual = "1"
	}
	for _, c := range []struct {
		env, args  string
		processors string
		loops      string
	}{
		{"GOMAXPROCS=", "", usual, usual}, // unless the tests run under a quota
		{"GOMAXPROCS=3", "", "3", "3"},
		{"GOMAXPROCS=3", "--loops=5", "3", "5"},
	} {
		g := launch{args: append([]string{"--no-callback"}, strings.Fields(c.args)...), env: []string{c.env}}.start(t)
		if p, l := fmt.Sprint(g.Ready.Fields["processors"]), fmt.Sprint(g.Ready.Fields["loops"]); p != c.processors || l != c.loops {
			t.Errorf("%s %s: %s processors and %s loops, want %s and %s", c.env, c.args, p, l, c.processors, c.loops)
		}
	}
}
