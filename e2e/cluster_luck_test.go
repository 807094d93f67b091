package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"ws-gateway/cluster/bus/natsbus/natstest"
	"ws-gateway/e2e/harness"
)

// together are gateways of one app, each of which reaches NATS through a proxy of its own.
type together struct {
	nats     *natstest.Server
	proxies  []natstest.Proxy
	gateways []*gateway
}

// startTogether starts n gateways and waits until each knows the others. What no test is
// about takes so long that no machine is too slow for it.
func startTogether(t *testing.T, n int, args ...string) *together {
	t.Helper()
	c := &together{nats: startNATS(t)}
	for range n {
		proxy := natstest.StartProxy(t, c.nats)
		c.proxies = append(c.proxies, proxy)
		c.gateways = append(c.gateways, startMember(t, proxy.URL(), len(c.gateways), args...))
	}
	c.whole(t)
	return c
}

// startNATS starts a server whose port nobody else gets while it is stopped: a gateway
// would find another test there.
func startNATS(t *testing.T) *natstest.Server {
	t.Helper()
	reserved := reservePort(t)
	return natstest.Start(t, func(o *server.Options) { o.Port, o.WriteDeadline = reserved.number, time.Minute })
}

// startMember starts gateway number i of an app.
func startMember(t *testing.T, url string, i int, args ...string) *gateway {
	t.Helper()
	return startPushOnly(t, slices.Concat([]string{"--cluster", url, "--cluster-app", "shop", "--cluster-name", memberName(i)}, patient, args)...)
}

func memberName(i int) string { return fmt.Sprint("gateway-", i) }

// whole waits until each gateway hears all others.
func (c *together) whole(t *testing.T) {
	t.Helper()
	for _, g := range c.gateways {
		g.awaitOthers(t, float64(len(c.gateways)-1), 0)
	}
}

// awaitOthers waits until a gateway knows so many others, and hears all but silent of them.
func (g *gateway) awaitOthers(t *testing.T, others, silent float64) {
	t.Helper()
	harness.Poll(t, fmt.Sprintf("%v other gateways, of which %v are silent", others, silent), func() bool {
		return g.metricNow(t, "ws_gateway_cluster_instances") == others && g.metricNow(t, "ws_gateway_cluster_instances_silent") == silent &&
			(g.metricNow(t, "ws_gateway_cluster_whole") == 1 || g.metricNow(t, "ws_gateway_cluster_link_up") == 0)
	})
}

func message(n int) string { return fmt.Sprintf(`{"n":%d}`, n) }

// sends sends messages from first to before last to a user, and takes the answers that
// name who could not be reached.
func (g *gateway) sends(user string, first, last int) {
	g.T.Helper()
	for n := first; n < last; n++ {
		a := g.post(sendPath, fmt.Sprintf(`{"users":[%q],"payload":%s}`, user, message(n)))
		if code := a.parse(g.T).Code; code != 0 && code != http.StatusBadGateway {
			g.T.Fatalf("message %d is answered %s", n, a.body)
		}
	}
}

// reaches sends a message until the report says that these users have it in their queues:
// with a short --cluster-hold a busy machine may be too slow for it.
func (g *gateway) reaches(payload string, users ...string) {
	g.T.Helper()
	harness.Poll(g.T, "a message to reach "+strings.Join(users, ", "), func() bool {
		a := g.post(sendPath, `{"users":`+quoted(users...)+`,"payload":`+payload+`,"report":true}`)
		return a.parse(g.T).Code == 0 && a.report(g.T).Queued == len(users)
	})
}

const givenUp = `ws_gateway_cluster_messages_given_up_total{reason="old"}`

// receives expects these messages, in order.
func receives(t *testing.T, c *client, first, last int) {
	t.Helper()
	for n := first; n < last; n++ {
		c.Receive(message(n))
	}
}

// listThrough lists the ids of connections, and who is missing.
func (g *gateway) listThrough(t *testing.T, query string) (ids, missing []string, cursor string) {
	t.Helper()
	a := g.get(listPath + query)
	p := a.parse(t)
	var users []listed
	if err := json.Unmarshal(p.Data, &users); err != nil || p.Code != 0 {
		t.Fatalf("the list is %s, %v", a.body, err)
	}
	for _, user := range users {
		for _, conn := range user.Conns {
			ids = append(ids, conn.ID)
		}
	}
	return ids, a.missing(t), p.Cursor
}

// missing is whom an answer names as not reached.
func (a answer) missing(t *testing.T) []string {
	t.Helper()
	var p struct {
		Missing []string `json:"missing"`
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return p.Missing
}

// answered expects the code of an answer, and whom it names as missing.
func (a answer) answered(t *testing.T, code int, missing ...string) {
	t.Helper()
	if got := a.missing(t); a.parse(t).Code != code || !slices.Equal(got, missing) {
		t.Errorf("answered %s, want code %d and %v missing", a.body, code, missing)
	}
}

func TestACallAtAnyGatewayIsAboutTheConnectionsOfAll(t *testing.T) {
	t.Parallel()
	c := startTogether(t, 3)
	var clients []*client
	for i, g := range c.gateways {
		clients = append(clients, g.Dial(t, "everywhere"))
		clients = append(clients, g.Dial(t, fmt.Sprint("only-", i)))
	}
	for i, g := range c.gateways {
		g.sends("everywhere", i, i+1)
		for j := range c.gateways {
			clients[2*j].Receive(message(i))
		}
		for j := range c.gateways {
			g.sends(fmt.Sprint("only-", j), i, i+1)
			clients[2*j+1].Receive(message(i))
		}
		if conns, _, cursor := g.listThrough(t, ""); len(conns) != 6 || cursor != "" {
			t.Errorf("gateway %d lists %v, and has a cursor %q", i, conns, cursor)
		}
		if connections, users := g.countIn(); connections != 6 || users != 4 {
			t.Errorf("gateway %d counts %d connections of %d users", i, connections, users)
		}
		paged, _, cursor := g.listThrough(t, "?limit=2")
		for pages := 1; cursor != "" && pages < 10; pages++ {
			var more []string
			more, _, cursor = g.listThrough(t, "?limit=2&cursor="+cursor)
			paged = append(paged, more...)
		}
		slices.Sort(paged)
		if len(paged) != 6 || len(slices.Compact(paged)) != 6 {
			t.Errorf("gateway %d lists %d connections in pages", i, len(paged))
		}
	}
	if matched := c.gateways[0].join(`{"users":["everywhere","only-2"],"groups":["room"]}`); matched != 4 {
		t.Errorf("%d connections have joined", matched)
	}
	c.gateways[1].post(sendPath, `{"groups":["room"],"payload":{"n":100}}`)
	for _, client := range []*client{clients[0], clients[2], clients[4], clients[5]} {
		client.Receive(message(100))
	}
	c.gateways[2].closeConns(`{"users":["everywhere"],"code":4000,"reason":"over"}`)
	for i := range c.gateways {
		clients[2*i].ClosedWith(4000, "over")
	}
}

func TestNothingThatIsSentIsLostWhileNATSIsRestarted(t *testing.T) {
	t.Parallel()
	c := startTogether(t, 2)
	alice := c.gateways[1].Dial(t, "alice")
	c.gateways[0].sends("alice", 0, 20)
	c.nats.Stop()
	c.gateways[0].sends("alice", 20, 40)
	c.nats.Restart()
	c.gateways[0].sends("alice", 40, 60)
	receives(t, alice, 0, 60)
}

func TestGatewaysStartWithoutNATSAndFindEachOtherOnceItIsThere(t *testing.T) {
	t.Parallel()
	c := &together{nats: startNATS(t)}
	url := c.nats.URL()
	c.nats.Stop()
	for i := range 2 {
		c.gateways = append(c.gateways, startMember(t, url, i))
	}
	bob, alice := c.gateways[0].Dial(t, "bob"), c.gateways[1].Dial(t, "alice")
	c.gateways[0].sends("bob", 0, 1)
	bob.Receive(message(0))
	c.nats.Restart()
	c.whole(t)
	c.gateways[0].sends("alice", 1, 2)
	alice.Receive(message(1))
}

func TestAGatewayThatIsCutOffGetsWhatItHasMissedInOrder(t *testing.T) {
	t.Parallel()
	c := startTogether(t, 3)
	alice := c.gateways[0].Dial(t, "alice")
	bob := c.gateways[2].Dial(t, "bob")
	c.proxies[0].Cut(true)
	c.gateways[1].sends("alice", 0, 20)
	c.gateways[2].sends("alice", 20, 40)
	c.gateways[0].sends("bob", 0, 20)
	c.proxies[0].Cut(false)
	c.whole(t)
	c.gateways[0].sends("bob", 20, 40)
	receives(t, bob, 0, 40)
	// Of two senders each one's messages are in order.
	next := map[bool]int{false: 0, true: 20}
	for range 40 {
		_, text, err := alice.Read()
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if _, err := fmt.Sscanf(text, `{"n":%d}`, &n); err != nil || next[n >= 20] != n {
			t.Fatalf("%s came, want %d or %d", text, next[false], next[true])
		}
		next[n >= 20]++
	}
}

func TestAServerThatWasStoppedAndGoesOnLosesNothingWithinTheHold(t *testing.T) {
	t.Parallel()
	c := startTogether(t, 2)
	alice := c.gateways[1].Dial(t, "alice")
	for _, p := range c.proxies {
		p.Stall(true)
	}
	c.gateways[0].sends("alice", 0, 20)
	c.gateways[0].awaitOthers(t, 1, 1)
	for _, p := range c.proxies {
		p.Stall(false)
	}
	c.gateways[0].sends("alice", 20, 40)
	receives(t, alice, 0, 40)
}

func TestALongMessageGoesInPiecesAndSurvivesACut(t *testing.T) {
	t.Parallel()
	c := startTogether(t, 2, "--max-api-body", "16MiB", "--write-timeout", "10m", "--max-pending-bytes", "64MiB")
	alice := c.gateways[1].Dial(t, "alice")
	alice.WS.SetReadLimit(16 << 20)
	long := strings.Repeat("x", 10<<20)
	sent := make(chan answer)
	go func() {
		a, _ := c.gateways[0].tryRequest("http://"+c.gateways[0].Addr, http.MethodPost, sendPath, `{"users":["alice"],"payload":"`+long+`"}`)
		sent <- a
	}()
	c.gateways[1].awaitMetric(t, "ws_gateway_cluster_received_bytes_total", 1<<20)
	c.proxies[1].Cut(true)
	<-sent
	c.proxies[1].Cut(false)
	c.gateways[0].sends("alice", 1, 2)
	_, text, err := alice.Read()
	if err == nil && text == message(1) {
		c.gateways[0].awaitMetric(t, givenUp, 1) // the machine was too slow for --cluster-hold
		return
	}
	if err != nil || text != `"`+long+`"` && text != long {
		t.Fatalf("%d bytes came, %v", len(text), err)
	}
	alice.Receive(message(1))
}

func TestAGatewayThatIsKilledIsMissingAndThenGone(t *testing.T) {
	t.Parallel()
	c := startTogether(t, 3, "--cluster-timeout", "5s", "--cluster-hold", "3s", "--cluster-dead-after", "4s")
	alice := c.gateways[0].Dial(t, "alice")
	c.gateways[2].Dial(t, "carol")
	if connections, _ := c.gateways[1].countIn(); connections != 2 {
		t.Fatalf("%d connections", connections)
	}
	_ = c.gateways[2].Cmd.Process.Kill()
	<-c.gateways[2].Exited
	c.gateways[1].awaitOthers(t, 1, 0)
	c.gateways[0].awaitOthers(t, 1, 0)
	if connections, users := c.gateways[1].countIn(); connections != 1 || users != 1 {
		t.Errorf("%d connections of %d users are left", connections, users)
	}
	c.gateways[1].reaches(message(0), "alice")
	alice.Receive(message(0))
	// One that starts in its place is found.
	c.gateways[2] = startMember(t, c.proxies[2].URL(), 2)
	c.whole(t)
	carol := c.gateways[2].Dial(t, "carol")
	c.gateways[0].reaches(message(0), "carol")
	carol.Receive(message(0))
}

func TestWithRequiredAGatewayIsNotReadyWithoutNATS(t *testing.T) {
	t.Parallel()
	c := startTogether(t, 2, "--cluster-required")
	c.proxies[0].Cut(true)
	g := c.gateways[0]
	harness.Poll(t, "/readyz to answer 503", func() bool { return g.get("/readyz").status == http.StatusServiceUnavailable })
	if a := g.get("/readyz"); !strings.Contains(a.body, "NATS") {
		t.Errorf("it says %q", a.body)
	}
	c.proxies[0].Cut(false)
	harness.Poll(t, "/readyz to answer 200", func() bool { return g.get("/readyz").status == http.StatusOK })
}

func TestAnswersNameWhoIsMissing(t *testing.T) {
	t.Parallel()
	c := startTogether(t, 3)
	a, others := c.gateways[0], []string{memberName(1), memberName(2)}
	alice := a.Dial(t, "alice")
	bob := c.gateways[1].Dial(t, "bob")
	ids, _, _ := c.gateways[1].listThrough(t, "?user=bob&scope=local")
	bobs := ids[0]
	c.proxies[0].Cut(true)
	a.awaitOthers(t, 2, 2)

	a.post(sendPath, `{"users":["alice","bob"],"payload":{"n":0}}`).answered(t, 502, others...)
	alice.Receive(message(0)) // those here get it at once
	part := a.post(sendPath, `{"users":["alice"],"payload":{"n":1},"report":true}`)
	if part.answered(t, 502, others...); strings.Contains(part.body, "refused") {
		t.Errorf("what was done in part is refused: %s", part.body)
	}
	a.post(sendPath, `{"users":["alice"],"payload":{"n":2},"scope":"local"}`).answered(t, 0)
	receives(t, alice, 1, 3)
	a.post(joinPath, `{"users":["alice"],"groups":["room"]}`).answered(t, 502, others...)
	a.get(countPath).answered(t, 0, others...)
	a.get(countPath+"?scope=local").answered(t, 0)
	if ids, missing, _ := a.listThrough(t, ""); len(ids) != 1 || !slices.Equal(missing, others) {
		t.Errorf("the list has %v, and %v are missing", ids, missing)
	}
	if code := a.get(getPath + "?conn_id=" + bobs).parse(t).Code; code == 0 || code == 404 {
		t.Errorf("a connection of a gateway that is not heard is answered with code %d", code)
	}

	c.proxies[0].Cut(false)
	c.whole(t)
	bob.Receive(message(0)) // it was held
	a.get(countPath).answered(t, 0)
	a.get(getPath+"?conn_id="+bobs).answered(t, 0)
}

func TestWithRefuseACallThatCannotReachEverybodyDoesNothing(t *testing.T) {
	t.Parallel()
	c := startTogether(t, 2, "--cluster-when-cut", "refuse")
	a := c.gateways[0]
	alice, bob := a.Dial(t, "alice"), c.gateways[1].Dial(t, "bob")
	c.proxies[0].Cut(true)
	a.awaitOthers(t, 1, 1)
	for path, body := range map[string]string{
		sendPath: `{"all":true,"payload":{"n":0}}`, closePath: `{"users":["alice"]}`, joinPath: `{"all":true,"groups":["g"]}`, leavePath: `{"all":true,"groups":["g"]}`,
	} {
		answer := a.post(path, body)
		if answer.answered(t, 502, memberName(1)); !strings.Contains(answer.body, `"refused":true`) {
			t.Errorf("%s does not say that nothing was done: %s", path, answer.body)
		}
	}
	c.proxies[0].Cut(false)
	c.whole(t)
	a.post(sendPath, `{"all":true,"payload":{"n":1}}`).answered(t, 0)
	alice.Receive(message(1))
	bob.Receive(message(1))
}

func TestAListEndsAlthoughAGatewayIsKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	c := startTogether(t, 3, "--cluster-timeout", "2s")
	victim := c.gateways[2]
	victim.Signal(syscall.SIGSTOP) // so that it is asked and does not answer
	listing := make(chan answer)
	go func() {
		a, _ := c.gateways[0].tryRequest("http://"+c.gateways[0].Addr, http.MethodGet, listPath, "")
		listing <- a
	}()
	c.gateways[0].awaitMetric(t, "ws_gateway_cluster_calls_waiting", 1)
	_ = victim.Cmd.Process.Kill()
	(<-listing).answered(t, 0, memberName(2))
}

func TestAGatewayThatWasStoppedAndContinuesIsAMemberAgain(t *testing.T) {
	t.Parallel()
	c := startTogether(t, 2, "--cluster-hold", "3s", "--cluster-dead-after", "4s")
	alice := c.gateways[1].Dial(t, "alice")
	c.gateways[0].reaches(message(0), "alice")
	alice.Receive(message(0))
	c.gateways[1].Signal(syscall.SIGSTOP)
	c.gateways[0].awaitOthers(t, 0, 0) // it counts as gone
	c.gateways[0].sends("alice", 1, 2) // which nobody gets
	c.gateways[1].Signal(syscall.SIGCONT)
	c.whole(t)
	c.gateways[0].reaches(message(2), "alice")
	alice.Receive(message(2))
}

func TestTwoAppsOnOneServerDoNotHearEachOther(t *testing.T) {
	t.Parallel()
	c := startTogether(t, 2)
	other := startMember(t, c.nats.URL(), 0, "--cluster-app", "bank")
	another := startMember(t, c.nats.URL(), 1, "--cluster-app", "bank")
	other.awaitOthers(t, 1, 0)
	alice := c.gateways[1].Dial(t, "alice")
	banker := another.Dial(t, "alice")
	other.sends("alice", 0, 1)
	banker.Receive(message(0))
	c.gateways[0].sends("alice", 1, 2)
	alice.Receive(message(1))
	c.whole(t)
}
