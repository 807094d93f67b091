package e2e_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/coder/websocket"

	"ws-gateway/e2e/harness"
)

func TestTheThreeCallbacksHaveExactlyTheseBytes(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	c := g.Connect(t, visitor{
		User: "alice", Target: "/ws?room=1",
		Header: map[string]string{"User-Agent": "test/1.0", "Origin": "https://page.example"},
	})
	conn := app.opened("alice")
	c.Send(`{"event":"greet","data":{"to":"bob"}}`)
	app.message("alice", 1)
	c.Close(4001, "done")
	app.closed("alice")

	want := []string{
		fmt.Sprintf(`{"data":{},"action":"open","user_name":"alice","conn_id":"%s","request":{"uri":"/ws?room=1","remote_addr":"%s","user_agent":"test/1.0","origin":"https://page.example"}}`, conn, c.Local()),
		fmt.Sprintf(`{"data":{"event":"greet","data":{"to":"bob"}},"action":"message","user_name":"alice","conn_id":"%s"}`, conn),
		fmt.Sprintf(`{"data":{},"action":"close","user_name":"alice","conn_id":"%s","code":4001,"reason":"done","initiator":"client"}`, conn),
	}
	calls := app.attempts(func(*call) bool { return true })
	if len(calls) != len(want) {
		t.Fatalf("%d callbacks, want %d", len(calls), len(want))
	}
	for i, c := range calls {
		if string(c.body) != want[i] {
			t.Errorf("callback %d is\n%s, want\n%s", i, c.body, want[i])
		}
		if c.path != callbackPath {
			t.Errorf("callback %d went to %s", i, c.path)
		}
		if c.attempt != 1 {
			t.Errorf("callback %d: X-Attempt is %q", i, c.header.Get("X-Attempt"))
		}
	}
	app.whole(t, conn)
}

func TestMessageDataIsTheClientsOwnBytes(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	c := g.Dial(t, "alice")
	conn := app.opened("alice")
	for i, data := range []string{
		`{"event":"x","data":{"b":1,"a":2}}`,
		`{ "spaced" :  [ 1 , 2 ] }`,
		`{"n":12345678901234567890.123456789012345678901234567890,"e":1E300,"z":-0.0}`,
		`{"escapes":"\u00e9\/\u2028\ud83d\ude00","raw":"é😀"}`,
		`{"same":1,"same":2}`,
		`{"html":"<script>&amp;</script>"}`,
		`[]`, `[1,"two",null]`, `{}`, `""`, `"text"`, `0`, `-1.5e-7`, `true`, `false`, `null`,
		`{"deep":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
	} {
		c.Send(data)
		want := fmt.Sprintf(`{"data":%s,"action":"message","user_name":"alice","conn_id":"%s"}`, data, conn)
		if got := string(app.message("alice", i+1).body); got != want {
			t.Errorf("got\n%s, want\n%s", got, want)
		}
	}
}

func TestOtherTextBecomesAJSONStringAndBinaryBase64(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	c := g.Dial(t, "alice")
	for i, message := range []struct {
		binary   bool
		sent     string
		data     string // any of the ways to write this string in JSON
		encoding string
	}{
		{false, "hello", "hello", "text"},
		{false, "", "", "text"},
		{false, `{"cut":`, `{"cut":`, "text"},
		{false, `{"a":1} {"b":2}`, `{"a":1} {"b":2}`, "text"},
		{false, "NaN", "NaN", "text"},
		{false, "01", "01", "text"},
		{false, "'single'", "'single'", "text"},
		{false, "tab\tquote\"back\\slash\nline\x00nul\x1b\x7f\u2028é😀", "tab\tquote\"back\\slash\nline\x00nul\x1b\x7f\u2028é😀", "text"},
		{false, strings.Repeat("[", 100_000), strings.Repeat("[", 100_000), "text"},
		{true, "", "", "base64"},
		{true, "\x00\xff\xfe", "AP/+", "base64"},
		{true, `{"json":true}`, "eyJqc29uIjp0cnVlfQ==", "base64"},
	} {
		if message.binary {
			c.SendBinary(message.sent)
		} else {
			c.Send(message.sent)
		}
		got := app.message("alice", i+1)
		if text := jsonString(t, got.event.Data); text != message.data || got.event.Encoding != message.encoding {
			t.Errorf("%.50q arrived as %.100s", message.sent, got.body)
		}
	}
}

func TestCookiesAndUserGoVerbatimWithEveryCallback(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	cookies := map[string]string{
		"plain":  "session=" + secret + "a",
		"odd":    `a=1; b="quoted; not" ;; =x; ` + secret + `; c=%20é`,
		"long":   "long=" + strings.Repeat("x", 8000),
		"absent": "",
	}
	for user, cookie := range cookies {
		lines := []string{}
		if cookie != "" {
			lines = append(lines, "Cookie: "+cookie)
		}
		r := g.rawClient(t, user, lines...)
		r.say(frame(fin|opText, `{}`))
		app.message(user, 1)
		r.say(frame(fin|opClose, ""))
		app.closedAs(t, user, 1005, "client")
		for _, c := range app.attempts(func(c *call) bool { return c.event.User == user }) {
			got, present := c.header["Cookie"]
			if present != (cookie != "") || present && got[0] != cookie {
				t.Errorf("%s of %s carries Cookie %q, want %q", c.event.Action, user, got, cookie)
			}
		}
	}
}

func TestAUserNameOfAnyBytesMakesAValidCallback(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	for i, name := range []string{`quo"te\back`, "älïce 😀", "tab\there", "</script>"} {
		g.rawClient(t, name)
		app.awaitThat("another open", func() bool { return len(app.calls) == i+1 })
		if c := app.attempts(func(*call) bool { return true })[i]; c.event.User != name {
			t.Errorf("%q arrived as %s", name, c.body)
		}
	}
	// Not UTF-8: it may be refused, but if not, JSON must stay JSON.
	r := g.raw(t)
	r.say(g.handshake("X-Bfl-User: caf\xe9", "Cookie: a=\xff", "User-Agent: \xfe") + "\r\n")
	if response, _ := r.response(); response.StatusCode == 101 {
		c := app.awaitCall("open", func(c *call) bool { return strings.HasPrefix(c.event.User, "caf") })
		if !utf8.Valid(c.body) {
			t.Errorf("the callback is not UTF-8: %q", c.body)
		}
	} else if response.StatusCode != 400 {
		t.Errorf("status %d", response.StatusCode)
	}
}

func TestEveryEndHasItsCodeReasonAndInitiator(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	for user, end := range map[string]struct {
		how       func(*client)
		code      int
		reason    string
		initiator string
	}{
		"close frame": {func(c *client) { c.Close(1000, "bye") }, 1000, "bye", "client"},
		"going away":  {func(c *client) { c.Close(1001, "") }, 1001, "", "client"},
		"no code":     {func(c *client) { c.Close(websocket.StatusNoStatusRcvd, "") }, 1005, "", "client"},
		"own code":    {func(c *client) { c.Close(4999, "quo\"te é") }, 4999, "quo\"te é", "client"},
		"FIN":         {(*client).HangUp, 1006, "", "network"},
		"RST":         {(*client).Reset, 1006, "", "network"},
		"close API": {func(c *client) {
			g.closeConns(`{"users":["close API"],"code":4001,"reason":"kicked"}`)
			c.ClosedWith(4001, "kicked")
		}, 4001, "kicked", "app"},
	} {
		t.Run(user, func(t *testing.T) {
			c := g.Dial(t, user)
			app.opened(user)
			end.how(c)
			closed := app.closedAs(t, user, end.code, end.initiator)
			if closed.event.Reason != end.reason {
				t.Errorf("reason %q, want %q", closed.event.Reason, end.reason)
			}
			if string(closed.event.Data) != `{}` {
				t.Errorf("data is %s, want {}", closed.event.Data)
			}
		})
	}
}

func TestConnectionIdsAreOpaqueURLSafeAndNeverTheSame(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	shape := regexp.MustCompile(`^[A-Za-z0-9_.~-]{1,32}$`)
	seen := make(map[string]bool)
	for range 2 { // restarts
		g := startGateway(t, app)
		for range 20 {
			c := g.Dial(t, "alice")
			id := g.only("alice")
			if seen[id] || !shape.MatchString(id) {
				t.Errorf("id %q: seen %v", id, seen[id])
			}
			seen[id] = true
			c.Close(websocket.StatusNormalClosure, "")
			harness.Poll(t, "the list to be empty", func() bool { return g.connections() == 0 })
		}
	}
}

func TestAConnectionCanBeAddressedBeforeItsOpenCallbackIsAnswered(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	release := make(chan struct{})
	app.respond(func(*call) reply { return reply{hold: release} })
	g := startGateway(t, app)
	c := g.Dial(t, "alice")
	g.send(`{"payload":{"early":true},"conn_id":"` + app.opened("alice") + `"}`)
	c.Receive(`{"early":true}`)
	close(release)
}

func TestTheURLOfTheAppComesFromWSPortAndWSURLOrAManifest(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	port := app.port.number
	env := launch{
		args: []string{"--listen", "127.0.0.1:0"},
		env:  []string{fmt.Sprint("WS_PORT=", port), "WS_URL=/from/env?x=1"},
	}
	manifest := launch{args: []string{"--manifest", harness.WriteFile(t, "OlaresManifest.yaml", fmt.Sprintf(
		"olaresManifest.version: '0.8.0'\nmetadata:\n  name: demo\noptions:\n  dependencies: []\n  websocket:\n    url: /from/manifest\n    port: %d\n", port))}}
	for user, l := range map[string]launch{"env": env, "manifest": manifest} {
		g := l.start(t)
		g.Dial(t, user)
		open := app.awaitCall("open", func(c *call) bool { return c.is("open", user) })
		if !strings.HasPrefix(open.path, "/from/"+user) {
			t.Errorf("%s: the callback went to %s", user, open.path)
		}
	}
}

func TestPushOnlySendsWithoutAnApp(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	c := g.Dial(t, "alice")
	c.Send(`{"to":"nobody"}`)
	g.send(`{"payload":{"pushed":true},"users":["alice"]}`)
	c.Receive(`{"pushed":true}`)
	c.Close(websocket.StatusNormalClosure, "")
}

// jsonString decodes a JSON string.
func jsonString(t testing.TB, data []byte) (s string) {
	t.Helper()
	if err := json.Unmarshal(data, &s); err != nil {
		t.Errorf("not a JSON string: %.100s", data)
	}
	return s
}
