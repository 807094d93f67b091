package hubsim

import (
	"context"
	"reflect"
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
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Result]()) {
		if f.Name == "ListHeldKiB" { // a list of so few may hold nothing that shows
			continue
		}
		if v := reflect.ValueOf(r).FieldByIndex(f.Index); v.IsZero() {
			t.Errorf("%s was not measured", f.Name)
		}
	}
	if r.HubBytes < 100 || r.HubBytes > 500 || r.HeapBytes <= r.HubBytes || r.HeapBytes > r.HubBytes+100 {
		t.Errorf("a session takes %v B of the heap, with its Conn %v", r.HubBytes, r.HeapBytes)
	}
	if r.TickMs > r.WorstTickMs || r.WorstSliceMs > r.WorstTickMs {
		t.Errorf("median tick %v ms, worst %v, worst slice %v", r.TickMs, r.WorstTickMs, r.WorstSliceMs)
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
