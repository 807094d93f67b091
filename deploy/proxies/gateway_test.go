//go:build proxies

package proxies

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"ws-gateway/e2e/harness"
)

// gateway is the real one, with management on the clients' port: the worst case.
type gateway struct {
	*process
	binary string
	args   []string
}

// startGateway runs a gateway that takes 127.0.0.1 for a proxy and calls a.
func startGateway(t testing.TB, binary string, a *app, args ...string) *gateway {
	t.Helper()
	g := &gateway{binary: binary, args: append([]string{"--trusted-proxies", "127.0.0.1", "--callback-url", a.server.URL + "/callback"}, args...)}
	for range 5 {
		if g.run(t, "127.0.0.1:"+harness.FreePort(t)) {
			return g
		}
	}
	t.Fatal("the gateway does not start")
	return nil
}

// run starts it at an address, and reports false if it does not.
func (g *gateway) run(t testing.TB, addr string) bool {
	t.Helper()
	p := startProcess(t, addr, exec.Command(g.binary, append([]string{"--listen", addr}, g.args...)...))
	if p == nil {
		return false
	}
	g.process = p
	t.Cleanup(func() {
		p.stop()
		for _, bad := range []string{"DATA RACE", "panic:", "fatal error:"} {
			if strings.Contains(p.printed(), bad) {
				t.Errorf("the gateway printed %s", bad)
			}
		}
	})
	return true
}

// call asks the management API directly, which needs no proxy.
func (g *gateway) call(method, path, body string) (status int, answer string) {
	g.t.Helper()
	request, err := http.NewRequest(method, "http://"+g.addr+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	response, err := client.Do(request)
	if err != nil {
		g.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func portOf(addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		panic(err)
	}
	return port
}

func sha1Of(s string) string {
	sum := sha1.Sum([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// app records events, and says who clients are.
type app struct {
	t      testing.TB
	server *httptest.Server

	mu     sync.Mutex
	events []event // guarded by mu, as what follows
	opened int
	closed int
	asked  []http.Header // what /auth was asked with
}

// event is the body of a callback.
type event struct {
	Data      json.RawMessage `json:"data"`
	Action    string          `json:"action"`
	User      string          `json:"user_name"`
	Conn      string          `json:"conn_id"`
	Code      int             `json:"code"`
	Initiator string          `json:"initiator"`
	Request   struct {
		URI    string `json:"uri"`
		Remote string `json:"remote_addr"`
		Origin string `json:"origin"`
	} `json:"request"`
}

func startApp(t testing.TB) *app {
	a := &app{t: t}
	routes := http.NewServeMux()
	routes.HandleFunc("POST /callback", a.callback)
	routes.HandleFunc("GET /auth", a.auth)
	a.server = httptest.NewServer(routes)
	t.Cleanup(a.server.Close)
	return a
}

func (a *app) addr() string { return a.server.Listener.Addr().String() }

func (a *app) callback(_ http.ResponseWriter, r *http.Request) {
	var e event
	if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
		a.t.Errorf("an event is not JSON: %v", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events = append(a.events, e)
	switch e.Action {
	case "open":
		a.opened++
	case "close":
		a.closed++
	}
}

// nameless is a session of nobody in particular.
const nameless = "nameless"

// auth names the user of a session.
func (a *app) auth(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.asked = append(a.asked, r.Header.Clone())
	a.mu.Unlock()
	session, err := r.Cookie("session")
	switch {
	case err != nil:
		w.WriteHeader(http.StatusUnauthorized)
	case session.Value != nameless:
		w.Header().Set("X-User", session.Value)
	}
}

// await returns the first event, past or future, that match likes.
func (a *app) await(t testing.TB, what string, match func(event) bool) (found event) {
	t.Helper()
	seen := 0
	harness.Poll(t, what, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		for ; seen < len(a.events); seen++ {
			if found = a.events[seen]; match(found) {
				return true
			}
		}
		return false
	})
	return found
}

// open returns the open event with this URI, which each test chooses anew.
func (a *app) open(t testing.TB, uri string) event {
	t.Helper()
	return a.await(t, "the open event of "+uri, func(e event) bool { return e.Action == "open" && e.Request.URI == uri })
}

// close returns the close event of a connection.
func (a *app) close(t testing.TB, conn string) event {
	t.Helper()
	return a.await(t, "a close event", func(e event) bool { return e.Action == "close" && e.Conn == conn })
}

func (a *app) counts() (opened, closed int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.opened, a.closed
}
