package e2e_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"ws-gateway/e2e/harness"
)

// Bad luck that comes together with something else: batches, a slow app, several that are
// the same client.

// In each batch, and from one to the next, a connection's events are there once and in order,
// however often clients are cut and the app refuses batches or parts of them.
func TestInBatchesTheEventsOfSessionsThatAreCutComeOnceAndInOrder(t *testing.T) {
	t.Parallel()
	const clients, messages = 10, 40
	taken := map[string][]element{} // by connection
	posts, largest, again := 0, 0, map[string]bool{}
	app := startPostApp(t, func(p *posted) reply {
		posts++
		largest = max(largest, len(p.events))
		seen := map[string]int{}
		for _, e := range p.events {
			n := len(taken[e.Conn]) + seen[e.Conn] + 1
			if want := fmt.Sprintf("%s-%d", e.Conn, n); e.RequestID != want {
				t.Errorf("%s came, want %s", e.RequestID, want)
			}
			seen[e.Conn]++
		}
		if posts == 5 {
			return reply{status: http.StatusServiceUnavailable}
		}
		var failed []string
		held := map[string]bool{}
		for i, e := range p.events {
			if len(again) < 5 && !held[e.Conn] && i%3 == 2 && !again[e.RequestID] {
				again[e.RequestID], held[e.Conn] = true, true
				failed = append(failed, `{"request_id":"`+e.RequestID+`"}`)
			}
			if !held[e.Conn] {
				taken[e.Conn] = append(taken[e.Conn], e)
			}
		}
		return reply{header: map[string]string{"X-Ws-Batch": "partial"}, body: `{"failed":[` + strings.Join(failed, ",") + `]}`}
	})
	g := app.gateway(t, "--resume-for", "10m", "--resume-event", "--callback-batch=20", "--callback-linger=20ms")
	crowd := make([]*roamer, clients)
	for i := range crowd {
		crowd[i] = g.roam(t, fmt.Sprint("user", i))
	}
	cuts := 0
	for n := range messages {
		for i, c := range crowd {
			_ = c.trySay(opText, numbered(n)) // if the transport is lost, after the next resume
			if (n+i)%9 == 8 {
				c.cut()
				c.resume()
				cuts++
			}
		}
	}
	for _, c := range crowd {
		c.settled()
		c.say(frame(fin|opClose, closePayload(1000, "")))
	}
	ended := func() (n int) {
		for _, events := range taken {
			if events[len(events)-1].Action == "close" {
				n++
			}
		}
		return n
	}
	app.awaitThat(t, "everybody's close event", func() bool { return ended() == clients })
	app.Mu.Lock()
	defer app.Mu.Unlock()
	told := 0
	for _, events := range taken {
		next := 0
		for i, e := range events {
			switch {
			case e.Action == "open" && i == 0, e.Action == "close" && i == len(events)-1:
			case e.Action == "resumed":
				told++
			case e.is(e.User, numbered(next)):
				next++
			default:
				t.Errorf("event %d of %s is %s %s, after %d messages", i, e.User, e.Action, e.Data, next)
			}
		}
		if next != messages {
			t.Errorf("%d messages of %s", next, events[0].User)
		}
	}
	g.expectMetric(t, "ws_gateway_resume_events_left_out_total", float64(cuts-told))
	if len(taken) != clients || largest < 2 || len(again) == 0 {
		t.Errorf("%d connections, %d of %d resumes; batches of up to %d, %d parts came again", len(taken), told, cuts, largest, len(again))
	}
}

// While the app is slow its client is not read, so no ping of it is answered. It learns every
// few seconds that the gateway is there, and does not go away, after a resume neither.
func TestTheClientOfASlowAppGetsSignsOfLifeAndStays(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	slow := make(chan struct{})
	release := sync.OnceFunc(func() { close(slow) })
	t.Cleanup(release)
	app.respond(func(c *call) reply {
		if c.event.Action == "message" {
			return reply{hold: slow}
		}
		return reply{}
	})
	g := startGateway(t, app, "--resume-for", "10m", "--callback-queue", "1", "--callback-timeout", "5m", "--ping-timeout", "2s")
	c := g.roam(t, "ann")
	app.opened("ann")
	for i := range 5 {
		c.send(numbered(i))
	}
	sign := func() {
		t.Helper()
		if acked, err := c.step(); !acked || err != nil {
			t.Fatalf("no sign of life: %v, %v", acked, err)
		}
	}
	for range 2 {
		sign()
	}
	if c.has == 5 {
		t.Error("the gateway has read all messages")
	}
	g.expectMetric(t, "ws_gateway_connections_went_away_total", 0)
	c.cut()
	g.awaitAway(t, 1)
	c.resume()
	for range 2 {
		sign()
	}
	g.expectMetric(t, "ws_gateway_connections_went_away_total", 1)
	release()
	app.inOrder(t, "ann", 5)
	c.settled()
}

// A client comes back on several connections at once, as a browser with a flaky network may:
// they arrive on different loops, and one of them has the session in the end.
func TestOfManyThatComeAtOnceWithATokenOneHasTheSession(t *testing.T) {
	t.Parallel()
	const many = 16
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "10m", "--loops", "4")
	c := g.roam(t, "ann")
	conn := app.opened("ann")
	c.cut()
	g.awaitAway(t, 1)
	g.send(`{"conn_id":"` + conn + `","payload":1}`)
	crowd := make([]*roamer, many)
	var coming, listening sync.WaitGroup
	results := make([]error, many)
	last := make(chan struct{})
	for i := range crowd {
		one := &roamer{t: t, g: g, lines: c.lines, greeting: c.greeting}
		crowd[i] = one
		coming.Go(func() { results[i] = one.tryConnect() })
	}
	coming.Wait()
	for i, one := range crowd {
		listening.Go(func() {
			for err := results[i]; err == nil && len(one.got) < 2; {
				_, err = one.step()
			}
			if len(one.got) == 2 {
				close(last) // twice is once too often
			}
		})
	}
	g.send(`{"conn_id":"` + conn + `","payload":2}`)
	<-last
	listening.Wait()
	var has *roamer
	for i, one := range crowd {
		if results[i] == nil && !one.Resumed {
			t.Errorf("connection %d began a new session", i)
		}
		if len(one.got) == 2 {
			has = one
		}
	}
	has.expectGot("text 1", "text 2")
	has.send(numbered(0))
	has.settled()
	has.resume()
	has.say(frame(fin|opClose, closePayload(1000, "")))
	app.closed("ann")
	app.inOrder(t, "ann", 1)
	app.whole(t, conn)
}

// The escape does not count.
func TestAMessageOfTheLargestSizeMayBeginWithARecordSeparator(t *testing.T) {
	t.Parallel()
	const limit = 1000
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "1m", "--compression", "--max-message-size", "1000")
	pack := func(text string) string {
		var packed bytes.Buffer
		w, err := flate.NewWriter(&packed, flate.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, text) // into memory
		_ = w.Flush()
		return strings.TrimSuffix(packed.String(), "\x00\x00\xff\xff")
	}
	for _, deflate := range []bool{false, true} {
		user := fmt.Sprint("compressed ", deflate)
		say := func(text string) *roamer {
			c := &roamer{t: t, g: g, lines: []string{"X-Bfl-User: " + user}}
			said := frame(fin|opText, text)
			if deflate {
				c.lines = append(c.lines, "Sec-WebSocket-Extensions: permessage-deflate")
				said = frame(fin|rsv1|opText, pack(text))
			}
			c.connect()
			c.said = append(c.said, said)
			c.say(said)
			return c
		}
		fits := say(recordMark + recordMark + strings.Repeat("x", limit-1))
		fits.settled()
		if n := len(app.message(user, 1).event.Data); n != limit-1+len(`"\u001e"`) {
			t.Errorf("%s: the app has %d bytes", user, n)
		}
		fits.cut()
		for _, text := range []string{recordMark + recordMark + strings.Repeat("x", limit), strings.Repeat("x", limit+1)} {
			if got, err := say(text).ended(); err != nil || !strings.HasPrefix(got, closePayload(1009, "")) {
				t.Errorf("%s, %d bytes: %q, %v", user, len(text), got, err)
			}
		}
	}
}

// Whose token is not valid is a newcomer like any other.
func TestATokenThatIsNotValidPassesNeitherLimitsNorTheApp(t *testing.T) {
	t.Parallel()
	var refuse atomic.Bool
	b := startBouncer(t, func(w http.ResponseWriter, e event) {
		if refuse.Load() {
			w.WriteHeader(http.StatusForbidden)
		}
	})
	g := b.guarded(t, "--resume-for", "10m", "--max-connections-per-user", "1")
	c := g.roam(t, "ann")
	c.settled()
	forged := &roamer{t: t, g: g, lines: c.lines, greeting: c.greeting}
	forged.Token = "A" + strings.Repeat("B", len(c.Token)-1)
	if err := forged.tryConnect(); err == nil || !strings.HasPrefix(err.Error(), "status 429") {
		t.Errorf("over the limit: %v", err)
	}
	refuse.Store(true)
	forged.lines = []string{"X-Bfl-User: bob"}
	if err := forged.tryConnect(); err == nil || !strings.HasPrefix(err.Error(), "status 403") {
		t.Errorf("refused by the app: %v", err)
	}
	if n := len(b.await(t, "open", 3)); n != 3 { // the limit is about the user whom the app names
		t.Errorf("the app was asked %d times", n)
	}
	c.settled()
	c.resume()
}

// A session that cannot go on makes room for the one that begins in its place.
func TestWhoseSessionCannotGoOnIsNotRefusedBecauseOfIt(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "10m", "--max-connections-per-user", "1", "--max-connections-per-ip", "1", "--max-connections", "1")
	c := g.roam(t, "ann")
	for range 2 {
		conn := c.ID
		g.send(`{"users":["ann"],"payload":1}`)
		c.expectGot("text 1")
		c.settled()
		c.got = slices.Delete(c.got, 0, 1) // as after a page has been loaded again with an old token
		c.begin()
		app.whole(t, conn)
	}
	harness.Poll(t, "one connection", func() bool { return g.connections() == 1 })
}
