package admin

import (
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"ws-gateway/cluster"
	"ws-gateway/forward"
	"ws-gateway/netpoll"
)

func TestMetricsAreNamedAsPrometheusAsks(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.Callbacks = func() forward.Stats { return forward.Stats{} }
		c.ClusterStats = func() cluster.Stats { return cluster.Stats{} }
	})
	families, err := r.admin.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	own := 0
	for _, f := range families {
		name := f.GetName()
		if !strings.HasPrefix(name, "ws_gateway_") {
			continue
		}
		own++
		if !model.LegacyValidation.IsValidMetricName(name) || strings.ToLower(name) != name {
			t.Errorf("%s is not a good name", name)
		}
		if counter := f.GetType().String() == "COUNTER"; counter != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %v", name, f.GetType())
		}
		if help := f.GetHelp(); len(help) < 10 || !strings.HasSuffix(help, ".") {
			t.Errorf("%s has the help %q", name, help)
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				switch l.GetName() {
				case "action", "cause", "outcome", "peer", "reason", "result", "route", "state", "version", "go_version", "target", "initiator", "code", "budget", "origin", "here":
				default:
					t.Errorf("%s has the label %s", name, l.GetName())
				}
			}
		}
	}
	want := -2 // closes and durations of requests appear once there are some
	for _, name := range described(r.admin.registry) {
		if strings.HasPrefix(name, "ws_gateway_") {
			want++
		}
	}
	if own != want {
		t.Errorf("%d metrics of our own, want %d", own, want)
	}
}

// described are the names of all metrics that a collector may have.
func described(c prometheus.Collector) (names []string) {
	found := make(chan *prometheus.Desc, 1000)
	c.Describe(found)
	close(found)
	for d := range found {
		names = append(names, descName.FindStringSubmatch(d.String())[1])
	}
	return names
}

var descName = regexp.MustCompile(`fqName: "([^"]*)"`)

func TestTheMetricsRouteSpeaksThePrometheusTextFormat(t *testing.T) {
	r := newRig(t)
	r.dial("alice", "")
	r.dial("bob", "")
	r.ok(sendPath, `{"payload":1,"users":["alice"],"report":true}`, `{"code":0,"message":"success","data":{"matched":1,"queued":1,"slow":0}}`)
	r.ok(sendPath, `{}`, `{"code":400,"message":"send message target is nil"}`)
	r.do("GET", listPath, "", "Origin: https://example.org")
	got := r.do("GET", "/metrics", "")
	if got.status != 200 || got.header.Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" {
		t.Fatalf("answered %d %q", got.status, got.header.Get("Content-Type"))
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	if _, err := parser.TextToMetricFamilies(strings.NewReader(got.body)); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`ws_gateway_connections 2`,
		`ws_gateway_users 2`,
		`ws_gateway_sockets{state="open"} 2`,
		`ws_gateway_upgraded_total 2`,
		`ws_gateway_sends_total{target="users"} 1`,
		`ws_gateway_send_targets_total{target="users"} 1`,
		`ws_gateway_handshake_duration_seconds_count 2`,
		`ws_gateway_api_request_duration_seconds_count{route="send"} 1`,
		`ws_gateway_closed_total{cause="` + netpoll.PingTimeout.String() + `"} 0`,
		`ws_gateway_upgrades_refused_total{reason="origin"} 0`,
		`ws_gateway_api_requests_total{result="served",route="send"} 1`,
		`ws_gateway_api_requests_total{result="invalid",route="send"} 1`,
		`ws_gateway_api_requests_total{result="refused",route="list"} 1`,
		`ws_gateway_api_connections{peer="local"} `,
		`ws_gateway_ready 1`,
		`go_goroutines`,
		`process_open_fds`,
		`ws_gateway_build_info{go_version="go`,
		`version="test"} 1`,
	} {
		if !strings.Contains(got.body, line) {
			t.Errorf("no line %s", line)
		}
	}
	for _, absent := range []string{"alice", "ws_gateway_callback", "ws_gateway_app_down"} {
		if strings.Contains(got.body, absent) {
			t.Errorf("%q appears in the metrics of a gateway that only pushes", absent)
		}
	}
}
