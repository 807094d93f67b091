package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"ws-gateway/bench/report"
)

// asCommand, in the environment, makes this test binary be ws-bench: it is what
// the scenarios start as echo server and as sink.
const asCommand = "WS_BENCH_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Setenv(asCommand, "1")
	os.Setenv("GORACE", "atexit_sleep_ms=0") // a child with the race detector would take a second to end
	goleak.VerifyTestMain(removing{m},
		// fasthttp's housekeepers sleep for seconds before they see that their client is done.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*TCPDialer).tcpAddrsClean"),
	)
}

// removing removes what was built for all tests.
type removing struct{ *testing.M }

func (m removing) Run() int {
	defer func() { removeBuilt() }()
	return m.M.Run()
}

var (
	removeBuilt = func() {}
	builtOnce   = sync.OnceValues(func() (string, error) {
		path, remove, err := serverOptions{}.gateway(context.Background(), report.Progress{})
		if err == nil {
			removeBuilt = remove
		}
		return path, err
	})
)

// gatewayOfAll is a gateway that is built once.
func gatewayOfAll(t *testing.T) (path string) {
	t.Helper()
	path, err := builtOnce()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// bench runs a command to its end.
func bench(t *testing.T, args ...string) (code int, out, err string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	var o, e bytes.Buffer
	code = run(ctx, args, &streams{&o, &e})
	return code, o.String(), e.String()
}

// summaries runs a scenario and returns what it says at the end, with the
// figures by name.
//
// On a busy machine a window of 200 ms may pass without a single event: then it is
// made longer, until there is something to measure.
func summaries(t *testing.T, args ...string) (all []report.Summary, figures []map[string]float64) {
	t.Helper()
	for {
		all, figures = summariesOnce(t, args...)
		i := slices.Index(args, "--duration") + 1
		if i == 0 || !slices.ContainsFunc(figures, unmeasured) {
			return all, figures
		}
		window, err := time.ParseDuration(args[i])
		if err != nil || window > 10*time.Second {
			return all, figures
		}
		args = slices.Clone(args)
		args[i] = (4 * window).String()
	}
}

// unmeasured reports whether nothing has come of what a scenario counts.
func unmeasured(figures map[string]float64) bool {
	for name, figure := range figures {
		counted := slices.Contains([]string{"events", "round trips", "calls", "deliveries", "messages"}, name)
		if figure <= 0 && (counted || strings.HasPrefix(name, "latency p") || strings.HasPrefix(name, "answer p") || strings.Contains(name, "CPU, a million")) {
			return true
		}
	}
	return false
}

func summariesOnce(t *testing.T, args ...string) (all []report.Summary, figures []map[string]float64) {
	t.Helper()
	code, lines, table := bench(t, append(args, "--json", "-")...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, table)
	}
	kinds := make(map[string]int)
	for line := range strings.Lines(lines) {
		var kind struct{ Record string }
		if err := json.Unmarshal([]byte(line), &kind); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		kinds[kind.Record]++
		if kind.Record != "summary" {
			continue
		}
		var s report.Summary
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		named := make(map[string]float64)
		for _, l := range s.Lines {
			named[l.Name] = l.Median
		}
		all, figures = append(all, s), append(figures, named)
		if !strings.Contains(table, s.Case) {
			t.Errorf("the table does not name %q:\n%s", s.Case, table)
		}
	}
	if kinds["run"] != 1 || kinds["summary"] == 0 || kinds["round"] != kinds["summary"]*all[0].Rounds {
		t.Errorf("records: %v", kinds)
	}
	return all, figures
}

// above fails the test for figures that a run of any length must have.
func above(t *testing.T, figures map[string]float64, names ...string) {
	t.Helper()
	for _, name := range names {
		if figures[name] <= 0 {
			t.Errorf("%s is %v", name, figures[name])
		}
	}
}

func TestEchoMeasuresAServerOfItsOwn(t *testing.T) {
	all, figures := summaries(t, "echo", "--rounds", "2", "--conns", "20,40", "--warmup", "10ms", "--duration", "100ms")
	if len(all) != 2 || all[0].Rounds != 2 || !strings.HasPrefix(all[1].Case, "40 connections") {
		t.Fatalf("got %+v", all)
	}
	for _, f := range figures {
		above(t, f, "messages", "server CPU, a million", "latency p50", "latency max", "load client, busiest thread")
	}
}

func TestEchoInTheOpenLoopKeepsItsRate(t *testing.T) {
	_, figures := summaries(t, "echo", "--rounds", "1", "--conns", "20", "--rate", "400", "--busy", "--opcode", "text",
		"--size", "300", "--warmup", "50ms", "--duration", "500ms")
	if rate := figures[0]["messages"]; rate < 200 || rate > 600 {
		t.Errorf("%v messages a second, 400 were due", rate)
	}
}

func TestIdleCountsOneDescriptorForEachConnection(t *testing.T) {
	_, figures := summaries(t, "idle", "--rounds", "1", "--server", "netpoll", "--conns", "300", "--cookie", "0", "--settle", "20ms")
	if each := figures[0]["descriptors, each"]; each != 1 {
		t.Errorf("%v descriptors for each connection", each)
	}
	above(t, figures[0], "handshakes", "server CPU, 1,000 handshakes", "resident, whole server")
}

func TestTheHubIsMeasuredWithoutSockets(t *testing.T) {
	all, figures := summaries(t, "hub", "--rounds", "2", "--sessions", "2000")
	if len(all) != 1 || !strings.Contains(all[0].Notes[0].Text, "a simulation") {
		t.Fatalf("got %+v", all)
	}
	above(t, figures[0], "heap, each: hub", "resident, each", "wheel tick, worst", "full collection, CPU", "list of all")
}

// TestTheGatewayIsMeasured builds it once, as ws-bench does without --gateway,
// and runs all that needs one.
func TestTheGatewayIsMeasured(t *testing.T) {
	path, remove, err := serverOptions{}.gateway(t.Context(), report.Progress{})
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	quick := []string{"--warmup", "20ms", "--duration", "200ms"}
	for _, c := range []struct {
		args  []string
		cases int
		above string // figures of each case that must be above 0, separated by semicolons
		also  func(t *testing.T, all []report.Summary, figures []map[string]float64)
	}{
		{append([]string{"roundtrip", "--conns", "20", "--gateway-arg=--callback-concurrency=8", "--loops", "1", "--reply", "send,answer"}, quick...), 2,
			"round trips; gateway CPU, a million; app CPU, a million (not the gateway's); latency p99", nil},
		{append([]string{"stuck", "--conns", "20", "--rate", "400", "--hang", "5", "--hang-for", "200ms"}, quick...), 1,
			"round trips; latency p99; callbacks in flight at the end", nil},
		{append([]string{"ingest", "--conns", "20", "--batch", "1,10", "--concurrency", "4"}, quick...), 2,
			"events; gateway CPU, a million; gateway CPU of reading alone, a million; events in a POST; latency p50", ingested},
		{append([]string{"push", "--conns", "20", "--per", "5", "--callers", "3"}, quick...), 3,
			"calls; deliveries; gateway CPU, a million calls; gateway CPU, a million deliveries; answer p50; latency p50",
			func(t *testing.T, _ []report.Summary, figures []map[string]float64) {
				above(t, figures[2], "to the last p50")
			}},
		{append([]string{"push", "--conns", "20", "--to", "conn", "--rate", "500"}, quick...), 1, "calls; deliveries; answer p99; latency p99", nil},
		{[]string{"fanout", "--targets", "200,300", "--calls", "2"}, 2,
			"300 targets: to the last, median; 300 targets: gateway CPU, a million deliveries; 300 targets: pong meanwhile, max; " +
				"300 targets: idle server's echo, max; 200 targets: to the last, median; without calls: pong, max", nil},
		{append([]string{"group", "--sessions", "4000", "--per", "10", "--conns", "200", "--groups", "40", "--calls", "2", "--callers", "3"}, quick...), 3, "",
			func(t *testing.T, _ []report.Summary, figures []map[string]float64) {
				above(t, figures[0], "heap, each membership", "joins", "full collection, CPU")
				above(t, figures[1], "to a group: gateway CPU, of one to all", "to a group: pong meanwhile, max")
				above(t, figures[2], "joins, 10 of each call", "to one: gateway CPU, a million calls", "to a group: gateway CPU, a million calls")
			}},
		{[]string{"idle", "--server", "gateway,gateway+callback", "--conns", "300", "--cookie", "200", "--settle", "20ms"}, 2, "handshakes",
			func(t *testing.T, all []report.Summary, figures []map[string]float64) {
				for i, f := range figures {
					if each := f["descriptors, each"]; each < 1 || each > 1.2 { // the app's connections are among them
						t.Errorf("%s: %v descriptors for each connection", all[i].Case, each)
					}
				}
			}},
		{[]string{"abuse", "--quick", "--only", "pings,noise", "--good", "20", "--rate", "100"}, 3,
			"replies to good clients; latency p99; gateway resident, at the end; gateway descriptors, at the end",
			func(t *testing.T, all []report.Summary, figures []map[string]float64) {
				for i, f := range figures {
					if after := i == 2; f["replies wrong or lost, good connections broken"] != 0 || (f["abusing connections"] == 0) != after || (all[i].Case == "after") != after {
						t.Errorf("%s: %v", all[i].Case, f)
					}
				}
			}},
		{[]string{"storm", "--conns", "200", "--good", "10", "--rate", "200", "--spread", "0s"}, 2,
			"until all are back; handshakes; gateway CPU, storm; until the app knows of all; storm: others' latency p99; storm: others' pong p99; storm: idle server's echo p99; gateway resident, highest",
			func(t *testing.T, all []report.Summary, _ []map[string]float64) {
				if !strings.Contains(all[0].Case, "reset") || !strings.Contains(all[1].Case, "closed") {
					t.Errorf("got %+v", all)
				}
			}},
		{[]string{"soak", "--duration", "1s", "--conns", "20", "--rate", "100", "--churners", "10", "--churn", "50", "--pushed", "10", "--push", "20"}, 1,
			"round trips; connections opened by churn; messages pushed; resident, at the end; goroutines, at the end", nil},
	} {
		t.Run(c.args[0], func(t *testing.T) {
			args := append([]string{c.args[0], "--gateway", path}, c.args[1:]...)
			if c.args[0] != "abuse" {
				args = append(args, "--rounds", "1")
			}
			all, figures := summaries(t, args...)
			if len(all) != c.cases {
				t.Fatalf("%d cases, not %d", len(all), c.cases)
			}
			for _, f := range figures {
				if c.above != "" {
					above(t, f, strings.Split(c.above, "; ")...)
				}
			}
			if c.also != nil {
				c.also(t, all, figures)
			}
		})
	}
	t.Run("promised ratios", func(t *testing.T) {
		// Of so few connections in so short a time the verdict says nothing.
		code, lines, table := bench(t, "check", "--gateway", path, "--rounds", "1", "--conns", "300", "--window", "300ms", "--json", "-")
		if code != 0 && !strings.Contains(table, errPromise.Error()) {
			t.Fatalf("exit code %d: %s", code, table)
		}
		for _, want := range []string{"idle connection: descriptors, each", "ping: reads", "ping: writes", "round trip: allocations"} {
			if !strings.Contains(table, want) {
				t.Errorf("the table does not have %q:\n%s", want, table)
			}
		}
		if !strings.Contains(lines, `"summary"`) {
			t.Errorf("no summary in %s", lines)
		}
	})
	if _, err := os.Stat(path); err != nil {
		t.Errorf("a binary that was given is gone: %v", err)
	}
	remove()
	if _, err := os.Stat(filepath.Dir(path)); !os.IsNotExist(err) {
		t.Errorf("the built binary is still there: %v", err)
	}
}

func ingested(t *testing.T, all []report.Summary, figures []map[string]float64) {
	if !strings.HasSuffix(all[1].Case, "16 deep, batches of 10") {
		t.Errorf("got %+v", all)
	}
	above(t, figures[0], "bare fasthttp client CPU, a million", "gateway CPU, of a bare client's")
	if same := figures[0]["bytes of a POST, of a bare client's"]; same < 0.9 || same > 1.1 {
		t.Errorf("the gateway's POST has %v times the bytes of the bare client's", same)
	}
	if figures[0]["events in a POST"] != 1 || figures[1]["events in a POST"] <= 1 {
		t.Errorf("events in a POST: %v and %v", figures[0]["events in a POST"], figures[1]["events in a POST"])
	}
}

func TestAServerThatDiesEndsTheRunWithItsLastWords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho no such luck >&2\nexit 7\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	code, _, message := bench(t, "idle", "--gateway", path, "--rounds", "1", "--conns", "10")
	if code != 1 || !strings.Contains(message, "no such luck") || !strings.Contains(message, "exit status 7") {
		t.Errorf("exit code %d: %s", code, message)
	}
}

func TestFlagsThatCannotWorkAreRefusedWithAReason(t *testing.T) {
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{1, "--conns must be 2 to 19000", []string{"echo", "--conns", "19001"}},
		{1, "--rounds must be", []string{"echo", "--rounds", "0"}},
		{1, "no room for its mark", []string{"echo", "--size", "15"}},
		{1, "at least 59", []string{"roundtrip", "--size", "58"}},
		{1, "--duration", []string{"roundtrip", "--duration", "0s"}},
		{1, "--batch and --concurrency", []string{"ingest", "--batch", "0"}},
		{1, "at least 59", []string{"ingest", "--size", "20"}},
		{1, "--threads must be 1", []string{"push", "--threads", "2"}},
		{1, "cannot reach 30 of 20", []string{"push", "--conns", "20", "--per", "30"}},
		{1, "--callers", []string{"push", "--callers", "0"}},
		{1, "--conns must be divisible by 10", []string{"group", "--conns", "55"}},
		{1, "--groups by a 10th", []string{"group", "--conns", "100", "--groups", "15"}},
		{1, "at least 1", []string{"group", "--callers", "0"}},
		{1, "ascend", []string{"fanout", "--targets", "100,10"}},
		{1, "ascend", []string{"fanout", "--targets", "10,10"}},
		{1, "--targets must be 2 to", []string{"fanout", "--targets", "0"}},
		{1, "--targets must be 2 to", []string{"fanout", "--targets", "10,20000"}},
		{exitUsage, "--reply", []string{"roundtrip", "--reply", "never"}},
		{1, "there is no phase \"tickle\"", []string{"abuse", "--only", "tickle"}},
		{1, "ping timeout", []string{"abuse", "--rate", "1"}},
		{1, "good clients", []string{"abuse", "--good=-1"}},
		{1, "intensity", []string{"abuse", "--intensity", "0"}},
		{1, "there is no kind", []string{"attacker", "--target", "127.0.0.1:1", "--kind", "nonsense"}},
		{1, "--window", []string{"check", "--window", "0s"}},
		{1, "a soak needs a duration", []string{"soak", "--duration", "0s"}},
		{1, "a rate above 0", []string{"soak", "--rate", "0"}},
		{1, "at most 19000 connections", []string{"soak", "--conns", "19000"}},
		{1, "10 that messages are pushed to", []string{"soak", "--pushed", "9"}},
		{1, "at least 59", []string{"soak", "--size", "3"}},
		{1, "two clients that stay", []string{"storm", "--good", "1"}},
		{1, "a rate above 0", []string{"storm", "--rate", "0"}},
		{1, "19000 connections at most in all", []string{"storm", "--conns", "19000"}},
		{1, "--conns must be 2 to 19000", []string{"storm", "--conns", "0"}},
		{1, "at least 59", []string{"storm", "--size", "3"}},
		{exitUsage, "--leave", []string{"storm", "--leave", "quietly"}},
		{1, "1,000 to", []string{"hub", "--sessions", "1"}},
		{1, `no peer "uws"; there are: c, gnet`, []string{"compare", "--peers", "uws"}},
		{1, "--rounds must be", []string{"compare", "--rounds", "0"}},
		{1, "--conns must be", []string{"compare", "--conns", "1"}},
		{1, "no room for its mark", []string{"compare", "--size", "8", "--peers", "gorilla"}},
		{exitUsage, "--work", []string{"compare", "--work", "sing"}},
		{1, `there is no variant "tea"; there are: answers; connections;`, []string{"chaos", "--only", "tea"}},
		{1, "--duration leaves 111.111111ms for each of 9 variants", []string{"chaos", "--duration", "1s"}},
		{1, "--conns must be 1 to", []string{"chaos", "--conns", "0"}},
		{1, `there is no variant "tea"; there are: links; server;`, []string{"chaos-cluster", "--only", "tea"}},
		{1, "--duration leaves 200ms for each of 5 variants", []string{"chaos-cluster", "--duration", "1s"}},
		{1, "--conns must be 3 to", []string{"chaos-cluster", "--conns", "2"}},
		{1, "--pause and --stay must be", []string{"chaos-cluster", "--pause", "0s"}},
		{exitUsage, "--gateway", []string{"idle", "--gateway", "/nonexistent"}},
		{exitUsage, "--server", []string{"idle", "--server", "other"}},
		{exitUsage, "--max-message-size", []string{"echo-server", "--max-message-size", "many"}},
		{exitUsage, "unexpected argument", []string{"nonsense"}},
	} {
		code, _, message := bench(t, c.args...)
		if code != c.code || !strings.Contains(message, c.want) {
			t.Errorf("%v: exit code %d, %q", c.args, code, message)
		}
	}
	if code, help, _ := bench(t, "--help"); code != 0 || !strings.Contains(help, "roundtrip") {
		t.Errorf("--help: exit code %d, %s", code, help)
	}
}

// echoServer runs one until stop, when it must end in order.
func echoServer(t *testing.T, args ...string) (addr string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, write := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{"echo-server"}, args...), &streams{write, io.Discard})
		write.Close() // one that never served has no line
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line), func() {
		cancel()
		if code := <-ended; code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
}

func TestTheEchoServerAnswersAnyClientAndEndsWhenTold(t *testing.T) {
	addr, stop := echoServer(t, "--max-message-size", "20971520", "--path", "/echo")
	c, _, err := websocket.Dial(t.Context(), "ws://"+addr+"/echo", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	c.SetReadLimit(-1)
	for _, m := range []struct {
		op   websocket.MessageType
		data []byte
	}{{websocket.MessageText, []byte("héllo")}, {websocket.MessageBinary, []byte{0, 255}}, {websocket.MessageText, nil},
		{websocket.MessageBinary, bytes.Repeat([]byte("0123456789abcdef"), 17<<16)}} {
		if err := c.Write(t.Context(), m.op, m.data); err != nil {
			t.Fatal(err)
		}
		op, data, err := c.Read(t.Context())
		if err != nil || op != m.op || !bytes.Equal(data, m.data) {
			t.Fatalf("%v of %d bytes came back as %v of %d bytes: %v", m.op, len(m.data), op, len(data), err)
		}
	}
	c.CloseNow()
	stop()
}

func TestAbuseThatBreaksSomethingFails(t *testing.T) {
	rows := []report.Round{{Case: "calm"}, {Case: "pings", Broken: []string{"a reply was lost"}}, {Case: "after"}}
	if err := verdict(rows); !errors.Is(err, errBroken) || !strings.HasSuffix(err.Error(), ": pings") {
		t.Errorf("got %v", err)
	}
	if err := verdict(rows[:1]); err != nil {
		t.Errorf("got %v", err)
	}
}
