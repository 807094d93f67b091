package e2e_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ws-gateway/e2e/harness"
)

// liveLine is a line of a stream of events.
type liveLine struct {
	Action, Instance string
	User             string   `json:"user_name"`
	Conn             string   `json:"conn_id"`
	Missing          []string `json:"missing"`
	raw              string
}

// watchEvents opens a stream of events and waits for its first line.
func (g *gateway) watchEvents(t *testing.T, query string) (next func() liveLine) {
	t.Helper()
	answer, err := g.HTTP.Get("http://" + g.Addr + "/tapr/ws/conn/events" + query)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	if answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status)
	}
	lines := bufio.NewScanner(answer.Body)
	next = func() (l liveLine) {
		t.Helper()
		for lines.Scan() {
			if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
				t.Fatalf("%s: %v", lines.Bytes(), err)
			}
			if l.raw = lines.Text(); l.Action != "heartbeat" {
				return l
			}
			l = liveLine{}
		}
		t.Fatalf("the stream has ended: %v", lines.Err())
		return l
	}
	if !lines.Scan() { // the heartbeat, once all gateways that are there have begun
		t.Fatal(lines.Err())
	}
	return next
}

func TestLiveEventsComeFromAllGatewaysAndNameThoseThatAreMissing(t *testing.T) {
	t.Parallel()
	c := startTogether(t, 3)
	all, two := c.gateways[0].watchEvents(t, "?rate=1000&action=open"), c.gateways[0].watchEvents(t, "?scope=gateway-2&action=open")
	local := c.gateways[0].watchEvents(t, "?scope=local&action=open")
	for i, g := range c.gateways {
		g.Dial(t, "user-"+memberName(i))
	}
	seen := map[string]string{}
	for range c.gateways {
		l := all()
		seen[l.Instance] = l.User
	}
	for i := range c.gateways {
		if seen[memberName(i)] != "user-"+memberName(i) {
			t.Errorf("seen: %v", seen)
		}
	}
	if l := two(); l.Instance != "gateway-2" || l.User != "user-gateway-2" {
		t.Errorf("scope=gateway-2: %s", l.raw)
	}
	if l := local(); l.Instance != "" || l.User != "user-gateway-0" {
		t.Errorf("scope=local: %s", l.raw)
	}
	if l := c.gateways[0].ask(t, "GET", "/tapr/ws/conn/count?scope=gateway-2", ""); l != `{"code":0,"message":"success","data":{"connections":1,"users":1}}` {
		t.Error(l)
	}
	if l := c.gateways[0].ask(t, "GET", "/tapr/ws/conn/count?scope=nobody", ""); l != `{"code":400,"message":"no instance of the cluster has this name; scope must be \"local\", \"cluster\", or the name of an instance as /tapr/ws/status lists them"}` {
		t.Error(l)
	}

	got := c.gateways[0].cli(t, "", "list", "--scope", "gateway-1")
	if got.code != 0 || strings.Count(got.stdout, "\n") != 1 || !strings.HasPrefix(got.stdout, "user-gateway-1\t") {
		t.Errorf("%+v", got)
	}
	c.gateways[0].cli(t, "", "count", "--scope", "gateway-2").done(t, "1 connection of 1 user\n")
	c.gateways[0].cli(t, "", "count").done(t, "3 connections of 3 users\n")
	c.gateways[0].cli(t, "", "send", "--scope", "local", "--all", "--report", "x").done(t, "matched 1, queued 1, slow 0\n")

	c.gateways[2].Signal(syscall.SIGKILL)
	if l := all(); !slices.Equal(l.Missing, []string{"gateway-2"}) {
		t.Errorf("killed: %s", l.raw)
	}
	if got := c.gateways[0].cli(t, "", "count"); got.stdout != "2 connections of 2 users\n" || got.stderr != "ws-gateway: not reached, and not part of this: gateway-2\n" {
		t.Errorf("%+v", got)
	}
}

func TestNoStreamOfAReaderIsLeftWhenItsGatewayIsKilled(t *testing.T) {
	t.Parallel()
	c := startTogether(t, 2)
	c.gateways[0].watchEvents(t, "")
	c.gateways[1].expectMetric(t, "ws_gateway_cluster_watches", 1)
	c.gateways[0].Signal(syscall.SIGKILL)
	c.gateways[1].expectMetric(t, "ws_gateway_cluster_watches", 0)
	c.gateways[1].expectMetric(t, "ws_gateway_event_streams", 0)
}

func TestTheStatusHasTheInstancesOfTheCluster(t *testing.T) {
	t.Parallel()
	c := startTogether(t, 2)
	c.gateways[1].Dial(t, "alice")
	type instance struct {
		ID, Name, Version string
		Self, Silent      bool
		Started           string
		Connections       int
		Loops             int
	}
	var status struct {
		Data struct {
			Cluster struct {
				App       string
				Linked    bool
				Instances []instance
			}
		}
	}
	harness.Poll(t, "alice in gateway-1's heartbeat", func() bool {
		if err := json.Unmarshal([]byte(c.gateways[0].ask(t, "GET", "/tapr/ws/status", "")), &status); err != nil {
			t.Fatal(err)
		}
		list := status.Data.Cluster.Instances
		return len(list) == 2 && list[1].Connections == 1
	})
	for i, got := range status.Data.Cluster.Instances {
		if got.Name != memberName(i) || got.Self != (i == 0) || got.Silent || got.Loops < 1 || got.Version == "" || got.Started == "" || len(got.ID) != 16 {
			t.Errorf("%+v", got)
		}
	}
	if s := status.Data.Cluster; s.App != "shop" || !s.Linked {
		t.Errorf("%+v", s)
	}
}
