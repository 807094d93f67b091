package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const (
	someTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	someSpan   = "00f067aa0ba902b7"
	someParent = "00-" + someTrace + "-" + someSpan + "-01"
)

// partsOf takes a traceparent apart.
func partsOf(t *testing.T, parent string) (trace, span, flags string) {
	t.Helper()
	parts := strings.Split(parent, "-")
	if len(parts) != 4 || parts[0] != "00" || len(parts[1]) != 32 || len(parts[2]) != 16 || len(parts[3]) != 2 {
		t.Fatalf("traceparent %q", parent)
	}
	return parts[1], parts[2], parts[3]
}

func TestTheCallbacksOfATracedHandshakeAreInItsTraceEachWithASpanOfItsOwn(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(func(c *call) reply {
		if c.event.Action != "close" && c.attempt < 3 {
			return reply{status: http.StatusServiceUnavailable}
		}
		return reply{}
	})
	g := startGateway(t, app)
	for user, flags := range map[string]string{"alice": "01", "bob": "00"} {
		c := g.Connect(t, visitor{User: user, Cookie: "a=b", Header: map[string]string{
			"Traceparent": "00-" + someTrace + "-" + someSpan + "-" + flags, "Tracestate": "vendor=x, other=y",
		}})
		c.Send("1")
		c.Close(1000, "")
	}
	g.Dial(t, "carol").Close(1000, "")
	g.Connect(t, visitor{User: "dora", Header: map[string]string{"Traceparent": "00-" + someTrace + "-" + someSpan, "Tracestate": "a=b"}}).Close(1000, "")
	for _, user := range []string{"alice", "bob", "carol", "dora"} {
		app.closed(user)
	}
	spans := map[string]string{} // by request id
	owner := map[string]string{someSpan: "the handshake"}
	for _, c := range app.attempts(func(*call) bool { return true }) {
		parent, state := c.header.Get("Traceparent"), c.header.Get("Tracestate")
		if c.event.User == "carol" || c.event.User == "dora" {
			if parent != "" || state != "" {
				t.Errorf("%s came with %q, %q", c.requestID, parent, state)
			}
			continue
		}
		trace, span, flags := partsOf(t, parent)
		if trace != someTrace || state != "vendor=x,other=y" || c.header.Get("Cookie") != "a=b" || flags != map[string]string{"alice": "01", "bob": "00"}[c.event.User] {
			t.Errorf("%s came with %q, %q", c.requestID, parent, state)
		}
		if before, ok := spans[c.requestID]; ok && before != span {
			t.Errorf("attempt %d of %s has span %s, and one before had %s", c.attempt, c.requestID, span, before)
		}
		if other, ok := owner[span]; ok && other != c.requestID {
			t.Errorf("%s has the span of %s", c.requestID, other)
		}
		spans[c.requestID], owner[span] = span, c.requestID
	}
	if len(spans) != 6 {
		t.Errorf("%d events", len(spans))
	}
}

func TestATracedHandshakesDeadLetterIsReplayedWithItsSpan(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(func(c *call) reply {
		if c.event.Action == "message" {
			return reply{status: http.StatusBadRequest}
		}
		return reply{}
	})
	file := t.TempDir() + "/dead.jsonl"
	g := startGateway(t, app, "--dead-letter="+file)
	c := g.Connect(t, visitor{User: "alice", Header: map[string]string{"Traceparent": someParent}})
	c.Send("1")
	g.awaitMetric(t, `ws_gateway_callbacks_failed_total{action="message"}`, 1)
	app.respond(nil)
	if code, _, stderr := replay(t, app, file); code != 0 {
		t.Fatal(stderr)
	}
	both := app.attempts(func(c *call) bool { return c.is("message", "alice") })
	if len(both) != 2 || both[0].header.Get("Traceparent") != both[1].header.Get("Traceparent") || both[1].attempt != 2 {
		t.Errorf("%d attempts: %v", len(both), both)
	}
	if trace, span, _ := partsOf(t, both[0].header.Get("Traceparent")); trace != someTrace || span == someSpan {
		t.Errorf("%s", both[0].header.Get("Traceparent"))
	}
}

// lines follows live events.
func (g *gateway) lines(t *testing.T, query string) *bufio.Scanner {
	t.Helper()
	answer, err := g.HTTP.Get("http://" + g.Addr + "/tapr/ws/conn/events" + query)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	lines := bufio.NewScanner(answer.Body)
	lines.Scan() // the heartbeat: events are taken from now on
	return lines
}

func TestTheTraceOfASendIsInTheLiveEventsAndInTheLog(t *testing.T) {
	t.Parallel()
	_, all := startCluster(t, 2, "--log-level=debug")
	c := all[1].Dial(t, "alice")
	lines := all[1].lines(t, "?action=send")
	for i, parent := range []string{someParent, "", "00-" + someTrace + "-" + someSpan, someParent} {
		body := fmt.Sprintf(`{"users":["alice"],"payload":%d}`, i)
		if i == 3 {
			body = `{"users":["alice"],"payload":3,"report":true}`
		}
		request, err := http.NewRequest(http.MethodPost, "http://"+all[0].Addr+"/tapr/ws/conn/send", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if parent != "" {
			request.Header.Set("Traceparent", parent)
		}
		answer, err := all[0].HTTP.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		c.Receive(fmt.Sprint(i))
		var event struct{ Action, Traceparent string }
		for event.Action != "send" && lines.Scan() {
			if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
				t.Fatal(err)
			}
		}
		want := parent
		if i == 2 {
			want = "" // it is not valid
		}
		if event.Traceparent != want || want == "" && strings.Contains(lines.Text(), "traceparent") {
			t.Errorf("%d: %s", i, lines.Text())
		}
	}
	logged := all[0].logged(t, 2, "a send of the app")
	if logged[0].Text("traceparent") != someParent || logged[1].Number("matched") != 1 || logged[0].Has("payload") {
		t.Errorf("%v", logged)
	}
}
