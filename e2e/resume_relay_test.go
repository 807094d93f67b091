package e2e_test

import (
	"bytes"
	"compress/flate"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ws-gateway/cluster/bus/natsbus/natstest"
	"ws-gateway/e2e/harness"
)

// startRelays runs gateways of a cluster whose sessions can be resumed at any of them.
func startRelays(t *testing.T, n int, args ...string) []*gateway {
	t.Helper()
	_, all := startCluster(t, n, append([]string{"--resume-for", "1m"}, args...)...)
	return all
}

// at has the client connect to a gateway from now on.
func (c *roamer) at(g *gateway) *roamer {
	c.addr = g.Addr
	return c
}

const (
	relayedClients = `ws_gateway_cluster_relays{here="client"}`
	relayedHere    = `ws_gateway_cluster_relays{here="session"}`
)

func relayRefusals(reason string) string {
	return `ws_gateway_cluster_relays_refused_total{reason="` + reason + `"}`
}

// moved is a client of b whose session is at a.
func moved(t *testing.T, a, b *gateway, user string) *roamer {
	t.Helper()
	c := a.roam(t, user)
	c.cut()
	a.awaitAway(t, 1)
	c.at(b).resume()
	return c
}

// gets takes frames until the app's messages are these. If the gateways lose each other
// meanwhile, as on a busy machine, the client comes back, until harness.Patience is over.
func (c *roamer) gets(want ...string) {
	c.t.Helper()
	until := harness.Soon()
	for len(c.got) < len(want) {
		if _, err := c.step(); err != nil {
			c.resumeUntil(until, err)
		}
	}
	c.expectGot(want...)
}

// settles is settled likewise.
func (c *roamer) settles() {
	c.t.Helper()
	until := harness.Soon()
	for {
		err := c.settle()
		if err == nil {
			break
		}
		c.resumeUntil(until, err)
	}
	c.settled()
}

// resumeUntil resumes the session after err, for what has to be over by then.
func (c *roamer) resumeUntil(until time.Time, err error) {
	c.t.Helper()
	if time.Now().After(until) {
		c.t.Fatalf("in %v the client has got %d messages and settled %d of %d; the last connection ended with %v", harness.Patience, len(c.got), c.has, len(c.said), err)
	}
	c.resume()
	if err := c.SetDeadline(until); err != nil {
		c.t.Fatal(err)
	}
}

func TestASessionIsResumedAtAnyGatewayOfACluster(t *testing.T) {
	t.Parallel()
	nats, app := natstest.Start(t, nil), startApp(t)
	var all []*gateway
	for _, name := range []string{"a", "b", "c"} {
		args := []string{"--cluster", nats.URL(), "--cluster-app", "chat", "--cluster-name", name, "--resume-for", "1m"}
		all = append(all, startGateway(t, app, slices.Concat(args, patient)...))
	}
	for _, g := range all {
		g.awaitInstances(t, 2)
	}
	c := all[0].roam(t, "ann")
	conn := app.opened("ann")
	var want []string
	for n := range 9 {
		text := numbered(n)
		if n%2 == 0 {
			c.cut()
			all[0].awaitAway(t, 1)
			all[1].send(`{"users":["ann"],"payload":` + text + `}`)
			c.at(all[n/2%3]).resume()
		} else {
			all[2].send(`{"users":["ann"],"payload":` + text + `}`)
		}
		want = append(want, "text "+text)
		c.gets(want...)
		if c.trySay(opText, text) != nil {
			c.resume()
		}
		if n%3 == 0 {
			c.settles()
		}
	}
	for i, g := range all {
		g.expectMetric(t, "ws_gateway_connections", []float64{1, 0, 0}[i])
	}
	c.say(frame(fin|opClose, closePayload(4000, "enough")))
	if got, err := c.ended(); err != nil || got != closePayload(4000, "") && got != closePayload(4000, "enough") {
		t.Errorf("the close frame is answered %q, %v", got, err)
	}
	c.expectEnd()
	closed := app.closed("ann")
	if closed.event.Conn != conn || closed.event.Code != 4000 || closed.event.Initiator != "client" {
		t.Errorf("the close event is %+v", closed.event)
	}
	app.inOrder(t, "ann", 9)
	app.whole(t, conn)
	for _, g := range all {
		g.expectMetric(t, relayedClients, 0)
		g.expectMetric(t, relayedHere, 0)
	}
}

func TestLargeMessagesPassARelay(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	nats := natstest.Start(t, nil)
	var all []*gateway
	for _, name := range []string{"a", "b"} {
		args := []string{"--cluster", nats.URL(), "--cluster-app", "chat", "--cluster-name", name,
			"--resume-for", "1m", "--resume-buffer", "8MiB", "--max-message-size", "8MiB", "--max-pending-bytes", "8MiB", "--socket-buffer", "64KiB"}
		all = append(all, startGateway(t, app, slices.Concat(args, patient)...))
	}
	a, b := all[0], all[1]
	a.awaitInstances(t, 1)
	b.awaitInstances(t, 1)
	c := moved(t, a, b, "ann")
	large := strings.Repeat("0123456789abcdef", 3<<20/16) // dozens of times what may be under way
	// Sent where the session is: between gateways a message is given up after --cluster-hold.
	a.send(`{"users":["ann"],"payload":"` + large + `"}`)
	c.gets(`text "` + large + `"`)
	if c.trySay(opBinary, large) != nil {
		c.resume()
	}
	c.settles()
	if got := app.message("ann", 1).event; len(got.Data) < len(large) {
		t.Errorf("the app got %d bytes", len(got.Data))
	}
	// The client does not read what it is sent, and then does.
	if err := c.SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	a.send(`{"users":["ann"],"payload":"` + large + `"}`)
	if c.trySay(opText, numbered(1)) != nil { // the other direction is free
		c.resume()
	}
	app.awaitCall("a message while the client does not read", func(call *call) bool {
		return string(call.event.Data) == numbered(1)
	})
	c.gets(`text "`+large+`"`, `text "`+large+`"`)
}

func TestCompressionIsAgreedThroughARelay(t *testing.T) {
	t.Parallel()
	all := startRelays(t, 2, "--compression")
	c := all[0].roam(t, "ann")
	c.cut()
	all[0].awaitAway(t, 1)
	c.lines = append(c.lines, "Sec-WebSocket-Extensions: permessage-deflate")
	c.at(all[1]).resume()
	text := strings.Repeat("to be compressed ", 1000)
	all[1].send(`{"users":["ann"],"payload":"` + text + `"}`)
	first, payload, err := c.next()
	if err != nil || first != fin|0x40|opText {
		t.Fatalf("frame %#x, %v", first, err)
	}
	got, err := io.ReadAll(flate.NewReader(io.MultiReader(strings.NewReader(payload), bytes.NewReader([]byte{0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff}))))
	if err != nil || string(got) != `"`+text+`"` {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestTheAppsCloseIsLearntThroughARelay(t *testing.T) {
	t.Parallel()
	all := startRelays(t, 2)
	a, b := all[0], all[1]
	c := a.roam(t, "ann")
	c.cut()
	a.awaitAway(t, 1)
	a.send(`{"users":["ann"],"payload":"last"}`)
	if got := b.ask(t, "POST", "/tapr/ws/conn/close", `{"users":["ann"],"code":4001,"reason":"so be it"}`); got != succeededAlone {
		t.Fatal(got)
	}
	c.at(b).resume()
	if code, err := c.ended(); err != nil || code != closePayload(4001, "so be it") || strings.Join(c.got, "") != `text "last"` {
		t.Errorf("%q %v after %q", code, err, c.got)
	}
	c.say(frame(fin|opClose, closePayload(4001, "")))
	c.expectEnd()

	d := moved(t, a, b, "bob")
	a.send(`{"users":["bob"],"payload":"last"}`)
	a.ask(t, "POST", "/tapr/ws/conn/close", `{"users":["bob"],"code":4002}`)
	if code, err := d.ended(); err != nil || code != closePayload(4002, "") || strings.Join(d.got, "") != `text "last"` {
		t.Errorf("%q %v after %q", code, err, d.got)
	}
}

func TestWhoCannotBeRelayedGetsANewSessionOrComesBack(t *testing.T) {
	t.Parallel()
	all := startRelays(t, 2, "--cluster-relays", "1")
	a, b := all[0], all[1]
	missed := 0.0
	for _, change := range []func(*roamer){
		func(c *roamer) { c.Token = altered(c.Token, len(c.Token)-10) }, // within the MAC
		func(c *roamer) { c.lines = []string{"X-Bfl-User: eve"} },
	} {
		c := a.roam(t, "ann")
		c.cut()
		change(c)
		c.at(b).begin()
		missed++
		b.expectMetric(t, relayRefusals("missed"), missed)
		c.cut()
	}
	stray := a.roam(t, "ann")
	stray.cut()
	stray.Token = altered(stray.Token, 0) // of an instance that nobody knows
	stray.at(b).begin()
	b.expectMetric(t, relayRefusals("gone"), 1)
	stray.cut()
	bob := a.roam(t, "bob")
	bob.cut()
	bob.at(b).resume()
	b.awaitMetric(t, relayedClients, 1)
	cid := a.roam(t, "cid")
	cid.cut()
	for n := range 3 {
		if err := cid.at(b).tryConnect(); err == nil || !strings.HasPrefix(err.Error(), "status 503") {
			t.Fatalf("%v %+v", err, cid.greeting)
		}
		b.expectMetric(t, relayRefusals("full"), float64(n+1))
	}
	bob.cut()
	b.expectMetric(t, relayedClients, 0)
	a.expectMetric(t, relayedHere, 0)
	cid.resume() // there is room again
	bob.at(a).resume()
	a.send(`{"users":["bob","cid"],"payload":1}`)
	bob.expectGot("text 1")
	cid.expectGot("text 1")
}

func TestWhoseGatewayDoesNotResumeOrIsDrainingGetsANewSessionAtOnce(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t, nil)
	a := startInstance(t, nats.URL(), "a", "--resume-for", "1m", "--cluster-relays", "0")
	b := startInstance(t, nats.URL(), "b", "--resume-for", "1m")
	c := startInstance(t, nats.URL(), "c", "--resume-for", "1m", "--drain-delay", "1m", "--shutdown-timeout", "3m")
	for _, g := range []*gateway{a, b, c} {
		g.awaitInstances(t, 2)
	}
	ann := a.roam(t, "ann")
	ann.cut()
	ann.at(b).begin()
	b.expectMetric(t, relayRefusals("unable"), 1)
	bob := c.roam(t, "bob")
	bob.cut()
	c.Signal(syscall.SIGTERM)
	harness.Poll(t, "a gateway that drains", func() bool { return c.get("/readyz").status == 503 })
	bob.at(b).begin()
}

func TestAClientWhoseSessionsGatewayIsKilledGetsANewSessionOnceThatIsGone(t *testing.T) {
	t.Parallel()
	all := startRelays(t, 2, "--cluster-timeout", "100ms", "--cluster-hold", "14s", "--cluster-dead-after", "15s")
	a, b := all[0], all[1]
	c := moved(t, a, b, "ann")
	a.Signal(syscall.SIGKILL)
	c.expectEnd() // b has noticed
	id := c.ID
	if attempts := c.untilServed(); attempts == 0 || c.Resumed || c.ID == id {
		t.Errorf("after %d attempts that were refused: %+v, before %s", attempts, c.greeting, id)
	}
	b.send(`{"users":["ann"],"payload":1,"scope":"local"}`)
	c.expectGot("text 1")
}

// untilServed comes back as a client does that is told to. It returns how often it was.
func (c *roamer) untilServed() (refused int) {
	c.t.Helper()
	harness.Poll(c.t, "an answer other than 503", func() bool {
		err := c.tryConnect()
		if err != nil && !strings.HasPrefix(err.Error(), "status 503") {
			c.t.Fatal(err)
		}
		if err != nil {
			refused++
		}
		return err == nil
	})
	return refused
}

func TestAClientKeepsTheSessionOfAGatewayThatIsStoppedAndContinued(t *testing.T) {
	t.Parallel()
	all := startRelays(t, 2, "--cluster-timeout", "100ms", "--resume-for", "10m")
	a, b := all[0], all[1]
	c := a.roam(t, "ann")
	a.send(`{"users":["ann"],"payload":0}`)
	c.expectGot("text 0")
	c.cut()
	a.awaitAway(t, 1)
	a.send(`{"users":["ann"],"payload":1}`)
	a.Signal(syscall.SIGSTOP)
	defer a.Signal(syscall.SIGCONT)
	c.at(b)
	for _, reason := range []string{"late", "silent"} { // as long as it counts as heard, and then
		harness.Poll(t, "an attempt that is "+reason, func() bool {
			if err := c.tryConnect(); err == nil || !strings.HasPrefix(err.Error(), "status 503") {
				t.Fatalf("%v %+v", err, c.greeting)
			}
			return b.metricNow(t, relayRefusals(reason)) > 0
		})
	}
	a.Signal(syscall.SIGCONT)
	c.untilServed()
	if !c.Resumed {
		t.Fatalf("%+v", c.greeting)
	}
	a.send(`{"users":["ann"],"payload":2}`)
	c.gets("text 0", "text 1", "text 2")
	b.expectMetric(t, "ws_gateway_connections", 0)
}

func TestAGatewayThatEndsEndsTheRelaysOfItsClients(t *testing.T) {
	t.Parallel()
	all := startRelays(t, 3)
	a, b, other := all[0], all[1], all[2]
	c := moved(t, a, b, "ann")
	b.Signal(syscall.SIGTERM)
	c.expectEnd()
	a.awaitAway(t, 1)
	a.send(`{"users":["ann"],"payload":1}`)
	c.at(other).resume()
	c.expectGot("text 1")
	if code := b.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	a.Signal(syscall.SIGTERM) // and now that of the session
	if code, err := c.ended(); err != nil || !strings.HasPrefix(code, closePayload(1001, "")) {
		t.Errorf("%q %v", code, err)
	}
	if code := a.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestACutBetweenGatewaysLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	two := startTogether(t, 2, "--resume-for", "5m")
	a, b := two.gateways[0], two.gateways[1]
	c := moved(t, a, b, "ann")
	a.send(`{"users":["ann"],"payload":` + message(0) + `}`)
	c.expectGot("text " + message(0))
	two.proxies[1].Cut(true)
	c.expectEnd()
	a.sends("ann", 1, 5)
	a.awaitAway(t, 1) // it has noticed by what it could not send, or by the silence
	two.proxies[1].Cut(false)
	two.whole(t)
	a.sends("ann", 5, 8)
	c.resume()
	var want []string
	for n := range 8 {
		want = append(want, "text "+message(n))
	}
	c.expectGot(want...)
	c.settled()
}

// One address has all relays there are. Clients of others come back all the same, and those
// that give way keep their sessions.
func TestOneAddressDoesNotUseUpAllRelays(t *testing.T) {
	t.Parallel()
	all := startRelays(t, 3, "--cluster-relays", "4", "--trusted-proxies", "127.0.0.1")
	a, b, c := all[0], all[1], all[2]
	from := func(user, address string) *roamer {
		t.Helper()
		r := &roamer{t: t, g: a, lines: []string{"X-Bfl-User: " + user, "X-Forwarded-For: " + address}}
		r.connect()
		r.cut()
		return r
	}
	var crowd []*roamer
	for range 4 {
		r := from("eve", "203.0.113.66")
		r.at(b).resume()
		crowd = append(crowd, r)
	}
	var others []*roamer
	for n, at := range []*gateway{b, c} { // b has the clients, a the sessions
		r := from("ann", []string{"198.51.100.1", "2001:db8::1"}[n])
		r.at(at).resume()
		others = append(others, r)
		a.awaitMetric(t, `ws_gateway_cluster_relays_displaced_total{here="session"}`, float64(n+1))
		crowd[3-n].expectEnd()
	}
	a.send(`{"users":["ann"],"payload":1}`)
	for _, r := range others {
		r.expectGot("text 1")
	}
	crowd[3].at(a).resume()
}
