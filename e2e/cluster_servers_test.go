package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ws-gateway/cluster/bus/natsbus/natstest"
	"ws-gateway/e2e/harness"
)

// startServers starts NATS servers that are one, by their names, with JetStream.
func startServers(t *testing.T, n int) (all map[string]*natstest.Server, urls string) {
	t.Helper()
	var routes, clients []string
	ports := make([]*port, n)
	for i := range ports {
		ports[i] = reservePort(t)
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[i].number))
	}
	all = map[string]*natstest.Server{}
	for i := range n {
		name, own, folder := fmt.Sprint("nats-", i), reservePort(t), t.TempDir()
		all[name] = natstest.Start(t, func(o *server.Options) {
			o.ServerName, o.Port = name, own.number
			o.Cluster = server.ClusterOpts{Name: "servers", Host: "127.0.0.1", Port: ports[i].number}
			o.Routes = server.RoutesFromStr(strings.Join(routes, ","))
			o.JetStream, o.StoreDir, o.JetStreamMaxStore = true, folder, 1<<30
		})
		clients = append(clients, all[name].URL())
	}
	return all, strings.Join(clients, ",")
}

// Of three servers one may fail, also the one that leads the journal's stream, which was made
// as the command nats makes it.
func TestOfThreeNATSServersOneMayFail(t *testing.T) {
	t.Parallel()
	servers, urls := startServers(t, 3)
	conn, err := nats.Connect(urls, nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	var leader string
	harness.Poll(t, "a stream with three replicas", func() bool {
		stream, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{
			Name: "wsg_shop", Subjects: []string{"wsg.shop.journal.*"}, Replicas: 3, Discard: jetstream.DiscardNew, AllowDirect: true,
		})
		if err != nil {
			return false
		}
		leader = stream.CachedInfo().Cluster.Leader
		return leader != ""
	})
	app := startApp(t)
	c := &together{}
	for i := range 2 {
		c.gateways = append(c.gateways, startGateway(t, app, "--cluster", urls, "--cluster-app", "shop", "--cluster-name", memberName(i), "--cluster-journal",
			"--cluster-timeout", "1m", "--cluster-hold", "14s", "--cluster-dead-after", "15s"))
	}
	c.whole(t)
	a, b := c.gateways[0], c.gateways[1]
	alice := b.Dial(t, "alice")
	first := app.opened("alice")
	b.recorded(t, 1)
	a.sends("alice", 0, 20)
	servers[leader].Stop()
	a.sends("alice", 20, 40)
	c.whole(t)
	a.sends("alice", 40, 60)
	receives(t, alice, 0, 60)
	_, conns := b.crowd(app, "bob", 20)
	b.recorded(t, 21)
	b.kill()
	app.awaitLost(t, append(conns, first))
	a.expectMetric(t, "ws_gateway_cluster_takeovers_total", 1)
}
