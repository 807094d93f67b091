package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"ws-gateway/e2e/harness"
)

const groupAnswers = "--callback-groups"

// wish is a message that says how it is to be answered. It comes back as a reply, after
// which the groups have changed.
type wish struct {
	Join, Leave *string
	Status      int
	Fill        int // bytes of another header
}

// granting starts an app that answers wishes and joins nobody at an open.
func granting(t *testing.T) *app {
	t.Helper()
	app := startApp(t)
	app.respond(func(c *call) reply {
		var w wish
		if c.event.Action != "message" || json.Unmarshal(c.event.Data, &w) != nil {
			return reply{}
		}
		r := reply{status: w.Status, header: map[string]string{"Content-Type": "text/plain"}, body: "done"}
		if w.Join != nil {
			r.header["X-Ws-Join"] = *w.Join
		}
		if w.Leave != nil {
			r.header["X-Ws-Leave"] = *w.Leave
		}
		if w.Fill > 0 {
			r.header["X-Other"] = strings.Repeat("x", w.Fill)
		}
		return r
	})
	return app
}

func asJSON(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

func TestAnAnswerJoinsAndLeavesGroups(t *testing.T) {
	t.Parallel()
	app := granting(t)
	g := startGateway(t, app, groupAnswers, "--callback-reply")
	c := g.Dial(t, "alice")
	conn := app.opened("alice")
	name := strings.Repeat("n", 255)
	for _, step := range []struct {
		join, leave string
		want        []string
	}{
		{join: "room-1, room%2C2,\tr%C3%A4ume", want: []string{"room,2", "room-1", "räume"}},
		{join: "room-1, room-1", want: []string{"room,2", "room-1", "räume"}},
		{leave: "room-1, nowhere", want: []string{"room,2", "räume"}},
		{join: "room-1", leave: "room-1, room%2C2", want: []string{"room-1", "räume"}}, // leave first
		{join: "a+b, , " + name, leave: "room-1,r%c3%a4ume", want: []string{"a+b", name}},
		{leave: "a+b," + name, want: []string{}},
	} {
		var w wish
		if step.join != "" {
			w.Join = &step.join
		}
		if step.leave != "" {
			w.Leave = &step.leave
		}
		c.Send(asJSON(w))
		c.Receive("done")
		if got := g.groupsOf(conn); !slices.Equal(got, step.want) {
			t.Fatalf("after %+v it is in %q", step, got)
		}
	}
	g.expectMetric(t, `ws_gateway_group_joins_total{origin="answer"}`, 6)
	g.expectMetric(t, `ws_gateway_group_leaves_total{origin="answer"}`, 6)
	g.expectMetric(t, `ws_gateway_group_memberships`, 0)
}

func TestAnAnswerWhoseGroupsCannotBeReadJoinsNothing(t *testing.T) {
	t.Parallel()
	app := granting(t)
	g := startGateway(t, app, groupAnswers, "--callback-reply")
	c := g.Dial(t, "alice")
	conn := app.opened("alice")
	bad := []string{"a, b%2", "%zz", "a%ff", "a, %0A", "a%00", strings.Repeat("x", 256), ""}
	for _, join := range bad {
		c.Send(asJSON(wish{Join: &join}))
		c.Receive("done")
	}
	fine := "fine"
	c.Send(asJSON(wish{Join: &fine, Fill: 8 << 10})) // its reply cannot be read either
	c.Send(asJSON(wish{Join: &bad[0], Leave: &fine}))
	c.Receive("done")
	c.Send(asJSON(wish{Join: &fine, Status: 400})) // no reply
	last := "last"
	c.Send(asJSON(wish{Join: &last}))
	c.Receive("done")
	if got := g.groupsOf(conn); !slices.Equal(got, []string{"last"}) {
		t.Errorf("it is in %q", got)
	}
	g.expectMetric(t, `ws_gateway_group_changes_unreadable_total`, float64(len(bad)+2))
	if lines := g.logged(t, 1, "x-ws-join or x-ws-leave"); lines[0].Text("header") != "X-Ws-Join" || lines[0].Text("request_id") == "" {
		t.Errorf("logged: %v", lines)
	}
}

func TestOfAnAnswerWhatIsOverTheLimitIsNotJoined(t *testing.T) {
	t.Parallel()
	app := granting(t)
	g := startGateway(t, app, groupAnswers, "--callback-reply", "--max-groups-per-connection=3")
	c := g.Dial(t, "alice")
	conn := app.opened("alice")
	for _, join := range []string{"a,b", "c,d,a,e", "f"} {
		c.Send(asJSON(wish{Join: &join}))
		c.Receive("done")
	}
	if got := g.groupsOf(conn); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("it is in %q", got)
	}
	g.expectMetric(t, `ws_gateway_group_joins_over_limit_total`, 3)
	g.logged(t, 1, "joins a connection to too many groups")
}

func TestWithoutTheOptionNoAnswerJoins(t *testing.T) {
	t.Parallel()
	app := granting(t)
	g := startGateway(t, app, "--callback-reply")
	c := g.Dial(t, "alice")
	for _, join := range []string{"a", "%"} {
		c.Send(asJSON(wish{Join: &join}))
		c.Receive("done")
	}
	if got := g.groupsOf(app.opened("alice")); len(got) > 0 {
		t.Errorf("it is in %q", got)
	}
	g.expectMetric(t, `ws_gateway_group_changes_unreadable_total`, 0)
}

// The answer lets the client in, so its first message finds it in the group, and so
// does a send that begins when the answer is out.
func TestWhoIsLetInIsInItsGroupsBeforeItsFirstMessage(t *testing.T) {
	t.Parallel()
	var sending sync.WaitGroup
	var g *gateway
	b := startBouncer(t, func(w http.ResponseWriter, e event) {
		w.Header().Set("X-Ws-Join", "hall, "+e.User)
		w.Header().Set("Content-Length", "0")
		if e.User == "mallory" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush() // the whole answer is out before the send begins
		sending.Go(func() { g.send(`{"groups":["` + e.User + `"],"payload":"welcome"}`) })
	})
	g = b.guarded(t, groupAnswers)
	const clients = 50
	for n := range clients {
		c := g.Dial(t, fmt.Sprint("u", n))
		c.Receive(`"welcome"`)
	}
	sending.Wait()
	if _, r, err := g.TryConnect(t, visitor{User: "mallory"}); err == nil || r == nil || r.StatusCode != http.StatusForbidden {
		t.Errorf("mallory got %+v, %v", r, err)
	}
	g.expectMetric(t, `ws_gateway_group_memberships`, 2*clients)
	g.expectMetric(t, `ws_gateway_groups`, clients+1)
}

func TestASendToTheGroupThatAnAnswerJoinsReachesWhoHasJoined(t *testing.T) {
	t.Parallel()
	const clients, messages = 16, 40
	for _, withReply := range []bool{true, false} {
		app := startHasty(t)
		args := []string{groupAnswers, "--callback-url", app.url()}
		if withReply {
			args = append(args, "--callback-reply")
		}
		g := launch{args: args}.start(t)
		app.gateway, app.speak = g.Addr, func(e event) (answer, send string) {
			var client, n int
			if _, err := fmt.Sscanf(string(e.Data), `"%d-%d"`, &client, &n); err != nil {
				t.Errorf("%v: %s", err, e.Data)
			}
			reply := ""
			if withReply {
				reply = fmt.Sprintf("reply %d-%d", client, n)
			}
			answer = fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Ws-Join: %d-%d\r\nX-Ws-Leave: %d-%d\r\nContent-Length: %d\r\n\r\n%s",
				client, n, client, n-1, len(reply), reply)
			return answer, fmt.Sprintf(`{"payload":"sent %d-%d","groups":["%d-%d","%d-%d"]}`, client, n, client, n-1, client, n)
		}
		var talking sync.WaitGroup
		for n := range clients {
			c := g.Dial(t, fmt.Sprint("user", n))
			talking.Go(func() {
				for i := range messages { // one by one: the answer to the next takes it out of the group
					c.Send(fmt.Sprintf("%q", fmt.Sprint(n, "-", i)))
					want := []string{fmt.Sprintf("reply %d-%d", n, i), fmt.Sprintf(`"sent %d-%d"`, n, i)}
					if !withReply {
						want = want[1:]
					}
					for _, want := range want {
						if _, got, err := c.Read(); err != nil || got != want {
							t.Errorf("client %d got %q, %v; want %q", n, got, err, want)
							return
						}
					}
				}
			})
		}
		talking.Wait()
		g.expectMetric(t, "ws_gateway_groups", clients)
		if n := strings.Count(g.Log.Tail(1000), `"level":"warn"`); n > 0 {
			t.Errorf("%d warnings", n)
		}
	}
}

func TestAHundredNamesOfOrdinaryLengthFitIntoAnAnswer(t *testing.T) {
	t.Parallel()
	app := granting(t)
	g := startGateway(t, app, groupAnswers, "--callback-reply")
	c := g.Dial(t, "alice")
	var names []string
	for n := range 100 {
		names = append(names, fmt.Sprintf("%075d", n))
	}
	join := strings.Join(names, ", ")
	c.Send(asJSON(wish{Join: &join}))
	c.Receive("done")
	if got := g.groupsOf(app.opened("alice")); !slices.Equal(got, names) {
		t.Errorf("it is in %d groups", len(got))
	}
}

func TestAnAnswerThatComesAfterTheConnectionHasClosedJoinsNobody(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	release := make(chan struct{})
	app.respond(func(c *call) reply {
		r := reply{header: map[string]string{"X-Ws-Join": "late"}}
		switch c.event.Action {
		case "open":
			return reply{}
		case "message":
			r.hold = release
		}
		return r
	})
	g := startGateway(t, app, groupAnswers)
	c := g.Dial(t, "alice")
	c.Send("1")
	app.awaitCall("message of alice", func(c *call) bool { return c.is("message", "alice") })
	c.Close(1000, "")
	harness.Poll(t, "alice to be gone", func() bool { return g.connections() == 0 })
	bob := g.Dial(t, "bob") // in alice's place
	close(release)
	app.closed("alice")
	g.awaitMetric(t, "ws_gateway_group_changes_late_total", 2) // of her close, too
	if got := g.groupsOf(app.opened("bob")); len(got) > 0 || g.metricNow(t, "ws_gateway_groups") > 0 {
		t.Errorf("bob is in %q", got)
	}
	bob.Close(1000, "")
}

func TestOnlyTheAttemptThatSucceedsJoins(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(func(c *call) reply {
		if c.event.Action != "message" {
			return reply{}
		}
		r := reply{header: map[string]string{"X-Ws-Join": fmt.Sprint("attempt-", c.attempt), "Content-Type": "text/plain"}, body: "done"}
		switch c.attempt {
		case 1:
			r.status = http.StatusServiceUnavailable
		case 2:
			r.drop = true
		}
		return r
	})
	g := startGateway(t, app, groupAnswers, "--callback-reply")
	c := g.Dial(t, "alice")
	c.Send("1")
	c.Receive("done")
	if got := g.groupsOf(app.opened("alice")); len(got) != 1 || got[0] < "attempt-3" {
		t.Errorf("it is in %q", got)
	}
}

// Events that others send for a connection, a replay and the start after a crash, change
// no groups, although the answers to them say so.
func TestReplaysAndTheJournalsCloseEventsJoinNobody(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(func(c *call) reply {
		if c.event.Action == "open" {
			return reply{}
		}
		return reply{header: map[string]string{"X-Ws-Join": "again"}}
	})
	journal := "--journal=" + t.TempDir()
	g := startGateway(t, app, groupAnswers, journal)
	g.Dial(t, "alice")
	app.opened("alice")
	g.awaitMetric(t, `ws_gateway_callbacks_delivered_total{action="open"}`, 1)
	g.kill()
	g = startGateway(t, app, groupAnswers, journal)
	bob := g.Dial(t, "bob")
	app.closed("alice")
	conn := app.opened("bob")
	letter := fmt.Sprintf(`{"time":"2026-01-02T03:04:05Z","request_id":"%s-99","action":"message","attempts":3,"error":"app unreachable",`+
		`"event":{"data":1,"action":"message","user_name":"bob","conn_id":"%[1]s"}}`+"\n", conn)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Ws-Join", "again") }))
	defer other.Close()
	command := launch{args: []string{"replay", harness.WriteFile(t, "dead.jsonl", letter), groupAnswers, "--callback-url", other.URL}}
	if code, _, stderr := command.runToEnd(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, stderr)
	}
	if got := g.groupsOf(conn); len(got) > 0 {
		t.Errorf("bob is in %q", got)
	}
	for _, metric := range []string{"ws_gateway_groups", "ws_gateway_group_changes_late_total", `ws_gateway_group_joins_total{origin="answer"}`} {
		g.expectMetric(t, metric, 0)
	}
	bob.Send("1")
	g.awaitMetric(t, `ws_gateway_group_joins_total{origin="answer"}`, 1)
}

func TestAnswersToManyJoinNobodySoTheOptionsAreRefusedTogether(t *testing.T) {
	t.Parallel()
	for _, other := range []string{"--callback-batch", "--callback-pipeline"} {
		code, _, stderr := launch{args: []string{"--callback-url=http://127.0.0.1:1/", groupAnswers, other + "=2"}}.runToEnd(t)
		if code != exitUsage || !strings.Contains(stderr, groupAnswers) || !strings.Contains(stderr, other) {
			t.Errorf("%s: exit code %d:\n%s", other, code, stderr)
		}
	}
}
