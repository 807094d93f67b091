package main

import (
	"context"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ws-gateway/bench/report"
)

func TestCompareMeasuresOursAndAPeerInTurn(t *testing.T) {
	code, lines, table := bench(t, "compare", "--peers", "gorilla", "--rounds", "2", "--conns", "20", "--warmup", "10ms", "--duration", "100ms",
		"--settle", "20ms", "--json", "-")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, table)
	}
	var order []string
	all, err := report.Read(strings.NewReader(lines), "--json")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all[0].Rounds {
		order = append(order, r.Server)
	}
	if got := strings.Join(order, " "); got != strings.TrimSpace(strings.Repeat("ours gorilla ", 6)) {
		t.Errorf("rounds: %s", got)
	}
	for _, figure := range []string{"server CPU, a million", "server CPU, 1,000 handshakes", "server CPU, a million deliveries", "last target p50"} {
		i := slices.IndexFunc(report.Compare(all[0].Rounds), func(c report.Comparison) bool { return c.Figure == figure })
		if i < 0 || !strings.Contains(table, figure) {
			t.Errorf("the table does not name %q:\n%s", figure, table)
			continue
		}
		if r := report.Compare(all[0].Rounds)[i].Ratios[0]; r.Name != "gorilla" || len(r.Values) != 2 || r.Ours <= 0 || r.Theirs <= 0 || r.Median <= 0 {
			t.Errorf("%s: %+v", figure, r)
		}
	}
}

func TestCompareWithCompressionChecksEveryReply(t *testing.T) {
	code, lines, table := bench(t, "compare", "--compression", "--peers", "gws", "--rounds", "1", "--conns", "20", "--warmup", "10ms",
		"--duration", "100ms", "--json", "-")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, table)
	}
	all, err := report.Read(strings.NewReader(lines), "--json")
	if err != nil {
		t.Fatal(err)
	}
	if comparisons := report.Compare(all[0].Rounds); len(all[0].Rounds) != 6 || len(comparisons) == 0 { // on a busy machine some have no figures
		t.Errorf("%d rounds, %d comparisons: %s", len(all[0].Rounds), len(comparisons), table)
	}
	for _, r := range all[0].Rounds {
		for _, f := range r.Figures {
			if f.Name == "bytes of a reply" && (f.Value < 200 || f.Value > 900) {
				t.Errorf("%s: a reply of 1,024 bytes has %v", r.Case, f.Value)
			}
		}
	}
}

func TestCompareGatewaysMeasuresOursAndTheOneInCInTurn(t *testing.T) {
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("there is no C compiler")
	}
	path := gatewayOfAll(t)
	code, lines, table := bench(t, "compare", "gateways", "--gateway", path, "--rounds", "1", "--conns", "5,20", "--warmup", "10ms",
		"--duration", "1s", "--rate", "200", "--json", "-")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, table)
	}
	all, err := report.Read(strings.NewReader(lines), "--json")
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, r := range all[0].Rounds {
		order = append(order, r.Server)
	}
	if got := strings.Join(order, " "); got != strings.TrimSpace(strings.Repeat("ours c-gateway ", 5)) {
		t.Errorf("rounds: %s", got)
	}
	comparisons := report.Compare(all[0].Rounds)
	if len(comparisons) == 0 { // on a busy machine some have no figures
		t.Errorf("nothing is compared:\n%s", table)
	}
	for _, c := range comparisons {
		if r := c.Ratios[0]; r.Name != "c-gateway" || r.Ours <= 0 || r.Theirs < 0 || !strings.Contains(table, c.Verdict(r)) {
			t.Errorf("%s, %s: %+v", c.Work, c.Figure, r)
		}
	}
}

func TestTheEchoServerBroadcastsWhenItIsToldTo(t *testing.T) {
	addr, stop := echoServer(t, "--broadcast", "--loops", "2")
	const many = 300 // more than a slice on each loop
	all := make([]*websocket.Conn, 2*many)
	patience, end := context.WithTimeout(t.Context(), 10*time.Minute)
	defer end()
	say := func(c *websocket.Conn, text string) {
		t.Helper()
		if err := c.Write(patience, websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(c *websocket.Conn, text string) {
		t.Helper()
		if _, got, err := c.Read(patience); err != nil || string(got) != text {
			t.Fatalf("%q was due, %q came: %v", text, got, err)
		}
	}
	for i := range all {
		c, _, err := websocket.Dial(t.Context(), "ws://"+addr+"/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		all[i] = c
		defer all[i].CloseNow()
	}
	for _, c := range all { // an echo shows that it is open on its loop
		say(c, "echo")
		hear(c, "echo")
	}
	say(all[1], "broadcast this")
	for _, c := range all {
		hear(c, "broadcast this")
	}
	for _, c := range all { // and only once
		say(c, "another")
		hear(c, "another")
	}
	for _, c := range all {
		c.CloseNow()
	}
	stop()
}
