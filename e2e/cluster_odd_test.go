package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ws-gateway/e2e/harness"
)

// edit is a change of a source file, for a gateway that is not quite this one.
type edit struct{ file, old, new string }

// oddBinary builds the gateway from sources with these changes, none of which the product
// has an option for.
func oddBinary(t *testing.T, edits ...edit) string {
	t.Helper()
	dir := t.TempDir()
	var overlay struct{ Replace map[string]string }
	overlay.Replace = map[string]string{}
	for i, e := range edits {
		file, err := filepath.Abs(e.file)
		if err != nil {
			t.Fatal(err)
		}
		from := file
		if changed, ok := overlay.Replace[file]; ok {
			from = changed
		}
		source, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(source), e.old); n != 1 {
			t.Fatalf("%s has %q %d times: the test is to change it where it is once", file, e.old, n)
		}
		to := filepath.Join(dir, fmt.Sprintf("%d.go", i))
		if err := os.WriteFile(to, []byte(strings.Replace(string(source), e.old, e.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[file] = to
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "ws-gateway")
	if out, err := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, "ws-gateway/cmd/ws-gateway").CombinedOutput(); err != nil {
		t.Fatalf("building a gateway with changes: %v\n%s", err, out)
	}
	return binary
}

// oddTogether starts two gateways of this version and one of the binary between them, and
// waits until each knows the others.
func oddTogether(t *testing.T, binary string, args ...string) *together {
	t.Helper()
	c := &together{nats: startNATS(t)}
	for i := range 3 {
		l := launch{args: slices.Concat([]string{"--no-callback", "--cluster", c.nats.URL(), "--cluster-app", "shop", "--cluster-name", memberName(i)}, patient, args)}
		if i == 1 {
			l.binary = binary
		}
		c.gateways = append(c.gateways, l.start(t))
	}
	c.whole(t)
	return c
}

// understands has every gateway call every other one in every way.
func (c *together) understands(t *testing.T) {
	t.Helper()
	n := len(c.gateways)
	var clients []*client
	for i, g := range c.gateways {
		clients = append(clients, g.Dial(t, fmt.Sprint("user-", i)))
	}
	next := 0
	for i, g := range c.gateways {
		for j := range clients {
			g.sends(fmt.Sprint("user-", j), next, next+1)
			clients[j].Receive(message(next))
			next++
		}
		if matched := g.join(fmt.Sprintf(`{"users":["user-0","user-1","user-2"],"groups":["room-%d"]}`, i)); matched != n {
			t.Errorf("gateway %d: %d have joined", i, matched)
		}
		a := g.post(sendPath, fmt.Sprintf(`{"groups":["room-%d"],"payload":%s,"report":true}`, i, message(next)))
		a.answered(t, 0)
		if !strings.Contains(a.body, fmt.Sprintf(`"matched":%d`, n)) {
			t.Errorf("gateway %d: %s", i, a.body)
		}
		for _, client := range clients {
			client.Receive(message(next))
		}
		next++
		if connections, users := g.countIn(); connections != n || users != n {
			t.Errorf("gateway %d counts %d connections of %d users", i, connections, users)
		}
		ids, missing, _ := g.listThrough(t, "")
		if len(ids) != n || len(missing) > 0 {
			t.Errorf("gateway %d lists %v, without %v", i, ids, missing)
		}
		for _, id := range ids {
			g.get(getPath+"?conn_id="+id).answered(t, 0)
		}
	}
	for i, g := range c.gateways {
		j := (i + 1) % n
		g.closeConns(fmt.Sprintf(`{"users":["user-%d"],"code":4000,"reason":"over"}`, j))
		clients[j].ClosedWith(4000, "over")
	}
	for _, g := range c.gateways {
		g.expectMetric(t, `ws_gateway_cluster_packets_ignored_total{reason="malformed"}`, 0)
	}
}

func TestGatewaysWhoseClocksAreAnHourApartAreOne(t *testing.T) {
	t.Parallel()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	binary := oddBinary(t, edit{
		filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go"),
		"	sec, nsec, mono := runtimeNow()\n	if mono == 0 {\n		return Time{uint64(nsec), sec + unixToInternal, Local}",
		"	sec, nsec, mono := runtimeNow()\n	sec += 3600\n	if mono == 0 {\n		return Time{uint64(nsec), sec + unixToInternal, Local}",
	})
	c := oddTogether(t, binary)
	var status struct {
		Time time.Time `json:"time"`
	}
	if err := json.Unmarshal(c.gateways[1].get("/tapr/ws/status").parse(t).Data, &status); err != nil {
		t.Fatal(err)
	}
	if ahead := time.Until(status.Time); ahead < 50*time.Minute {
		t.Fatalf("its clock is ahead by %v: the test is about an hour", ahead)
	}
	c.understands(t)
	// A connection that has just opened is found by every send called after it, though the
	// age of what is sent again is a difference of times.
	for n := range 100 {
		for i, j := range []int{1, 0} {
			user := fmt.Sprintf("new-%d-%d", i, n)
			client := c.gateways[j].Dial(t, user)
			c.gateways[i].sends(user, n, n+1)
			client.Receive(message(n))
		}
	}
}

func TestAGatewayOfALaterVersionAndTheseUnderstandEachOther(t *testing.T) {
	t.Parallel()
	binary := oddBinary(t,
		edit{"../cluster/call/call.go", "func (c *Call) Append(f packet.Fields, kind packet.Kind) packet.Fields {\n",
			"func (c *Call) Append(f packet.Fields, kind packet.Kind) packet.Fields {\n	f = packet.AppendField(f, 200, \"a later field\")\n"},
		edit{"../cluster/call/answer.go", "func (r *Result) Append(f packet.Fields) packet.Fields {\n",
			"func (r *Result) Append(f packet.Fields) packet.Fields {\n	f = packet.AppendField(f, 200, \"a later field\")\n"},
		edit{"../cluster/members/heartbeat.go", "func (h *Heartbeat) AppendFields(f packet.Fields) packet.Fields {\n",
			"func (h *Heartbeat) AppendFields(f packet.Fields) packet.Fields {\n	f = packet.AppendField(f, 200, \"a later field\")\n	h.State = 77\n"},
		edit{"../cluster/membership.go", "	p.FieldsLength = uint32(len(p.Body))\n	if c.up ",
			"	p.FieldsLength = uint32(len(p.Body))\n	for _, p := range c.peers {\n		c.requests++\n		p.stream.Send(packet.Kind(200), c.requests, stream.NewContent(nil, []byte(\"a later call\")), now)\n	}\n	if c.up "},
		edit{"../cluster/membership.go", "	\"ws-gateway/cluster/packet\"\n", "	\"ws-gateway/cluster/packet\"\n	\"ws-gateway/cluster/stream\"\n"},
	)
	c := oddTogether(t, binary)
	c.understands(t)
	answered := func() float64 { return c.gateways[1].metricNow(t, "ws_gateway_cluster_messages_delivered_total") }
	before := answered()
	harness.Poll(t, "these to answer what they do not know", func() bool { return answered() >= before+4 })
	c.gateways[1].get(countPath).answered(t, 0)
}

func TestAGatewayOfAVersionThatOthersDoNotSpeakServesItsOwnAndBothLogsSayWhy(t *testing.T) {
	t.Parallel()
	binary := oddBinary(t, edit{"../cluster/packet/packet.go", "const Version = 1\n", "const Version = 7\n"})
	nats := startNATS(t)
	c := &together{nats: nats, gateways: []*gateway{startMember(t, nats.URL(), 0), startMember(t, nats.URL(), 1)}}
	odd := launch{binary: binary, args: []string{"--no-callback", "--cluster", nats.URL(), "--cluster-app", "shop", "--cluster-name", "odd", "--cluster-timeout", "1m"}}.start(t)
	c.whole(t)
	for _, g := range []*gateway{c.gateways[0], c.gateways[1], odd} {
		if _, ok := g.Log.Await(harness.Patience, func(l harness.Line) bool { return l.Has("a packet that is not one of this cluster", "version") }); !ok {
			t.Error("the log does not say why")
		}
	}
	harness.Poll(t, "the odd one to know that it is alone", func() bool { // for which it must have been there long enough
		return odd.post(sendPath, `{"users":["nobody"],"payload":0}`).parse(t).Code == 0
	})
	bob := odd.Dial(t, "bob")
	odd.post(sendPath, `{"users":["bob"],"payload":{"n":0}}`).answered(t, 0)
	bob.Receive(message(0))
	if a := c.gateways[0].post(sendPath, `{"users":["bob"],"payload":{"n":1},"report":true}`); a.status != http.StatusOK || !strings.Contains(a.body, `"matched":0`) {
		t.Errorf("a send to a user of a gateway that is not understood is answered %s", a.body)
	}
	alice := c.gateways[1].Dial(t, "alice")
	c.gateways[0].sends("alice", 2, 3)
	alice.Receive(message(2))
}
