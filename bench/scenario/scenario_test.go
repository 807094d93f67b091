package scenario

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ws-gateway/bench/proc"
	"ws-gateway/bench/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func made(name string, order *[]string, err error) Case {
	return Case{Scenario: "made", Name: name, round: func(s *stage) {
		*order = append(*order, name)
		s.add("figure", "B", float64(len(*order)))
		check(err)
	}}
}

func TestRoundsTakeTheCasesInTurn(t *testing.T) {
	var order, recorded []string
	cases := []Case{made("a", &order, nil), made("b", &order, nil)}
	err := Run(t.Context(), &Env{}, cases, 2, func(r report.Round) error {
		recorded = append(recorded, r.Case)
		if want := 1 + len(recorded)/3; r.Round != want || r.Scenario != "made" || r.Record != "round" || len(r.Figures) != 1 {
			t.Errorf("got %+v", r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(order, "") != "abab" || strings.Join(recorded, "") != "abab" {
		t.Errorf("ran %v, recorded %v", order, recorded)
	}
}

func TestARoundThatFailsEndsTheRunAndIsNamed(t *testing.T) {
	var order []string
	broken := errors.New("broken")
	cases := []Case{made("a", &order, nil), made("b", &order, broken), made("c", &order, nil)}
	recorded := 0
	err := Run(t.Context(), &Env{}, cases, 2, func(report.Round) error { recorded++; return nil })
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "made: b: round 1") || recorded != 1 || len(order) != 2 {
		t.Errorf("got %v after %v, %d recorded", err, order, recorded)
	}
}

func TestOthersAreWhatIsBusyBesideUs(t *testing.T) {
	used := proc.Usage{Busy: 3 * time.Second, Idle: 6 * time.Second, Steal: time.Second}
	h := host(1.5, used, 2*time.Second)
	if h != (report.Host{LoadAverage: 1.5, Others: 0.1, Steal: 0.1}) {
		t.Errorf("got %+v", h)
	}
	if h := host(0, used, 5*time.Second); h.Others != 0 {
		t.Errorf("rounding below nothing: %+v", h)
	}
	if h := host(0, proc.Usage{}, 0); h.Others != 0 || h.Steal != 0 {
		t.Errorf("no time at all: %+v", h)
	}
}

func TestTheGatewaysReadyLineIsRecognised(t *testing.T) {
	for line, want := range map[string]string{
		`{"level":"info","listen":"127.0.0.1:4711","time":"x","message":"ready"}`: "127.0.0.1:4711",
		`{"level":"info","listen":"127.0.0.1:4711","message":"starting"}`:         "",
		`{"level":"info","message":"ready"}`:                                      "",
		`127.0.0.1:4711`:                                                          "",
		``:                                                                        "",
	} {
		addr, ok := readyLine(line)
		if ok != (want != "") || ok && addr.String() != want {
			t.Errorf("%s: got %v, %v", line, addr, ok)
		}
	}
	if addr, ok := addressAlone("127.0.0.1:4711"); !ok || addr.Port() != 4711 {
		t.Errorf("got %v, %v", addr, ok)
	}
	if _, ok := addressAlone("listening at 127.0.0.1:4711"); ok {
		t.Error("more than an address was taken for one")
	}
}

func TestConnectionsHaveUsersAndCookiesOfTheirOwn(t *testing.T) {
	seen := make(map[string]bool)
	for conn := range 3 {
		head := append([]byte("GET / HTTP/1.1\r\nHost: x\r\n"), identity(200)(nil, conn)...)
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(append(head, "\r\n"...))))
		if err != nil {
			t.Fatal(err)
		}
		user, cookie := r.Header.Get("X-Bfl-User"), r.Header.Get("Cookie")
		if user == "" || len(cookie) != 200 || seen[user] || seen[cookie] || r.UserAgent() == "" {
			t.Errorf("connection %d: user %q, cookie of %d bytes, agent %q", conn, user, len(cookie), r.UserAgent())
		}
		seen[user], seen[cookie] = true, true
	}
	if plain := identity(0)(nil, 1); bytes.Contains(plain, []byte("Cookie")) {
		t.Errorf("a cookie nobody asked for: %s", plain)
	}
}

func TestIdleFiguresAreForEachConnection(t *testing.T) {
	before := held{Process: proc.Process{Memory: proc.Memory{Resident: 10_000_000, Proportional: 9_000_000, VmRSS: 10_100_000}, Descriptors: 110}}
	after := held{Process: proc.Process{Memory: proc.Memory{Resident: 10_300_000, Proportional: 9_250_000, VmRSS: 10_400_000}, Descriptors: 1_110}}
	after.kernel = proc.Kernel{Slab: 4_000_000}
	var o outcome
	idle{server: idlePushOnly}.figures(&o, 1_000, 500*time.Millisecond, 40*time.Millisecond, before, after)
	has(t, o, map[string]float64{
		"resident, each": 300, "resident as PSS, each": 250, "descriptors, each": 1, "handshakes": 2_000,
		"server CPU, 1,000 handshakes": 0.04, "kernel slab, each (both ends)": 4_000,
	})
}

func TestGoalsStandOnlyWhereTheirConditionsHold(t *testing.T) {
	const echo, trip = "server CPU, a million", "gateway CPU, a million"
	for _, c := range []struct {
		scenario, name, figure string
		want                   float64
	}{
		{"echo", "1,000 connections, 64 B, closed loop, server loops: 1", echo, 12.7},
		{"echo", "10,000 connections, 64 B, closed loop, text, server loops: 1", echo, 16.1},
		{"echo", "1,000 connections, 65 B, closed loop, server loops: 1", echo, 0},
		{"echo", "1,000 connections of which 1 send, 64 B, closed loop, server loops: 1", echo, 0},
		{"echo", "1,000 connections, 64 B, open loop at 1/s, server loops: 1", echo, 0},
		{"echo", "500 connections, 64 B, closed loop, server loops: 1", echo, 0},
		{"compare", "echo, 1,000 connections, 64 B, closed loop: ours", echo, 0},
		{"roundtrip", "1,000 connections, 64 B, closed loop", trip, 80},
		{"roundtrip", "1,000 connections, 64 B, closed loop, reply in the callback's answer", trip, 50},
		{"roundtrip", "500 connections, 64 B, closed loop", trip, 0},
		{"idle", "15,000 connections to gateway without callbacks", "resident, each", 300},
		{"idle", "15,000 connections to gateway without callbacks, cookie of 200 B", "resident, each", 550},
		{"idle", "15,000 connections to gateway+journal, cookie of 201 B", "resident, each", 0},
		{"idle", "15,000 connections to gateway+journal, cookie of 4096 B", "resident, each", 0},
		{"idle", "15,000 connections to netpoll", "resident, each", 0},
		{"idle", "15,000 connections to gateway+journal", "server CPU, 1,000 handshakes", 0.08},
		{"idle", "15,000 connections to netpoll", "server CPU, 1,000 handshakes", 0.05},
		{"ingest", "1,000 connections, 64 B, closed loop, one POST each", "gateway CPU of the rest, of a bare client's", 1.3},
		{"ingest", "1,000 connections, 64 B, closed loop 16 deep, batches of 100", "gateway CPU of the rest, a million", 2},
		{"ingest", "1,000 connections, 64 B, closed loop, one POST each", "gateway CPU of the rest, a million", 0},
		{"push", "1,000 connections, each call to one, 64 B, 16 callers, closed loop", "gateway CPU, a million calls", 30},
		{"push", "1,000 connections, each call to 10 users, 64 B, 16 callers, closed loop", "gateway CPU, a million calls", 0},
		{"fanout", "one call naming users, 64 B", "10,000 targets: to the last, median", 150},
		{"fanout", "one call to all, 64 B", "10,000 targets: to the last, median", 0},
		{"fanout", "one call to all, 64 B", "100 targets: pong later than that", 5},
		{"stuck", "1,000 connections", "latency p99", 10},
		{"hub", "1,000,000 simulated sessions, without sockets", "wheel tick, worst", 10},
		{"hub", "100,000 simulated sessions, without sockets", "wheel tick, worst", 0},
	} {
		if got := goal(c.scenario, c.name, c.figure); got != c.want {
			t.Errorf("%s: %s: %s: %v, not %v", c.scenario, c.name, c.figure, got, c.want)
		}
	}
}

func TestCasesAreNamedByWhatDistinguishesThem(t *testing.T) {
	echo, err := Echo{Traffic: Traffic{Size: 1_024, Active: 50, Rate: 2_000, Window: Window{Duration: 1}}, Conns: []int{10_000}, Opcode: "text"}.Cases(Options{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	if want := "10,000 connections of which 50 send, 1,024 B, open loop at 2,000/s, text, server loops: 2"; echo[0].Name != want {
		t.Errorf("got %q, want %q", echo[0].Name, want)
	}
	if got := (idle{server: idlePushOnly, conns: 999, cookie: 200}).name(); got != "999 connections to gateway without callbacks, cookie of 200 B" {
		t.Errorf("got %q", got)
	}
}

func TestWhatARoundStartedIsStoppedWhereverItEnds(t *testing.T) {
	s := newStage(t.Context(), &Env{}, "a round", func(string) {})
	var stopped []string
	started := func(what string) { s.cleanup(func() { stopped = append(stopped, what) }) }
	broken := errors.New("broken")
	err := s.perform(func() {
		started("a")
		within("a part", func() {
			s.part(func() {
				started("b")
				started("c")
				must(1, broken)
				t.Error("it went on")
			})
		})
	})
	if !errors.Is(err, broken) || err.Error() != "a part: broken" || strings.Join(stopped, "") != "cba" {
		t.Errorf("%v; stopped %v", err, stopped)
	}
	defer func() {
		if recover() == nil {
			t.Error("another's panic was taken for an error")
		}
	}()
	_ = s.perform(func() { panic("a mistake") })
}
