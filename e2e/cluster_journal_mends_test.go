package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ws-gateway/cluster/bus/natsbus/natstest"
	"ws-gateway/e2e/harness"
)

// What waits together while JetStream is away is more than one message of NATS takes.
func TestABurstOfOpensIsRecordedInMessagesThatNATSTakes(t *testing.T) {
	t.Parallel()
	const n, payload = 200, 16 << 10
	nats, app := startWithJetStream(t, func(o *server.Options) { o.MaxPayload = payload }), startApp(t)
	a, b := startKeeper(t, app, nats.URL(), 0), startKeeper(t, app, nats.URL(), 1)
	a.awaitOthers(t, 1, 0)
	_, conns := a.crowd(app, "first", 1)
	a.recorded(t, 1)
	nats.Stop()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			c, _, err := a.TryConnect(t, visitor{User: fmt.Sprint("burst-", i), Cookie: "c=" + strings.Repeat("x", 500)})
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { _ = c.WS.CloseNow() })
		})
	}
	all.Wait()
	for i := range n {
		conns = append(conns, app.opened(fmt.Sprint("burst-", i)))
	}
	a.awaitMetric(t, "ws_gateway_cluster_journal_waiting_bytes", 4*payload)
	nats.Restart()
	a.recorded(t, n+1)
	a.kill()
	app.awaitLost(t, conns)
	b.expectMetric(t, "ws_gateway_cluster_takeovers_total", 1)
}

// stream is the journal's, as an operator sees it.
func stream(t *testing.T, url string, cfg jetstream.StreamConfig) (jetstream.JetStream, func(change func(*jetstream.StreamConfig))) {
	t.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Name, cfg.Subjects, cfg.Discard = "wsg_shop", []string{"wsg.shop.journal.*"}, jetstream.DiscardNew
	if _, err := js.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	return js, func(change func(*jetstream.StreamConfig)) {
		t.Helper()
		change(&cfg)
		if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCloseEventsThatAreHeldAtTheEndAreSentByASurvivor(t *testing.T) {
	t.Parallel()
	const n = 20
	nats, app := startWithJetStream(t), startApp(t)
	js, change := stream(t, nats.URL(), jetstream.StreamConfig{MaxBytes: 64 << 10})
	a, b := startKeeper(t, app, nats.URL(), 0), startKeeper(t, app, nats.URL(), 1)
	a.awaitOthers(t, 1, 0)
	_, conns := a.crowd(app, "first", n)
	a.recorded(t, n)
	for size := 32 << 10; size > 0; { // until there is no room for anything
		if _, err := js.Publish(t.Context(), "wsg.shop.journal.filler", make([]byte, size)); err != nil {
			var refused *jetstream.APIError
			if !errors.As(err, &refused) {
				t.Fatal(err)
			}
			size /= 2
		}
	}
	a.logged(t, 1, "the cluster's journal cannot be written")
	line := a.stop(t)
	if left := line.Number("closes_left_to_others"); left != n || line.Text("level") != "warn" {
		t.Errorf("%v close events are said to be left to others", left)
	}
	a.logged(t, 1, "close events are left to other gateways")
	for _, c := range app.since(0) {
		if c.event.Action == "close" {
			t.Errorf("it has sent %s", c.body)
		}
	}
	change(func(cfg *jetstream.StreamConfig) { cfg.MaxBytes = -1 })
	app.awaitLost(t, conns)
	b.expectMetric(t, "ws_gateway_cluster_takeovers_total", 1)
}

func TestWhatIsOpenIsInTheJournalAgainWhenNATSHasLostItsStore(t *testing.T) {
	t.Parallel()
	const n = 20
	folder := t.TempDir()
	nats, app := startWithJetStream(t, func(o *server.Options) { o.StoreDir = folder }), startApp(t)
	a, b := startKeeper(t, app, nats.URL(), 0), startKeeper(t, app, nats.URL(), 1)
	a.awaitOthers(t, 1, 0)
	clients, conns := a.crowd(app, "first", n)
	a.recorded(t, n)
	app.stop() // the close event of one is on its way for long
	clients[0].Close(1000, "")
	a.expectMetric(t, "ws_gateway_connections", n-1)
	nats.Stop()
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	nats.Restart()
	a.expectMetric(t, "ws_gateway_cluster_journal_losses_total", 1)
	a.recorded(t, 2*n)
	a.logged(t, 1, "what was in the stream of the cluster's journal is lost")
	a.kill()
	app.start()
	app.awaitLost(t, conns)
	b.awaitOthers(t, 0, 0)
}

// A gateway is cut off, its clients close at once, and others take over: the app hears of each
// close once.
func TestWhoClosesAtAGatewayThatIsCutOffHasOneCloseEvent(t *testing.T) {
	t.Parallel()
	const n = 10
	nats, app := startWithJetStream(t), startApp(t)
	proxy := natstest.StartProxy(t, nats)
	a, b := startKeeper(t, app, proxy.URL(), 0), startKeeper(t, app, nats.URL(), 1)
	a.awaitOthers(t, 1, 0)
	clients, conns := a.crowd(app, "first", n)
	a.recorded(t, n)
	proxy.Cut(true)
	a.awaitMetric(t, "ws_gateway_cluster_journal_failures_total", 1)
	for _, c := range clients[:n/2] {
		c.Close(1000, "")
	}
	a.expectMetric(t, "ws_gateway_cluster_journal_held_closes", n/2)
	app.awaitLost(t, conns)
	proxy.Cut(false)
	if code := a.Wait(harness.Patience); code != 1 {
		t.Errorf("exit code %d", code)
	}
	b.expectMetric(t, "ws_gateway_cluster_takeovers_total", 1)
	var closes []string
	for _, c := range app.since(0) {
		if c.event.Action == "close" {
			closes = append(closes, c.event.Conn)
		}
	}
	slices.Sort(closes)
	if want := slices.Sorted(slices.Values(conns)); !slices.Equal(closes, want) {
		t.Errorf("%d close events, want %d: %q", len(closes), len(want), closes)
	}
}

// The app names the user when it decides about the upgrade, after the connection was recorded.
func TestTheCloseEventOfALostConnectionHasTheUserThatTheAppHasNamed(t *testing.T) {
	t.Parallel()
	nats := startWithJetStream(t)
	b := startBouncer(t, func(w http.ResponseWriter, e event) { w.Header().Set("X-Ws-User", "real-"+e.User) })
	var all []*gateway
	for i := range 2 {
		all = append(all, b.guarded(t, "--cluster", nats.URL(), "--cluster-app", "shop", "--cluster-name", memberName(i), "--cluster-journal",
			"--cluster-timeout", "1m", "--cluster-dead-after", "6s"))
	}
	all[0].awaitOthers(t, 1, 0)
	all[0].Dial(t, "alice")
	all[0].recorded(t, 2)
	all[0].kill()
	if c := b.await(t, "close", 1)[0]; c.User != "real-alice" || c.Reason != "gateway lost" {
		t.Errorf("the close is %+v", c)
	}
}
