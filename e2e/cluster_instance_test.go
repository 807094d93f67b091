package e2e_test

import (
	"encoding/json"
	"syscall"
	"testing"

	"ws-gateway/e2e/harness"
)

func TestCallbacksNameTheirGatewayAndOneThatEndsIsDraining(t *testing.T) {
	t.Parallel()
	nats := startNATS(t)
	a := startApp(t)
	var gateways []*gateway
	for i := range 2 {
		gateways = append(gateways, startGateway(t, a, "--cluster", nats.URL(), "--cluster-app", "shop", "--cluster-name", []string{"shop-0", "Geschäft 1"}[i],
			"--drain-delay", "5m", "--shutdown-timeout", "10m"))
	}
	epochs := map[string]string{}
	for i, want := range []string{"shop-0", "Gesch%C3%A4ft%201"} {
		user := []string{"alice", "bob"}[i]
		gateways[i].Dial(t, user)
		h := a.awaitCall("the open event of "+user, func(c *call) bool { return c.event.User == user }).header
		if got := h.Get("X-Ws-Instance"); got != want {
			t.Errorf("X-Ws-Instance is %q, want %q", got, want)
		}
		epochs[h.Get("X-Ws-Epoch")] = want
	}
	if len(epochs) != 2 {
		t.Errorf("epochs: %v, want one for each gateway", epochs)
	}
	gateways[0].awaitOthers(t, 1, 0)
	gateways[1].awaitOthers(t, 1, 0)
	gateways[0].Signal(syscall.SIGTERM)
	harness.Poll(t, "the gateway that ends to be draining, and the other not", func() bool {
		draining := map[string]bool{}
		for _, i := range gateways[1].instances(t) {
			draining[i.Name] = i.Draining
		}
		return len(draining) == 2 && draining["shop-0"] && !draining["Geschäft 1"]
	})
	_ = gateways[0].Cmd.Process.Kill() // which would wait for minutes
	<-gateways[0].Exited
}

// anInstance is a gateway in the status of another one.
type anInstance struct {
	Name     string `json:"name"`
	Draining bool   `json:"draining"`
}

func (g *gateway) instances(t *testing.T) []anInstance {
	t.Helper()
	var status struct {
		Cluster struct {
			Instances []anInstance `json:"instances"`
		} `json:"cluster"`
	}
	a := g.get("/tapr/ws/status")
	if err := json.Unmarshal(a.parse(t).Data, &status); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return status.Cluster.Instances
}
