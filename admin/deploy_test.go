package admin

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"ws-gateway/cluster"
	"ws-gateway/forward"
)

// series returns the names of all metrics that a query can name, including those of package
// forward, the Go runtime and the process, and the known values of some labels.
func series(t *testing.T) (names map[string]bool, labels map[string]map[string]bool) {
	t.Helper()
	f, err := forward.New(forward.Config{URL: "http://127.0.0.1:1/", Batch: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Drain(t.Context())
	names, labels = make(map[string]bool), make(map[string]map[string]bool)
	add := func(c prometheus.Collector) {
		for _, name := range described(c) {
			names[name] = true
			if strings.HasSuffix(name, "_seconds") || strings.HasSuffix(name, "_events") {
				names[name+"_bucket"], names[name+"_count"], names[name+"_sum"] = true, true, true
			}
		}
	}
	r := newRig(t, func(c *Config) {
		c.Callbacks = func() forward.Stats { return forward.Stats{} }
		c.ClusterStats = func() cluster.Stats { return cluster.Stats{} }
	})
	add(r.admin.registry)
	for _, c := range f.Collectors() {
		add(c)
	}
	// The program's own metrics are not known here, but in the documents' table, which a
	// test of the program compares with its answer.
	table, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `(ws_gateway_\\w+)` \\|").FindAllSubmatch(table, -1) {
		names[string(row[1])] = true
	}
	know := func(label string, values ...string) {
		if labels[label] == nil {
			labels[label] = make(map[string]bool)
		}
		for _, v := range values {
			labels[label][v] = true
		}
	}
	families, err := r.admin.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if label := l.GetName(); label == "outcome" || label == "cause" || f.GetName() == "ws_gateway_upgrades_refused_total" || f.GetName() == "ws_gateway_cluster_messages_given_up_total" {
					know(label, l.GetValue())
				}
			}
		}
	}
	return names, labels
}

var (
	metricName   = regexp.MustCompile(`\b(?:ws_gateway|process|go)_[a-z_]+`)
	labelMatcher = regexp.MustCompile(`\b(outcome|cause|reason)(?:!=|=~|=)\\?"([^"\\]*)\\?"`)
)

func TestDashboardAndAlertsAskForMetricsThatExist(t *testing.T) {
	names, labels := series(t)
	for _, path := range []string{"../deploy/grafana/ws-gateway.json", "../deploy/prometheus/alerts.yaml", "../deploy/prometheus/alerts_test.yaml"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found := metricName.FindAllString(string(text), -1)
		if len(found) == 0 {
			t.Errorf("%s: no metric", path)
		}
		for _, name := range found {
			if !names[name] {
				t.Errorf("%s: there is no metric %s", path, name)
			}
		}
		for _, m := range labelMatcher.FindAllStringSubmatch(string(text), -1) {
			for value := range strings.SplitSeq(m[2], "|") {
				if !labels[m[1]][value] {
					t.Errorf("%s: the label %s never has the value %q", path, m[1], value)
				}
			}
		}
	}
}

func TestTheDashboardsPanelsDoNotOverlap(t *testing.T) {
	text, err := os.ReadFile("../deploy/grafana/ws-gateway.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	if len(dashboard.Panels) < 20 {
		t.Fatalf("%d panels", len(dashboard.Panels))
	}
	for _, name := range []string{"connections_away", "resumed_total", "resume_missed_total", "resume_overruns_total", "resume_expired_total", "meta_connections"} {
		if !strings.Contains(string(text), "ws_gateway_"+name) {
			t.Errorf("no panel has %s", name)
		}
	}
	taken, ids := make(map[[2]int]string), make(map[int]bool)
	for _, p := range dashboard.Panels {
		if ids[p.ID] {
			t.Errorf("%s: the id %d is taken", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s at %d, %d: %q is there, or it is outside", p.Title, x, y, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}
