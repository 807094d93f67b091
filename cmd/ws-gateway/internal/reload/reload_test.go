package reload

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
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
	want := func(lines string) {
		t.Helper()
		if err := testutil.CollectAndCompare(r, strings.NewReader(lines), "ws_gateway_config_last_reload_successful",
			"ws_gateway_config_last_reload_success_timestamp_seconds", "ws_gateway_config_restart_options"); err != nil {
			t.Error(err)
		}
	}
	metrics := func(ok, at, restart string) string {
		return `# HELP ws_gateway_config_last_reload_success_timestamp_seconds Unix time at which a configuration last came into force, by a reload or the start.
# TYPE ws_gateway_config_last_reload_success_timestamp_seconds gauge
ws_gateway_config_last_reload_success_timestamp_seconds ` + at + `
# HELP ws_gateway_config_last_reload_successful 1 while the configuration that was last read is in force, the options apart that need a restart; 0 after a reload (SIGHUP) that failed.
# TYPE ws_gateway_config_last_reload_successful gauge
ws_gateway_config_last_reload_successful ` + ok + `
# HELP ws_gateway_config_restart_options Options that have been changed and need a restart.
# TYPE ws_gateway_config_restart_options gauge
ws_gateway_config_restart_options ` + restart + "\n"
	}
	want(metrics("1", "1000", "0"))
	r.Add(Outcome{At: time.Unix(2000, 0), Restart: []string{"listen"}})
	want(metrics("1", "2000", "1"))
	r.Add(Outcome{At: time.Unix(3000, 0), Error: "wrong"})
	want(metrics("0", "2000", "1")) // what is in force still waits for a restart
	r.Add(Outcome{At: time.Unix(4000, 0)})
	want(metrics("1", "4000", "0"))
	if last, ok := r.Last(); !ok || last.Error != "" || !last.At.Equal(time.Unix(4000, 0)) {
		t.Errorf("%+v", last)
	}
}
