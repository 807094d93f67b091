package hubsim

import (
	"runtime/debug"
	"testing"
)

func TestASimulationOfGroupsMeasuresEverything(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100)) // RunGroups changes it
	for per, most := range map[int]float64{100: 28, 1: 160} {
		figures, err := RunGroups(t.Context(), 40_000, per)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range figures {
			if f.Value <= 0 {
				t.Errorf("groups of %d: %s was not measured", per, f.Name)
			}
			if f.Unit == "B" && (f.Value < 24 || f.Value > most) {
				t.Errorf("groups of %d: %s is %v", per, f.Name, f.Value)
			}
		}
	}
	for _, sizes := range [][2]int{{10, 1}, {1_000, 0}, {1_000, 1_001}} {
		if _, err := RunGroups(t.Context(), sizes[0], sizes[1]); err == nil {
			t.Errorf("%v was simulated", sizes)
		}
	}
}
