package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ws-gateway/e2e/harness"
)

// troubleOf returns what GET /tapr/ws/status says of the app; nil: it is well.
func (g *gateway) troubleOf(t *testing.T) map[string]any {
	t.Helper()
	var status struct {
		Data struct {
			App struct {
				Trouble map[string]any `json:"trouble"`
			} `json:"app"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(g.get("/tapr/ws/status").body), &status); err != nil {
		t.Fatal(err)
	}
	return status.Data.App.Trouble
}

// summed reports whether a line sums up what began with text.
func summed(l logLine, text string) bool {
	length, rest, _ := strings.Cut(strings.TrimPrefix(l.Text("message"), "for "), ": ")
	_, err := time.ParseDuration(length)
	return err == nil && strings.HasPrefix(rest, text)
}

// keepTalking has clients send until the test ends: each comes, says something and
// stays.
func keepTalking(t *testing.T, g *gateway, n int) (clients []*client) {
	t.Helper()
	for i := range n {
		c := g.Dial(t, fmt.Sprint("user", i))
		c.Send(numbered(0))
		clients = append(clients, c)
	}
	return clients
}

func TestAnAppThatTakesNoEventsIsToldOfOnceThenSummedUpAndAtTheEnd(t *testing.T) {
	t.Parallel()
	refusing := func(status int) func(http.ResponseWriter, <-chan struct{}) {
		return func(w http.ResponseWriter, _ <-chan struct{}) { w.WriteHeader(status) }
	}
	for _, test := range []struct {
		name   string
		answer func(w http.ResponseWriter, end <-chan struct{})
		args   []string
		kind   string
		text   string // of the first line
		fix    string
	}{
		{"500 to everything", refusing(500), nil, "failing", "it answers 500", "--callback-retry-for"},
		{"401 to everything", refusing(401), []string{"--callback-secret=s"}, "failing", "it answers 401", "--callback-secret"},
		{"403 to everything", refusing(403), nil, "failing", "it answers 403", "--callback-header"},
		{"404 to everything", refusing(404), nil, "failing", "it answers 404", "--callback-url"},
		{"the signature", func(w http.ResponseWriter, _ <-chan struct{}) {
			w.Header().Set("X-Ws-Error", "signature")
			w.WriteHeader(503)
		}, []string{"--callback-secret=s"}, "failing", "signature refused", "--callback-secret"},
		{"breaks off", func(http.ResponseWriter, <-chan struct{}) { panic(http.ErrAbortHandler) }, nil, "failing", "connection broken", "--callback-url"},
		{"hangs", func(_ http.ResponseWriter, end <-chan struct{}) { <-end }, []string{"--callback-timeout=3s"}, "silent", "does not answer", "--callback-timeout"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var well atomic.Bool
			end := make(chan struct{})
			app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if !well.Load() {
					test.answer(w, end)
				}
			}))
			t.Cleanup(app.Close)
			t.Cleanup(func() { close(end) })
			g := launch{args: append(test.args, "--callback-url", app.URL+"/x", "--drain-period=0s")}.start(t)
			clients := keepTalking(t, g, 20)
			const first = "the app at "
			begins, ok := g.Log.Await(harness.Patience, func(l logLine) bool { return strings.HasPrefix(l.Text("message"), first) })
			if !ok || begins.Text("level") != "warn" || !strings.Contains(begins.Text("message"), test.text) || !strings.Contains(begins.Text("fix"), test.fix) {
				t.Fatalf("it begins with %s", begins.Raw)
			}
			if tr := g.troubleOf(t); tr == nil || tr["kind"] != test.kind && tr["kind"] != "failing" || tr["fix"] == "" {
				t.Errorf("status says %v", tr)
			}
			g.expectMetric(t, "ws_gateway_app_trouble", 1)
			sum, ok := g.Log.Await(harness.Patience, func(l logLine) bool { return summed(l, first) })
			if !ok || sum.Text("level") != "warn" || sum.Fields["since"] == nil || sum.Fields["answers"] == nil || sum.Fields["waiting"] == nil || sum.Fields["given_up"] == nil {
				t.Fatalf("it is summed up with %s", sum.Raw)
			}
			well.Store(true)
			over := func() bool {
				for _, c := range clients {
					c.Send(numbered(1))
				}
				return len(g.Log.MatchingNow("the app takes events again after ")) > 0
			}
			if test.kind != "silent" { // what hangs is not let go before the test ends
				harness.Poll(t, "it to be over", over)
				if tr := g.troubleOf(t); tr != nil {
					t.Errorf("status says %v", tr)
				}
			}
			lines := 0
			for _, l := range g.Log.All() {
				if l.Text("level") == "warn" && strings.Contains(l.Text("message"), "the app at ") {
					lines++
				}
			}
			g.expectMetric(t, "ws_gateway_app_troubles_total", 1)
			if single := len(g.Log.MatchingNow("failed for good")); single > 11 || lines > 12 {
				t.Errorf("%d lines, %d of single events", lines, single)
			}
		})
	}
}

func TestAnAppThatCannotBeReachedIsToldOfWithTheReason(t *testing.T) {
	t.Parallel()
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(untrusted.Close)
	for _, test := range []struct{ name, url, reason, fix string }{
		{"refused", fmt.Sprintf("http://127.0.0.1:%d/x", reservePort(t).number), "connection refused", "start the app"},
		{"no such name", "http://nowhere.invalid/x", "nowhere.invalid", "--callback-url"},
		{"a certificate of nobody", untrusted.URL, "certificate", "--callback-ca"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := launch{args: []string{"--callback-url", test.url, "--drain-period=0s", "--shutdown-timeout=2s"}}.start(t)
			keepTalking(t, g, 5)
			// On a busy machine the first handshakes may take so long that it begins as silence.
			line, ok := g.Log.Await(harness.Patience, func(l logLine) bool { return strings.Contains(l.Text("message"), "app unreachable at ") })
			if !ok || !strings.Contains(line.Text("error"), test.reason) || !strings.Contains(line.Text("fix"), test.fix) {
				t.Fatalf("it says %s", line.Raw)
			}
			if tr := g.troubleOf(t); tr == nil || tr["kind"] != "unreachable" {
				t.Errorf("status says %v", tr)
			}
			sum, ok := g.Log.Await(harness.Patience, func(l logLine) bool { return summed(l, "app unreachable") })
			if !ok || sum.Number("waiting") == 0 {
				t.Errorf("it is summed up with %s", sum.Raw)
			}
			g.Signal(syscall.SIGTERM)
			g.Wait(harness.Patience)
			if n := len(g.Log.MatchingNow("failed for good")); n > 0 {
				t.Errorf("%d lines of single events", n)
			}
		})
	}
}

func TestOneConnectionsEventThatFailsAloneIsOneLine(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(func(c *call) reply {
		if c.event.Action == "message" && c.event.User == "poison" {
			return reply{status: 400}
		}
		return reply{}
	})
	g := startGateway(t, app)
	var others []*client
	for i := range 10 {
		others = append(others, g.Dial(t, fmt.Sprint("user", i)))
	}
	poison := g.Dial(t, "poison")
	app.opened("poison")
	const n = 30
	for i := range n { // beside it the app takes others, also if all this takes a while
		poison.Send(numbered(i))
		others[i%len(others)].Send(numbered(i))
	}
	g.awaitMetric(t, `ws_gateway_callbacks_failed_total{action="message"}`, n)
	if got := len(g.Log.AwaitMatching(1, "callback failed for good")); got == 0 || got > 10 {
		t.Errorf("%d lines", got)
	}
	if tr := g.troubleOf(t); tr != nil {
		t.Errorf("status says %v", tr)
	}
}

// One event of one client is all there is, and the app has taken others before.
func TestTheFirstLineSaysWhatTheAppAnswersAlsoWhereThatIsAWhileAgo(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(func(c *call) reply {
		if c.event.Action == "message" {
			return reply{status: 507}
		}
		return reply{}
	})
	g := startGateway(t, app)
	c := g.Dial(t, "alice")
	app.opened("alice")
	c.Send("hello")
	line, ok := g.Log.Await(harness.Patience, func(l logLine) bool { return strings.HasPrefix(l.Text("message"), "the app at ") })
	if !ok || !strings.HasSuffix(line.Text("message"), " does not take events: it answers 507") {
		t.Errorf("it says %s", line.Raw)
	}
}

func TestHalfOfTheEventsFailingIsTrouble(t *testing.T) {
	t.Parallel()
	var n atomic.Uint64
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%2 == 0 {
			w.WriteHeader(422)
		}
	}))
	t.Cleanup(app.Close)
	g := launch{args: []string{"--callback-url", app.URL}}.start(t)
	keepTalking(t, g, 50)
	if line, ok := g.Log.Await(harness.Patience, func(l logLine) bool { return strings.Contains(l.Text("message"), "it answers 422") }); !ok || !strings.Contains(line.Text("fix"), "not sent again") {
		t.Errorf("it says %s", line.Raw)
	}
}

// An app that verifies, as docs/signatures.md says, and one as it was said before.
func TestAnAppThatRefusesTheSignatureDoesNotRefuseClients(t *testing.T) {
	t.Parallel()
	for _, status := range []int{503, 401, 400} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			app := startApp(t)
			app.respond(func(*call) reply {
				return reply{status: status, header: map[string]string{"X-Ws-Error": "signature"}, body: "who are you?"}
			})
			g := startGateway(t, app, "--callback-open=authorize", "--callback-secret=s")
			for i := range 5 {
				g.refuses(t, visitor{User: fmt.Sprint("user", i)}, http.StatusServiceUnavailable)
			}
			line, ok := g.Log.Await(harness.Patience, func(l logLine) bool { return strings.Contains(l.Text("message"), "signature refused") })
			if !ok || line.Text("level") != "warn" || !strings.Contains(line.Text("fix"), "--callback-secret") {
				t.Errorf("it says %s", line.Raw)
			}
			g.awaitMetric(t, `ws_gateway_callback_outcomes_total{outcome="signature_refused"}`, 5)
		})
	}
}

func TestAnAppThatRefusesEveryClientIsToldOf(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(func(*call) reply { return reply{status: 401} })
	g := startGateway(t, app, "--callback-open=authorize", "--callback-secret=s")
	for i := range 12 {
		g.refuses(t, visitor{User: fmt.Sprint("user", i)}, http.StatusUnauthorized)
	}
	line, ok := g.Log.Await(harness.Patience, func(l logLine) bool {
		return strings.Contains(l.Text("message"), "refuses every client, the last one with 401")
	})
	if !ok || !strings.Contains(line.Text("fix"), "X-Ws-Error: signature") {
		t.Errorf("it says %s", line.Raw)
	}
	if tr := g.troubleOf(t); tr == nil || tr["kind"] != "refusing" {
		t.Errorf("status says %v", tr)
	}
}
