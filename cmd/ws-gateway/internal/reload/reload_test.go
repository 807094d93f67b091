package reload

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestCompareNamesWhatDiffersByWhetherItCanBeChanged(t *testing.T) {
	before := []Option{
		{"same", []string{"a"}, nil, true}, {"list", []string{"a"}, nil, true}, {"file", "f", [1]byte{1}, true},
		{"port", 1, nil, false}, {"other", 1, nil, false},
	}
	now := []Option{
		{"same", []string{"a"}, nil, true}, {"list", []string{"a", "b"}, nil, true}, {"file", "f", [1]byte{2}, true},
		{"port", 2, nil, false}, {"other", 1, nil, false},
	}
	changed, restart := Compare(before, now)
	if !slices.Equal(changed, []string{"list", "file"}) || !slices.Equal(restart, []string{"port"}) {
		t.Errorf("changed %v, restart %v", changed, restart)
	}
	if changed, restart := Compare(now, now); changed != nil || restart != nil {
		t.Errorf("the same differs: %v, %v", changed, restart)
	}
}

func TestARecordShowsTheLastReloadAndSinceWhenTheConfigurationIsInForce(t *testing.T) {
	r := NewRecord(time.Unix(1000, 0))
	if _, ok := r.Last(); ok {
		t.Error("there has been a reload")
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(r)
	want := func(ok, at, restart float64) {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			value := f.GetMetric()[0].GetGauge().GetValue()
			if want, known := map[string]float64{
				"ws_gateway_config_last_reload_successful":                ok,
				"ws_gateway_config_last_reload_success_timestamp_seconds": at,
				"ws_gateway_config_restart_options":                       restart,
			}[f.GetName()]; known && value != want {
				t.Errorf("%s is %v, want %v", f.GetName(), value, want)
			}
		}
		if len(families) != 4 {
			t.Errorf("%d metrics", len(families))
		}
	}
	want(1, 1000, 0)
	r.Add(Outcome{At: time.Unix(2000, 0), Restart: []string{"listen"}})
	want(1, 2000, 1)
	r.Add(Outcome{At: time.Unix(3000, 0), Error: "wrong"})
	want(0, 2000, 1) // what is in force still waits for a restart
	r.Add(Outcome{At: time.Unix(4000, 0)})
	want(1, 4000, 0)
	if last, ok := r.Last(); !ok || last.Error != "" || !last.At.Equal(time.Unix(4000, 0)) {
		t.Errorf("%+v", last)
	}
}
