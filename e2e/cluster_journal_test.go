package e2e_test

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"ws-gateway/cluster/bus/natsbus/natstest"
	"ws-gateway/e2e/harness"
)

// startWithJetStream runs a NATS server with JetStream.
func startWithJetStream(t *testing.T, change ...func(*server.Options)) *natstest.Server {
	t.Helper()
	reserved, folder := reservePort(t), t.TempDir()
	return natstest.Start(t, func(o *server.Options) {
		o.Port, o.WriteDeadline = reserved.number, time.Minute
		o.JetStream, o.StoreDir, o.JetStreamMaxStore = true, folder, 1<<30
		for _, f := range change {
			f(o)
		}
	})
}

// startKeeper runs gateway number i of an app, which takes over others.
func startKeeper(t *testing.T, a *app, url string, i int) *gateway {
	t.Helper()
	return startGateway(t, a, "--cluster", url, "--cluster-app", "shop", "--cluster-name", memberName(i), "--cluster-journal",
		"--cluster-timeout", "1m", "--cluster-dead-after", "6s")
}

// lostCloses are the close events of gateways that were gone among calls, by connection,
// once for each; an event that was tried again counts once.
func lostCloses(t *testing.T, calls []*call) (conns []string) {
	t.Helper()
	seen := map[string]bool{}
	for _, c := range calls {
		e := c.event
		if e.Action != "close" || e.Reason != "gateway lost" {
			continue
		}
		if e.Code != 1006 || e.Initiator != "gateway" || string(e.Data) != "{}" || c.requestID != e.Conn+"-4294967295" {
			t.Errorf("%s: %s", c.requestID, c.body)
		}
		if seen[c.requestID] {
			t.Errorf("%s comes twice", c.requestID)
		}
		seen[c.requestID] = true
		conns = append(conns, e.Conn)
	}
	slices.Sort(conns)
	return conns
}

// awaitLost waits for the close events of these connections, and fails unless they are
// all.
func (a *app) awaitLost(t *testing.T, conns []string) {
	t.Helper()
	harness.Poll(t, "the close events of a gateway that is gone", func() bool { return len(lostCloses(t, a.since(0))) >= len(conns) })
	if got, want := lostCloses(t, a.since(0)), slices.Sorted(slices.Values(conns)); !slices.Equal(got, want) {
		t.Errorf("%d close events, want %d: %q, want %q", len(got), len(want), got, want)
	}
}

// recorded waits until all that a gateway has recorded is in JetStream.
func (g *gateway) recorded(t *testing.T, records float64) {
	t.Helper()
	g.awaitMetric(t, "ws_gateway_cluster_journal_records_total", records) // in JetStream
}

func TestTheOpensOfAGatewayThatIsKilledGetOneCloseEachFromASurvivor(t *testing.T) {
	t.Parallel()
	const n = 40
	nats, app := startWithJetStream(t), startApp(t)
	var all []*gateway
	for i := range 3 {
		all = append(all, startKeeper(t, app, nats.URL(), i))
	}
	clients, conns := all[0].crowd(app, "first", n)
	_, others := all[1].crowd(app, "second", 3)
	for _, c := range clients[:10] {
		c.Close(1000, "")
	}
	for i := range 10 {
		app.closed(fmt.Sprintf("first-%d", i))
	}
	all[0].recorded(t, n+10)
	all[1].recorded(t, 3)
	all[0].kill()
	app.awaitLost(t, conns[10:])

	// The survivor that has sent them dies, too.
	harness.Poll(t, "one take-over", func() bool {
		sum := all[1].metricNow(t, "ws_gateway_cluster_takeovers_total") + all[2].metricNow(t, "ws_gateway_cluster_takeovers_total")
		if sum > 1 {
			t.Fatalf("%v take-overs", sum)
		}
		return sum == 1
	})
	all[1].kill()
	app.awaitLost(t, append(slices.Clone(conns[10:]), others...))

	// One comes back, with new connections, and ends well: nobody closes them once more.
	back := startKeeper(t, app, nats.URL(), 0)
	_, again := back.crowd(app, "third", 2)
	back.recorded(t, 2)
	back.Signal(syscall.SIGTERM)
	back.Wait(harness.Patience)
	all[2].kill()
	last := startKeeper(t, app, nats.URL(), 3)
	_, own := last.crowd(app, "fourth", 1)
	last.recorded(t, 1)
	last.kill()
	keeper := startKeeper(t, app, nats.URL(), 4)
	app.awaitLost(t, append(append(slices.Clone(conns[10:]), others...), own...))
	for _, id := range again {
		if slices.Contains(lostCloses(t, app.since(0)), id) {
			t.Errorf("%s had its close event when its gateway ended", id)
		}
	}
	keeper.Signal(syscall.SIGTERM)
	keeper.Wait(harness.Patience)
}

func TestAGatewayThatWasStoppedForLongAndGoesOnEndsWithoutEvents(t *testing.T) {
	t.Parallel()
	nats, app := startWithJetStream(t), startApp(t)
	a, _ := startKeeper(t, app, nats.URL(), 0), startKeeper(t, app, nats.URL(), 1)
	_, conns := a.crowd(app, "first", 5)
	a.recorded(t, 5)
	a.awaitOthers(t, 1, 0)
	a.Signal(syscall.SIGSTOP)
	app.awaitLost(t, conns)
	a.Signal(syscall.SIGCONT)
	if code := a.Wait(harness.Patience); code != 1 {
		t.Errorf("exit code %d", code)
	}
	for _, c := range app.since(0) {
		if c.event.Action == "close" && c.event.Reason != "gateway lost" {
			t.Errorf("it has sent %s", c.body)
		}
	}
	a.logged(t, 1, "exiting at once, without further events")
}

func TestWhileJetStreamIsAwayEventsGoOnAndCloseEventsWaitUntilNobodyElseCanHaveSentThem(t *testing.T) {
	t.Parallel()
	nats, app := startWithJetStream(t), startApp(t)
	a, b := startKeeper(t, app, nats.URL(), 0), startKeeper(t, app, nats.URL(), 1)
	clients, _ := a.crowd(app, "first", 3)
	a.recorded(t, 3)
	nats.Stop()
	clients[0].Send(`{"n":1}`)
	app.message("first-0", 1)
	_, _ = a.crowd(app, "second", 1) // its open event waits a second
	a.logged(t, 1, "the cluster's journal cannot be written")
	harness.Poll(t, "a close event to wait", func() bool {
		c := a.Dial(t, "passer-by")
		c.Close(1000, "")
		return a.metricNow(t, "ws_gateway_cluster_journal_held_closes") > 0
	})
	nats.Restart()
	a.expectMetric(t, "ws_gateway_cluster_journal_held_closes", 0)
	app.closed("passer-by")
	b.awaitOthers(t, 1, 0)
	if lost := lostCloses(t, app.since(0)); len(lost) > 0 {
		t.Errorf("somebody was taken over: %q", lost)
	}
	b.expectMetric(t, "ws_gateway_cluster_takeovers_total", 0)
}
