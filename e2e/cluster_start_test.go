package e2e_test

import (
	"fmt"
	"net/http"
	"syscall"
	"testing"

	"ws-gateway/cluster/bus/natsbus/natstest"
	"ws-gateway/e2e/harness"
)

// idAt is the id of a user's only connection at a gateway.
func (g *gateway) idAt(t *testing.T, user string) string {
	t.Helper()
	ids, _, _ := g.listThrough(t, "?scope=local&user="+user)
	if len(ids) != 1 {
		t.Fatalf("%s has the connections %v", user, ids)
	}
	return ids[0]
}

// aboutID are calls that change something for a connection, as it may be named.
func aboutID(id string) map[string]string {
	return map[string]string{
		`{"conn_id":"` + id + `","payload":1}`:                  sendPath,
		`{"conns":["` + id + `"],"payload":1,"report":true}`:    sendPath,
		`{"conns":["` + id + `"],"users":["bob"],"payload":1}`:  sendPath,
		`{"conns":["` + id + `"],"reason":"x"}`:                 closePath,
		`{"conns":["` + id + `"],"groups":["g"]}`:               joinPath,
		`{"conns":["` + id + `"],"users":["b"],"groups":["g"]}`: leavePath,
		`{"conns":["` + id + `"],"meta":{"a":1}}`:               metaPath,
		`{"users":["bob"],"payload":1}`:                         sendPath,
		`{"groups":["g"],"payload":1,"exclude":["` + id + `"]}`: sendPath,
	}
}

// unsure expects that a gateway says of each call that others are missing of which nothing is
// known.
func (g *gateway) unsure(t *testing.T, id string) {
	t.Helper()
	for body, path := range aboutID(id) {
		g.post(path, body).answered(t, http.StatusBadGateway, "*")
	}
	g.get(getPath+"?conn_id="+id).answered(t, http.StatusGatewayTimeout, "*")
	g.get(listPath+"?user=bob").answered(t, 0, "*")
	g.get(countPath).answered(t, 0, "*")
	g.get(groupsPath+"?conn_id="+id).answered(t, 0, "*")
}

func TestAGatewayThatHasStartedWithoutNATSDoesNothingInSilenceForConnectionsOfOthers(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"serve", "refuse"} {
		nats := startNATS(t)
		b := startMember(t, nats.URL(), 0)
		bob := b.Dial(t, "bob")
		id := b.idAt(t, "bob")
		proxy := natstest.StartProxy(t, nats)
		proxy.Cut(true)
		a := startMember(t, proxy.URL(), 1, "--cluster-when-cut", when, "--max-meta", "1KiB")
		a.unsure(t, id)
		proxy.Cut(false)
		a.awaitOthers(t, 1, 0)
		b.awaitOthers(t, 1, 0)
		a.send(`{"conn_id":"` + id + `","payload":2}`)
		bob.Receive("2")
	}
}

// A gateway starts beside two others and hears only one of them for a while.
func TestAGatewayThatStartsBesideOthersDoesNotAnswerForThoseThatItHasNotHeardYet(t *testing.T) {
	t.Parallel()
	c := startTogether(t, 2)
	bob := c.gateways[1].Dial(t, "bob")
	id := c.gateways[1].idAt(t, "bob")
	c.proxies[1].Stall(true)
	a := startMember(t, c.nats.URL(), 2, "--cluster-required", "--max-meta", "1KiB")
	harness.Poll(t, "the gateway that is heard", func() bool { return a.metricNow(t, "ws_gateway_cluster_instances") == 1 })
	a.unsure(t, id)
	if got := a.get("/readyz"); got.status != http.StatusServiceUnavailable {
		t.Errorf("ready: %d %s", got.status, got.body)
	}
	c.proxies[1].Stall(false)
	a.awaitOthers(t, 2, 0)
	if got := a.get("/readyz"); got.status != http.StatusOK {
		t.Errorf("not ready: %d %s", got.status, got.body)
	}
	a.send(`{"conn_id":"` + id + `","payload":2}`)
	bob.Receive("2")
	a.get(getPath+"?conn_id="+id).answered(t, 0)
	a.get(countPath).answered(t, 0)
}

// A gateway that did not know of a member elsewhere has a message that is sent there once it
// is told of one.
func TestAMessageToAGroupDoesNotReachWhoJoinsAfterItAtAnotherGateway(t *testing.T) {
	t.Parallel()
	_, all := startCluster(t, 2)
	a, b := all[0], all[1]
	bob := b.Dial(t, "bob")
	for n := range 10 {
		group := fmt.Sprintf(`"groups":["room-%d"]`, n)
		b.post(joinPath, `{"users":["bob"],`+group+`}`).answered(t, 0)
		b.post(leavePath, `{"users":["bob"],`+group+`}`).answered(t, 0)
		a.send(`{` + group + `,"payload":"before"}`)
		for range 5 { // ages are exact to within the time that a packet is under way
			a.get(countPath).answered(t, 0)
		}
		b.post(joinPath, `{"users":["bob"],`+group+`}`).answered(t, 0)
		a.send(fmt.Sprintf(`{%s,"payload":%d}`, group, n))
		bob.Receive(fmt.Sprint(n))
	}
}

// A gateway takes clients only when the others know of it, or each send would miss those that
// connect before.
func TestASendFindsWhoHasConnectedToAGatewayThatHasJustStarted(t *testing.T) {
	t.Parallel()
	nats, all := startCluster(t, 1)
	for n := range 10 {
		b := startInstance(t, nats.URL(), fmt.Sprint("new-", n))
		bob := b.Dial(t, "bob")
		all[0].send(fmt.Sprintf(`{"users":["bob"],"payload":%d}`, n))
		bob.Receive(fmt.Sprint(n))
		bob.Close(1000, "")
		b.Signal(syscall.SIGTERM)
		b.Wait(harness.Patience)
	}
}
