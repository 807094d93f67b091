package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"ws-gateway/e2e/harness"
)

func TestTailShowsWhoIsAwayAndWhoIsBack(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--resume-for", "10m")
	r := startCLI(t, "tail", "--gateway", g.Addr, "--action", "away", "--action", "resumed", "--action", "close")
	g.awaitMetric(t, "ws_gateway_event_streams", 1)
	c := g.roam(t, "ann")
	c.cut()
	g.awaitAway(t, 1)
	c.resume()
	c.resume() // its old connection seems to be alive
	c.settled()
	c.say(frame(fin|opClose, closePayload(1000, "")))
	r.shows(r.output, " close ")
	var kinds []string
	for _, line := range r.output.All() {
		for _, kind := range []string{"away    ann", "resumed ann", "close   ann"} {
			if strings.Contains(line.Raw, kind) && strings.Contains(line.Raw, c.ID) {
				kinds = append(kinds, kind[:5])
			}
		}
		if strings.Contains(line.Raw, "resumed") && !strings.Contains(line.Raw, "from 127.0.0.1:") {
			t.Errorf("no address: %s", line.Raw)
		}
	}
	if got := strings.Join(kinds, " "); got != "away  resum resum close" {
		t.Errorf("tail shows %q", got)
	}
	r.interrupted()
}

// Five thousand are away, and one is not and does not acknowledge a large message. Whoever
// holds most gives way: first the one who is there, who loses nothing but the promise.
func TestThousandsAwayHoldNoMoreThanTheMemoryOfAll(t *testing.T) {
	t.Parallel()
	const many, limit = 5000, 1 << 20
	g := startPushOnly(t, "--resume-for", "10m", "--resume-memory", "1MiB", "--resume-buffer", "512KiB")
	whale := g.roam(t, "whale")
	large := strings.Repeat("x", 300<<10)
	g.send(`{"users":["whale"],"payload":"` + large + `","encoding":"text"}`)
	whale.await(1)
	away := make([]*roamer, many)
	for i := range away {
		away[i] = g.roam(t, fmt.Sprintf("user-%d", i))
		away[i].cut()
	}
	g.awaitAway(t, many)
	payload := strings.Repeat("y", 200)
	used := func() float64 { return g.metricNow(t, `ws_gateway_memory_used_bytes{budget="resume"}`) }
	sent := 0
	for ; sent < many; sent++ { // to each a message of its own: one to all would count once
		g.send(fmt.Sprintf(`{"users":["user-%d"],"payload":"%s %d","encoding":"text"}`, sent, payload, sent))
		if sent%1000 == 999 {
			harness.Poll(t, "no more than the limit", func() bool { return used() <= limit })
		}
	}
	harness.Poll(t, "room", func() bool { return used() <= limit })
	var gave, overruns, left float64
	defer func() {
		if t.Failed() {
			t.Logf("%v gave way, %v overruns, %v are still away", gave, overruns, left)
		}
	}()
	harness.Poll(t, "all that gave way to be overruns, and all but one of them no longer away", func() bool {
		gave, overruns = g.metricNow(t, `ws_gateway_memory_gave_way_total{budget="resume"}`), g.metricNow(t, "ws_gateway_resume_overruns_total")
		left = g.metricNow(t, "ws_gateway_connections_away")
		return gave == overruns && overruns >= 2 && left == many-(overruns-1)
	})
	g.send(`{"users":["whale"],"payload":"more","encoding":"text"}`)
	whale.expectGot("text "+large, "text more") // it is there, and goes on
	whale.settled()
	whale.resume() // once it has everything it can be resumed again
	resumed, ended := 0, 0
	for i := 0; i < many; i += 7 {
		c := away[i]
		c.connect()
		if !c.Resumed {
			ended++
			c.cut()
			continue
		}
		resumed++
		c.expectGot(fmt.Sprintf("text %s %d", payload, i))
		c.cut()
	}
	if resumed == 0 || ended == 0 {
		t.Errorf("%d of those looked at were resumed, %d had ended", resumed, ended)
	}
}

// What else goes with an event: it is that of the same connection, before and after.
func TestMetadataTraceAndJournalGoOnInASessionThatIsResumed(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(func(c *call) reply {
		if c.event.Action == "open" {
			return reply{header: map[string]string{"X-Ws-Meta": "%7B%22seat%22%3A7%7D"}}
		}
		return reply{}
	})
	dir := t.TempDir()
	g := startGateway(t, app, "--resume-for", "10m", "--max-meta", "1KiB", "--journal", dir, "--resume-event")
	c := &roamer{t: t, g: g, lines: []string{"X-Bfl-User: ann", "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}
	c.connect()
	conn := app.opened("ann")
	c.send(numbered(0))
	c.settled()
	app.message("ann", 1)
	c.cut()
	g.awaitAway(t, 1)
	_ = c.trySay(opText, numbered(1)) // it has no connection
	c.resume()
	c.settled()
	second := app.message("ann", 2)
	var event struct {
		Meta json.RawMessage `json:"meta"`
	}
	if err := json.Unmarshal(second.body, &event); err != nil || string(event.Meta) != `{"seat":7}` || second.event.Conn != conn {
		t.Errorf("the event after the resume is %s, %v", second.body, err)
	}
	if got := second.header.Get("Traceparent"); !strings.HasPrefix(got, "00-0af7651916cd43dd8448eb211c80319c-") {
		t.Errorf("its traceparent is %q", got)
	}
	g.kill()
	startGateway(t, app, "--journal", dir) // which knows of one connection
	if closed := app.closed("ann"); closed.event.Conn != conn || closed.event.Code != 1006 {
		t.Errorf("the close event is %+v", closed.event)
	}
}
