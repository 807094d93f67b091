//go:build proxies

package proxies

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"ws-gateway/e2e/harness"
)

// detours lead to a management route past a proxy that reads a path otherwise than
// the gateway does. ROUTE is the route, without the slash at its start.
var detours = []string{
	"/ROUTE", "//ROUTE", "///ROUTE", "/./ROUTE", "/%2FROUTE", "/%2fROUTE", `/\ROUTE`,
	"/ws/../ROUTE", "/ws/..//ROUTE", "/ws/./../ROUTE", "/ws//../ROUTE", "/ws/../../ROUTE",
	"/ws/%2e%2e/ROUTE", "/ws/%2E%2E/ROUTE", "/ws/.%2e/ROUTE", "/ws/%252e%252e/ROUTE", "/ws%2f..%2fROUTE", "/ws/..%2fROUTE", "/ws%2f../ROUTE",
	"/ws/ROUTE", "/ws//ROUTE", "/ws%2fROUTE", `/ws\..\ROUTE`, `/ws/..\ROUTE`, "/ws%5c..%5cROUTE",
	"/ws;/../ROUTE", "/ws/..;/ROUTE", "/ws;/ROUTE", "/ws/;/../ROUTE", "/ws;x=/../ROUTE",
	"/ws?/../ROUTE", "/ws#/../ROUTE", "/ws%3f/../ROUTE", "/ws%23/../ROUTE", "/ws%00/../ROUTE", "/ws%0a/../ROUTE", "/ws%20/../ROUTE",
	"/ROUTE?/../../../../ws", "/ROUTE#/../../../../ws", "/ROUTE;/../../../../../ws", "/ROUTE/../../../../ws", "/ROUTE/%2e%2e/%2e%2e/%2e%2e/%2e%2e/ws",
	"/ROUTE%2f..%2f..%2f..%2f..%2fws", "/ROUTE%3f/../../../../../ws", "/ROUTE%00/../../../../../ws", "/ROUTE/..;/..;/..;/..;/ws",
	"http://127.0.0.1/ROUTE", "http://127.0.0.1:40010/ROUTE", "http://localhost/ROUTE", "http://" + siteName + "/ROUTE", "http://" + siteName + "/ws/../ROUTE",
	"http://" + siteName + "//ROUTE", "http:///ROUTE", "HTTP://" + siteName + "/ROUTE", "ws://" + siteName + "/ROUTE", "//" + siteName + "/ROUTE",
	"ROUTE", "ws/../ROUTE", "@127.0.0.1/ROUTE", ":40010/ROUTE",
}

// routes are management's, each with what its answer has in it.
var routes = []struct{ method, path, body, shows string }{
	{"GET", "tapr/ws/conn/list", "", `"code"`},
	{"GET", "TAPR/WS/CONN/LIST", "", `"code"`},
	{"POST", "tapr/ws/conn/send", `{"all":true,"payload":"evil"}`, `"code"`},
	{"POST", "tapr/ws/conn/close", `{"all":true}`, `"code"`},
	{"GET", "tapr/ws/conn/count", "", `"code"`},
	{"GET", "metrics", "", "# HELP"},
	{"GET", "console/", "", "<html"},
	{"GET", "debug/pprof/heap", "", ""},
	{"GET", "healthz", "", "ok"},
	{"GET", "readyz", "", "ok"},
}

// The list must be able to find a way: the gateway itself answers each route.
func TestManagementAnswersThoseWhoReachIt(t *testing.T) {
	g := startGateway(t, harness.Binary(t), startApp(t), "--pprof")
	for _, r := range routes {
		if status, answer := g.call(r.method, "/"+r.path, r.body); status != http.StatusOK || !strings.Contains(answer, r.shows) {
			t.Errorf("%s /%s answered %d %.100q", r.method, r.path, status, answer)
		}
	}
}

// asUpgrade makes a request look like what proxies pass on.
const asUpgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

func TestManagementIsOutOfReachInEverySpelling(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		s := setUp(t, k, true, "--pprof")
		uri := target()
		bystander := connect(t, s.proxy.addr, uri, k.signIn("bob"))
		s.app.open(t, uri)
		for _, r := range routes {
			for _, detour := range detours {
				for _, asWhat := range []string{"", asUpgrade} {
					path := strings.ReplaceAll(detour, "ROUTE", r.path)
					s.attack(t, r.method, path, k.signIn("alice")+asWhat, r.body)
				}
			}
		}
		for _, head := range s.wire.recorded() {
			path, _, _ := strings.Cut(targetOf(head), "?")
			if path != "/ws" {
				t.Errorf("the proxy has passed on %q", targetOf(head))
			}
		}
		// Nobody has closed it, or sent to it.
		bystander.say(`{"event":"ping"}`)
		bystander.expect(`{"event":"pong"}`)
	})
}

func (s setting) attack(t *testing.T, method, path, lines, body string) {
	t.Helper()
	request := method + " " + path + " HTTP/1.1\r\nHost: " + siteName + "\r\n" + lines
	if !strings.Contains(lines, "Connection:") {
		request += "Connection: close\r\n"
	}
	if body != "" {
		request += "Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n"
	}
	c, status, answer := ask(t, s.proxy.addr, request+"\r\n"+body)
	defer c.Close()
	if status/100 == 2 {
		t.Errorf("%s %s answered %d %.100q", method, path, status, answer)
	}
	if strings.Contains(answer, `"code"`) {
		t.Errorf("%s %s: management answered %.100q", method, path, answer)
	}
}

// What stands behind a handshake that is refused, or in a body that it should not
// have, is nothing that anybody answers as a request of its own.
func TestNothingIsSmuggledBehindAHandshake(t *testing.T) {
	const inner = "GET /tapr/ws/conn/list HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
	noUpgrade := "GET /ws HTTP/1.1\r\nHost: " + siteName + "\r\n"
	chunked := "Transfer-Encoding: chunked\r\n"
	inChunk := strconv.FormatInt(int64(len(inner)), 16) + "\r\n" + inner + "\r\n0\r\n\r\n"
	length := "Content-Length: " + strconv.Itoa(len(inner)) + "\r\n"
	requests := map[string]func(signIn string) string{
		"behind an upgrade":      func(s string) string { return upgrade("/ws") + s + "\r\n" + inner },
		"behind a wrong version": func(s string) string { return strings.Replace(upgrade("/ws"), ": 13", ": 12", 1) + s + "\r\n" + inner },
		"behind no upgrade":      func(s string) string { return noUpgrade + s + "\r\n" + inner },
		"behind another protocol": func(s string) string {
			return noUpgrade + "Upgrade: h2c\r\nConnection: Upgrade\r\n" + s + "\r\n" + inner
		},
		"in an upgrade's body":         func(s string) string { return upgrade("/ws") + length + s + "\r\n" + inner },
		"in an upgrade's chunk":        func(s string) string { return upgrade("/ws") + chunked + s + "\r\n" + inChunk },
		"in a body":                    func(s string) string { return noUpgrade + length + s + "\r\n" + inner },
		"in a chunk":                   func(s string) string { return noUpgrade + chunked + s + "\r\n" + inChunk },
		"behind two lengths":           func(s string) string { return noUpgrade + "Content-Length: 0\r\n" + length + s + "\r\n" + inner },
		"behind an end that is no end": func(s string) string { return noUpgrade + length + chunked + s + "\r\n0\r\n\r\n" + inner },
		"behind a strange coding":      func(s string) string { return noUpgrade + "Transfer-Encoding: x, chunked\r\n" + s + "\r\n" + inChunk },
		"in a line that ends in LF": func(s string) string {
			return upgrade("/ws") + s + "X: a\n\nGET /tapr/ws/conn/list HTTP/1.1\nHost: 127.0.0.1\r\n\r\n"
		},
		"behind a handshake of HTTP/1.0": func(s string) string {
			return strings.Replace(upgrade("/ws"), "HTTP/1.1", "HTTP/1.0", 1) + s + "\r\n" + inner
		},
	}
	each(t, func(t *testing.T, k kind) {
		s := setUp(t, k, true)
		for name, request := range requests {
			t.Run(name, func(t *testing.T) {
				c := dial(t, s.proxy.addr)
				if _, err := io.WriteString(c, request(k.signIn("alice"))); err != nil {
					t.Fatal(err)
				}
				// The proxy may wait for more; that this is all it tells everybody.
				if err := c.CloseWrite(); err != nil {
					t.Fatal(err)
				}
				said, err := io.ReadAll(c.in)
				if err != nil && timedOut(err) {
					t.Fatalf("the connection does not end after %.300q", said)
				}
				if strings.Contains(string(said), `"code"`) {
					t.Errorf("management answered: %.500q", said)
				}
			})
		}
	})
}
