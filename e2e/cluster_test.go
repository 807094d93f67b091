package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"ws-gateway/cluster/bus/natsbus/natstest"
	"ws-gateway/e2e/harness"
)

// startCluster runs gateways a, b and so on, which meet over a NATS server inside of the
// test, and waits until each knows all others.
func startCluster(t *testing.T, n int, args ...string) (*natstest.Server, []*gateway) {
	t.Helper()
	nats := natstest.Start(t, nil)
	var all []*gateway
	for i := range n {
		all = append(all, startInstance(t, nats.URL(), string(rune('a'+i)), args...))
	}
	for _, g := range all {
		g.awaitInstances(t, n-1)
	}
	return nats, all
}

// patient are the limits of a cluster that no test may run into because a machine is busy: by
// default what is sent to another gateway is given up after 2 s.
var patient = []string{"--cluster-timeout", "1m", "--cluster-hold", "1m", "--cluster-dead-after", "10m"}

// startInstance runs a gateway of a cluster.
func startInstance(t *testing.T, nats, name string, args ...string) *gateway {
	t.Helper()
	return startPushOnly(t, slices.Concat([]string{"--cluster", nats, "--cluster-app", "chat", "--cluster-name", name}, patient, args)...)
}

// awaitInstances waits until a gateway knows so many others that are not silent.
func (g *gateway) awaitInstances(t *testing.T, n int) {
	t.Helper()
	harness.Poll(t, fmt.Sprint("gateways that know ", n, " others"), func() bool {
		return g.metricNow(t, "ws_gateway_cluster_whole") == 1 && g.metricNow(t, "ws_gateway_cluster_instances")-g.metricNow(t, "ws_gateway_cluster_instances_silent") == float64(n)
	})
}

// ask calls the API and returns the whole answer.
func (g *gateway) ask(t *testing.T, method, path, body string) string {
	t.Helper()
	request, err := http.NewRequest(method, "http://"+g.Addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := g.HTTP.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var raw json.RawMessage
	if err := json.NewDecoder(answer.Body).Decode(&raw); err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

const succeededAlone = `{"code":0,"message":"success"}`

func TestASendThroughAnyGatewayOfAClusterReachesEveryClient(t *testing.T) {
	t.Parallel()
	_, all := startCluster(t, 3)
	a, b, c := all[0], all[1], all[2]
	alice, bob := b.Dial(t, "alice"), c.Dial(t, "bob")
	for i := range 20 {
		if got := a.ask(t, "POST", "/tapr/ws/conn/send", fmt.Sprintf(`{"users":["alice","bob"],"payload":"m%d"}`, i)); got != succeededAlone {
			t.Fatal(got)
		}
	}
	for i := range 20 {
		want := fmt.Sprintf(`"m%d"`, i)
		alice.Receive(want)
		bob.Receive(want)
	}
	if got, want := a.ask(t, "POST", "/tapr/ws/conn/send", `{"all":true,"payload":1,"report":true}`), `{"code":0,"message":"success","data":{"matched":2,"queued":2,"slow":0}}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, g := range all {
		if got, want := g.ask(t, "GET", "/tapr/ws/conn/count", ""), `{"code":0,"message":"success","data":{"connections":2,"users":2}}`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got, want := a.ask(t, "GET", "/tapr/ws/conn/count?scope=local", ""), `{"code":0,"message":"success","data":{"connections":0,"users":0}}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := a.ask(t, "POST", "/tapr/ws/conn/close", `{"users":["bob"],"code":4000,"report":true}`), `{"code":0,"message":"success","data":{"matched":1}}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	bob.Receive("1")
	bob.ClosedWith(4000, "")
}
