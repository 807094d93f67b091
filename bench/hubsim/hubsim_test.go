package hubsim

import (
	"context"
	"runtime/debug"
	"strings"
	"testing"
)

func TestASimulationMeasuresEverything(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100)) // Run changes it
	r, err := Run(t.Context(), 20_000)
	if err != nil {
		t.Fatal(err)
	}
	of := make(map[string]float64)
	for _, f := range r {
		if of[f.Name] = f.Value; f.Value == 0 && f.Name != "heap held by that list" { // a list of so few may hold nothing that shows
			t.Errorf("%s was not measured", f.Name)
		}
	}
	if hub, heap := of["heap, each: hub"], of["heap, each: hub and netpoll's Conn"]; len(of) != 13 || hub < 100 || hub > 500 || heap <= hub || heap > hub+100 {
		t.Errorf("a session takes %v B of the heap, with its Conn %v; %d figures", hub, heap, len(of))
	}
	if worst := of["wheel tick, worst"]; of["wheel tick, median"] > worst || of["slice of a tick, worst"] > worst {
		t.Errorf("ticks: %v", of)
	}
}

func TestASimulationThatCannotBeIsRefused(t *testing.T) {
	for sessions, want := range map[int]string{0: "1,000 to", Most + 1: "1,000 to"} {
		if _, err := Run(t.Context(), sessions); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d sessions: %v", sessions, err)
		}
	}
	if err := room(1_000_000, 100<<20); err == nil || !strings.Contains(err.Error(), "simulate fewer") {
		t.Errorf("a million sessions in 100 MiB: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := Run(ended, 1_000); err == nil {
		t.Error("a simulation went on though nobody waited for it")
	}
}
