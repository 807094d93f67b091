package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"ws-gateway/e2e/harness"
)

// bouncer is an app that decides about upgrades. It keeps the events in order.
type bouncer struct {
	*httptest.Server
	watched
	events []event
	decide func(w http.ResponseWriter, e event) // about opens
}

func startBouncer(t *testing.T, decide func(http.ResponseWriter, event)) *bouncer {
	b := &bouncer{decide: decide}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var e event
		if err := json.Unmarshal(body, &e); err != nil {
			t.Errorf("%v: %s", err, body)
		}
		b.Mu.Lock()
		b.events = append(b.events, e)
		b.Changed()
		b.Mu.Unlock()
		if e.Action == "open" {
			b.decide(w, e)
		}
	}))
	t.Cleanup(b.Close)
	return b
}

// guarded starts a gateway that asks b.
func (b *bouncer) guarded(t *testing.T, args ...string) *gateway {
	t.Helper()
	return launch{args: append([]string{"--callback-url", b.URL + "/", "--callback-open", "authorize"}, args...)}.start(t)
}

// await waits for n events of an action.
func (b *bouncer) await(t *testing.T, action string, n int) (found []event) {
	t.Helper()
	if !b.watched.Await(harness.Patience, func() bool {
		found = found[:0]
		for _, e := range b.events {
			if e.Action == action {
				found = append(found, e)
			}
		}
		return len(found) >= n
	}) {
		t.Fatalf("%d %s events came, want %d", len(found), action, n)
	}
	return found
}

func TestTheAppDecidesAboutUpgradesAndNamesTheUser(t *testing.T) {
	t.Parallel()
	b := startBouncer(t, func(w http.ResponseWriter, e event) {
		if e.User == "mallory" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"error":"`+strings.Repeat("no", 4000)+`"}`)
			return
		}
		w.Header().Set("X-Ws-User", "real-"+e.User)
	})
	g := b.guarded(t)
	c := g.Dial(t, "alice")
	if users, _ := g.list(""); len(users) != 1 || len(users["real-alice"]) != 1 {
		t.Errorf("listed are %v", users)
	}
	c.Send(`{"n":1}`)
	if m := b.await(t, "message", 1)[0]; m.User != "real-alice" || string(m.Data) != `{"n":1}` {
		t.Errorf("the message is %+v", m)
	}
	g.send(`{"users":["real-alice"],"payload":"hello"}`)
	c.Receive(`"hello"`)
	if _, r, err := g.TryConnect(t, visitor{User: "mallory"}); err == nil || r == nil || r.StatusCode != 403 || r.Header.Get("Content-Type") != "application/json" || r.ContentLength != 4096 {
		t.Errorf("mallory got %+v, %v", r, err)
	}
	c.Close(1000, "")
	if closes := b.await(t, "close", 1); closes[0].User != "real-alice" {
		t.Errorf("the close is %+v", closes[0])
	}
	if n := len(b.await(t, "close", 1)); n != 1 {
		t.Errorf("%d close events; a refused open has none", n)
	}
}

func TestWithoutAProxyTheAppNamesUsersByTheirCookiesWhateverTheyClaim(t *testing.T) {
	t.Parallel()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(body), `"action":"open"`) {
			return
		}
		session, err := r.Cookie("session")
		if err != nil || session.Value != "1234" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("X-Ws-User", "alice")
	}))
	t.Cleanup(app.Close)
	g := launch{args: []string{"--callback-url", app.URL + "/", "--callback-open", "authorize", "--allowed-origins", "https://app.example.org"}}.start(t)
	page := map[string]string{"Origin": "https://app.example.org"}
	g.Connect(t, visitor{User: "mallory", Cookie: "session=1234", Header: page})
	if users, _ := g.list(""); len(users) != 1 || len(users["alice"]) != 1 {
		t.Errorf("listed are %v", users)
	}
	for _, v := range []visitor{
		{User: "alice", Header: page},
		{User: "alice", Cookie: "session=stolen", Header: page},
		{Cookie: "session=1234", Header: map[string]string{"Origin": "https://evil.example"}},
	} {
		want := http.StatusUnauthorized
		if v.Header["Origin"] != page["Origin"] {
			want = http.StatusForbidden
		}
		if _, response, err := g.TryConnect(t, v); err == nil || response == nil || response.StatusCode != want {
			t.Errorf("%+v: %v, %v, want %d", v, response, err, want)
		}
	}
}

func TestAnAppThatCannotDecideMeans503(t *testing.T) {
	t.Parallel()
	released, release := context.WithCancel(t.Context())
	b := startBouncer(t, func(w http.ResponseWriter, e event) {
		switch e.User {
		case "error":
			w.WriteHeader(http.StatusInternalServerError)
		case "slow":
			<-released.Done()
		}
	})
	defer release()
	g := b.guarded(t, "--callback-timeout", "15s")
	for _, user := range []string{"error", "slow"} {
		if _, r, err := g.TryConnect(t, visitor{User: user}); err == nil || r == nil || r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %+v, %v", user, r, err)
		}
	}
	c := g.Dial(t, "fine")
	c.Close(1000, "")
	b.await(t, "close", 1)
}

func TestASendThatFollowsTheYesOfTheAppReachesTheConnection(t *testing.T) {
	t.Parallel()
	var sending sync.WaitGroup
	var g *gateway
	b := startBouncer(t, func(w http.ResponseWriter, e event) {
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush() // the whole answer is out before the send begins
		sending.Go(func() { g.send(`{"conn_id":"` + e.Conn + `","payload":"welcome"}`) })
	})
	g = b.guarded(t)
	for n := range 50 {
		c := g.Dial(t, fmt.Sprint("u", n))
		c.Receive(`"welcome"`)
	}
	sending.Wait()
}

func TestManyHandshakesWaitForTheAppAtOnce(t *testing.T) {
	t.Parallel()
	const many, limit = 300, 250
	released, release := context.WithCancel(t.Context())
	b := startBouncer(t, func(w http.ResponseWriter, e event) { <-released.Done() })
	g := b.guarded(t, "--max-pending-authorizations", fmt.Sprint(limit), "--callback-timeout", "10m", "--handshake-timeout", "10m", "--callback-concurrency", "8")
	var dialing sync.WaitGroup
	var statuses watched
	count := map[int]int{}
	for n := range many {
		dialing.Go(func() {
			c, r, err := g.TryConnect(t, visitor{User: fmt.Sprint(n)})
			status := 0
			if r != nil {
				status = r.StatusCode
			}
			if err == nil {
				t.Cleanup(func() { _ = c.WS.CloseNow() })
			}
			statuses.Mu.Lock()
			defer statuses.Mu.Unlock()
			count[status]++
			statuses.Changed()
		})
	}
	statuses.Await(harness.Patience, func() bool { return count[503] == many-limit })
	release()
	dialing.Wait()
	if count[101] != limit || count[503] != many-limit {
		t.Errorf("answers: %v", count)
	}
}
