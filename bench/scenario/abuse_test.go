package scenario

import (
	"errors"
	"strings"
	"testing"
	"time"

	"ws-gateway/bench/abuse"
	"ws-gateway/bench/load"
	"ws-gateway/bench/proc"
	"ws-gateway/bench/sink"
)

func TestMetricsAreReadByNameAndLabel(t *testing.T) {
	m, err := parseMetrics([]byte(`# HELP ws_gateway_connections Open.
# TYPE ws_gateway_connections gauge
ws_gateway_connections 7
# TYPE ws_gateway_closed_total counter
ws_gateway_closed_total{cause="peer_closed"} 3
ws_gateway_closed_total{cause="ping_timeout"} 4
# TYPE go_goroutines gauge
go_goroutines 12
# TYPE promhttp_metric_handler_requests_total counter
promhttp_metric_handler_requests_total 1
`))
	if err != nil {
		t.Fatal(err)
	}
	if m["connections"] != 7 || m["closed_total{ping_timeout}"] != 4 || m.sum("closed_total") != 7 || m["go_goroutines"] != 12 || len(m) != 4 {
		t.Errorf("got %v", m)
	}
	if moved := m.sub(metrics{"connections": 10, "closed_total{peer_closed}": 1}); moved["connections"] != -3 || moved.sum("closed_total") != 6 {
		t.Errorf("moved %v", moved)
	}
	if _, err := parseMetrics([]byte("<html>")); err == nil {
		t.Error("a page was taken for metrics")
	}
}

func TestPhasesAreChosenByNameInTheirOrder(t *testing.T) {
	all := func() []phase { return phases(deadlines{}, time.Second, 1, 1) }
	choose := func(all []phase, only ...string) ([]phase, error) {
		return chosen("phase", all, only, func(p phase) string { return p.name }, ", ")
	}
	chosen, err := choose(all(), "pings", "calm")
	if err != nil || len(chosen) != 2 || chosen[0].name != "calm" || chosen[1].name != "pings" {
		t.Errorf("%v, %v", chosen, err)
	}
	if chosen, err := choose(all()); err != nil || len(chosen) != 13 {
		t.Errorf("%d phases, %v", len(chosen), err)
	}
	if _, err := choose(all(), "pings", "tickle"); err == nil || !strings.Contains(err.Error(), "slow-heads") {
		t.Errorf("an unknown phase: %v", err)
	}
}

func TestEveryKindOfHarmHasItsPhase(t *testing.T) {
	used := make(map[string]bool)
	for _, p := range phases(deadlines{}, time.Second, 1, 1) {
		for _, a := range p.attacks {
			used[a.kind] = true
		}
		if len(p.attacks) > 0 && len(p.effects) == 0 {
			t.Errorf("%s proves nothing", p.name)
		}
	}
	for _, kind := range abuse.Kinds() {
		if !used[kind] {
			t.Errorf("no phase does %s", kind)
		}
	}
}

func TestAScaledAbuseHasLessOfEverything(t *testing.T) {
	full, tenth := phases(deadlines{}, time.Second, 1, 1), phases(deadlines{}, time.Second, 0.1, 2)
	for i, p := range full {
		for j, a := range p.attacks {
			b := tenth[i].attacks[j]
			if b.conns*10 != a.conns || b.rate < a.rate*0.199 || b.rate > a.rate*0.201 {
				t.Errorf("%s: %+v became %+v", p.name, a, b)
			}
		}
	}
}

// quiet is a phase in which all went well.
func quiet() *phaseRun {
	before := sample{
		metrics: metrics{"connections": 10, "upgraded_total": 10},
		app:     sink.Stats{Groups: map[string]sink.Group{goodGroup: {Open: 10}}},
		Process: proc.Process{Memory: proc.Memory{Resident: 20 << 20}},
	}
	after := before
	after.metrics = metrics{"connections": 10, "upgraded_total": 15, "closed_total{ping_timeout}": 5, "handshake_errors_total": 2}
	after.app.Groups = map[string]sink.Group{goodGroup: {Open: 10}, "mute": {Open: 5, Close: 5, Message: 1_200}}
	return &phaseRun{
		phase: phase{
			name: "test", attacks: []attack{{kind: abuse.Pings, conns: 5}},
			effects: []effect{{"closed_total{ping_timeout}", 5}, {"HTTP 431", 1}},
		},
		good: 10, before: before, during: before, after: after,
		attackers: []abuse.Counts{{Dialled: 5, Answers: map[string]uint64{"HTTP 431": 2}}},
	}
}

func TestAPhaseInWhichAllWentWellIsNotBroken(t *testing.T) {
	p := quiet()
	if broken := p.broken(); len(broken) != 0 {
		t.Errorf("broken: %v", broken)
	}
	notes := strings.Join(p.notes(), "; ")
	for _, want := range []string{"upgraded 5", "handshake_errors 2", "closed{ping_timeout} 5", "forwarded 1,200", "HTTP 431 × 2"} {
		if !strings.Contains(notes, want) {
			t.Errorf("%q is missing in %s", want, notes)
		}
	}
	if left := remains(p.after, 10); left != "" {
		t.Errorf("left: %s", left)
	}
}

func TestWhatIsBrokenIsFoundAndNamed(t *testing.T) {
	group := func(p *phaseRun, name string, change func(*sink.Group)) {
		g := p.after.app.Groups[name]
		change(&g)
		p.after.app.Groups[name] = g
	}
	for want, harm := range map[string]func(*phaseRun){
		"good clients: 2 failures":      func(p *phaseRun) { p.traffic = load.Result{Failures: 2, Details: []string{"reset"}} },
		"1 wrong events of users mute":  func(p *phaseRun) { group(p, "mute", func(g *sink.Group) { g.Faults++ }) },
		"gave 10 open and 1 close":      func(p *phaseRun) { group(p, goodGroup, func(g *sink.Group) { g.Close++ }) },
		"gave 9 open and 0 close":       func(p *phaseRun) { group(p, goodGroup, func(g *sink.Group) { g.Open-- }) },
		"3 events were given up":        func(p *phaseRun) { p.after.metrics["callbacks_failed_total{close}"] = 3 },
		"the app: 4 failures":           func(p *phaseRun) { p.after.app.Failed = 4 },
		"closed_total{ping_timeout} is": func(p *phaseRun) { p.after.metrics["closed_total{ping_timeout}"] = 4 },
		"HTTP 431 is 0, not 1":          func(p *phaseRun) { p.attackers = nil },
		"still: 1 connections":          func(p *phaseRun) { p.remaining = "1 connections too many" },
		"no answer":                     func(p *phaseRun) { p.failed = []error{errors.New("no answer")} },
	} {
		p := quiet()
		harm(p)
		if broken := p.broken(); len(broken) != 1 || !strings.Contains(broken[0], want) {
			t.Errorf("%s: got %q", want, broken)
		}
	}
}

func TestWhatRemainsIsNamed(t *testing.T) {
	for want, harm := range map[string]func(*sample){
		"1 connections too many": func(s *sample) { s.metrics["connections"]++ },
		"2 sockets handshaking":  func(s *sample) { s.metrics["sockets{handshaking}"] = 2 },
		"3 sockets closing":      func(s *sample) { s.metrics["sockets{closing}"] = 3 },
		"1 open events to come":  func(s *sample) { s.metrics["upgraded_total"]++ },
		"1 close events to come": func(s *sample) { s.metrics["closed_total{app_closed}"] = 1 },
	} {
		s := quiet().after
		harm(&s)
		if left := remains(s, 10); left != want {
			t.Errorf("got %q, want %q", left, want)
		}
	}
}

func TestTheWholeRunsEventsMustAddUp(t *testing.T) {
	end := func() sample {
		return sample{
			metrics: metrics{"upgraded_total": 15, "closed_total{ping_timeout}": 5, "closed_total{disconnected}": 10},
			app:     sink.Stats{Groups: map[string]sink.Group{goodGroup: {Open: 10, Close: 10}, "loud": {Open: 5, Close: 5}}},
		}
	}
	var b invariants
	if b.complete(end(), 10); len(b) != 0 {
		t.Errorf("broken: %v", b)
	}
	for name, harm := range map[string]func(*sample){
		"an open missing":  func(s *sample) { s.app.Groups["loud"] = sink.Group{Open: 4, Close: 5} },
		"a close missing":  func(s *sample) { s.app.Groups["loud"] = sink.Group{Open: 5, Close: 4} },
		"an end uncounted": func(s *sample) { s.metrics["closed_total{disconnected}"] = 9 },
	} {
		s, b := end(), invariants(nil)
		harm(&s)
		if b.complete(s, 10); len(b) != 1 {
			t.Errorf("%s: %v", name, b)
		}
	}
}

func TestMemoryHasAMargin(t *testing.T) {
	if got := memoryLimit(20 << 20); got != 36<<20 {
		t.Errorf("of 20 MiB: %d", got>>20)
	}
	if got := memoryLimit(400 << 20); got != 500<<20 {
		t.Errorf("of 400 MiB: %d", got>>20)
	}
}
