package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"ws-gateway/cluster/bus/natsbus/natstest"
	"ws-gateway/e2e/harness"
)

// long is a message of so many bytes, and how it is sent to a user.
func long(user string, bytes int) (payload, body string) {
	payload = `"` + strings.Repeat("x", bytes) + `"`
	return payload, `{"users":["` + user + `"],"payload":` + payload + `}`
}

// sendsLong sends a long message to a user, who must get it.
func (g *gateway) sendsLong(t *testing.T, to *client, user string, bytes int) {
	t.Helper()
	payload, body := long(user, bytes)
	g.post(sendPath, body).answered(t, 0)
	to.Receive(payload)
}

// reader is a client that takes long messages.
func (g *gateway) reader(t *testing.T, user string) *client {
	t.Helper()
	c := g.Dial(t, user)
	c.WS.SetReadLimit(1 << 20)
	return c
}

func takesOnly(bytes int32) func(*server.Options) {
	return func(o *server.Options) { o.MaxPayload = bytes }
}

// NATS does not tell clients of it, and cuts whoever sends more, with or without a word that
// arrives.
func TestALowerMaxPayloadThatNATSReloadsCutsNobodyOff(t *testing.T) {
	t.Parallel()
	c := &together{nats: startNATS(t)}
	for i := range 2 {
		c.gateways = append(c.gateways, startMember(t, c.nats.URL(), i))
	}
	c.whole(t)
	a, b := c.gateways[0], c.gateways[1]
	bob, alice := a.reader(t, "bob"), b.reader(t, "alice")
	a.sendsLong(t, alice, "alice", 200_000)
	c.nats.Change(takesOnly(64 << 10))
	a.sendsLong(t, alice, "alice", 200_000)
	a.awaitMetric(t, "ws_gateway_cluster_links_total", 2)
	a.awaitMetric(t, "ws_gateway_cluster_link_up", 1)
	b.sendsLong(t, bob, "bob", 200_000)
	a.sendsLong(t, alice, "alice", 300_000)
	c.whole(t)
	a.post(sendPath, `{"all":true,"payload":1,"report":true}`).answered(t, 0)
}

func TestMessagesAreCutAsNATSTakesThemNow(t *testing.T) {
	t.Parallel()
	c := startTogether(t, 2)
	a, b := c.gateways[0], c.gateways[1]
	bob, alice := a.reader(t, "bob"), b.reader(t, "alice")
	for _, limit := range []int32{64 << 10, 8 << 10, 1 << 20} {
		c.nats.Stop()
		_, body := long("alice", 100_000)
		a.post(sendPath, body) // held, and not cut as it will have to be
		c.nats.Change(takesOnly(limit))
		c.nats.Restart()
		payload, _ := long("alice", 100_000)
		alice.Receive(payload)
		c.whole(t)
		a.sendsLong(t, alice, "alice", 900_000)
		b.sendsLong(t, bob, "bob", 900_000)
	}
}

func TestServersOfOneNATSMayTakeMessagesOfDifferentLengths(t *testing.T) {
	t.Parallel()
	var servers []*natstest.Server
	var urls, routes []string
	for i := range 2 {
		client, route := reservePort(t), reservePort(t)
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", route.number))
		servers = append(servers, natstest.Start(t, func(o *server.Options) {
			o.Port, o.ServerName = client.number, fmt.Sprint("nats-", i)
			o.Cluster = server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: route.number}
			o.Routes = server.RoutesFromStr(strings.Join(routes, ","))
			o.MaxPayload = []int32{1 << 20, 16 << 10}[i]
		}))
		urls = append(urls, servers[i].URL())
	}
	c := &together{}
	for i, url := range urls {
		c.gateways = append(c.gateways, startMember(t, url, i))
	}
	c.whole(t)
	a, b := c.gateways[0], c.gateways[1]
	bob, alice := a.reader(t, "bob"), b.reader(t, "alice")
	a.sendsLong(t, alice, "alice", 300_000)
	b.sendsLong(t, bob, "bob", 300_000)
	servers[0].Stop() // a goes to the other, which takes less
	_, body := long("alice", 300_000)
	a.post(sendPath, body)
	payload, _ := long("alice", 300_000)
	alice.Receive(payload)
	c.whole(t)
	a.sendsLong(t, alice, "alice", 300_001)
	b.sendsLong(t, bob, "bob", 300_001)
}

// NATS ends clients whose lines are too long, and those have nothing shorter to say. It is a
// program here: the server writes this limit while its clients read it.
func TestWhatNATSHasEndedForGoodIsBackAndSoIsItsJournal(t *testing.T) {
	t.Parallel()
	config := fmt.Sprintf("jetstream {store_dir: %q}\n", t.TempDir())
	nats, app := startNATSProgram(t, config), startApp(t)
	var all []*gateway
	for i := range 2 {
		all = append(all, startKeeper(t, app, nats.url, i))
	}
	for _, g := range all {
		g.awaitOthers(t, 1, 0)
	}
	all[0].crowd(app, "first", 2)
	all[0].recorded(t, 2)
	nats.reload(t, config+"max_control_line: 60\n")
	for _, g := range all {
		g.post(sendPath, `{"all":true,"payload":1}`)
		g.awaitMetric(t, "ws_gateway_cluster_journal_failures_total", 1)
		harness.Poll(t, "no link", func() bool { return g.metricNow(t, "ws_gateway_cluster_link_up") == 0 })
	}
	nats.reload(t, config)
	for _, g := range all {
		g.awaitMetric(t, "ws_gateway_cluster_link_up", 1)
		g.awaitOthers(t, 1, 0)
	}
	all[0].crowd(app, "second", 2)
	all[0].recorded(t, 4)
}
