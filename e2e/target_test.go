package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"ws-gateway/e2e/harness"
)

// targeted is the opening handshake with another request target.
func (g *gateway) targeted(target string, lines ...string) string {
	return strings.Replace(g.handshake(lines...), "GET /ws ", "GET "+target+" ", 1) + "\r\n"
}

func TestAClientMayNameTheWholeURLInItsRequest(t *testing.T) {
	t.Parallel()
	app := newApp(t)
	app.start()
	g := startGateway(t, app)
	for target, uri := range map[string]string{
		"http://" + g.Addr + "/ws?x":            "/ws?x",
		"http://gateway.example/ws/":            "/ws/",
		"HTTP://[2001:db8::1]:80/ws?a=%2F?b":    "/ws?a=%2F?b",
		"http://another.example:1/ws?u=http://": "/ws?u=http://",
	} {
		r := g.raw(t)
		r.say(g.targeted(target, "X-Bfl-User: "+target))
		if response, body := r.response(); response.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%s answered %d %q", target, response.StatusCode, body)
		}
		open := app.awaitAccepted("the open event of "+target, func(c *call) bool { return c.event.Action == "open" && c.event.User == target })
		if open.event.Request == nil || open.event.Request.URI != uri {
			t.Errorf("%s: the open event says %s, want uri %q", target, open.body, uri)
		}
	}
}

func TestATargetThatCannotBeServedIsAnsweredClearlyAndNothingIsNormalised(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	for _, c := range []struct {
		line   string // method and target
		status int
		part   string
	}{
		{"GET https://" + g.Addr + "/ws", 400, "TLS ends in front"},
		{"GET ws://" + g.Addr + "/ws", 400, "only http is served"},
		{"GET http://user@" + g.Addr + "/ws", 400, "user name"},
		{"GET http:///ws", 400, "empty host"},
		{"GET http://:80/ws", 400, "empty host"},
		{"GET http://", 400, "empty host"},
		{"GET http://127.0.0.1:port/ws", 400, "bad host"},
		{"GET ws", 400, "neither a path"},
		{"GET " + g.Addr, 400, "neither a path"},
		{"CONNECT " + g.Addr, 400, "CONNECT is for proxies"},
		{"OPTIONS *", 400, "server as a whole"},
		{"GET http://127.0.0.1", 404, "no such route"},
		{"GET http://127.0.0.1/ws/../tapr/ws/conn/list", 404, "no such route"},
		{"GET http://127.0.0.1/%77s", 404, "no such route"},
		{"GET http://127.0.0.1//ws", 404, "no such route"},
		{"POST http://127.0.0.1/ws", 405, "GET"},
	} {
		r := g.raw(t)
		r.say(strings.Replace(g.handshake(), "GET /ws ", c.line+" ", 1) + "\r\n")
		response, body := r.response()
		if response.StatusCode != c.status || !strings.Contains(body, c.part) {
			t.Errorf("%s answered %d %q, want %d and %q", c.line, response.StatusCode, body, c.status, c.part)
		}
		if strings.Count(strings.TrimSpace(body), "\n") > 0 {
			t.Errorf("%s: more than one line: %q", c.line, body)
		}
	}
}

// RFC 9112, 3.2.2: the authority of the target counts for the Host header. A page
// whose name was rebound to this address must get nowhere with either.
func TestManagementLooksAtTheAuthorityOfTheTargetAndAtHost(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "admin.sock")
	shared, own := startPushOnly(t), startPushOnly(t, "--admin-listen", "unix:"+socket)
	ask := func(r *raw, target, host string) (int, string) {
		r.say("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
		response, body := r.response()
		return response.StatusCode, body
	}
	for _, c := range []struct {
		target, host string
		status       int
	}{
		{"http://localhost" + listPath, "127.0.0.1", 200},
		{"http://127.0.0.1:1" + listPath + "?user=x", "localhost", 200},
		{"http://evil.example" + listPath, "127.0.0.1", 403},
		{"http://127.0.0.1" + listPath, "evil.example", 403},
		{"http://evil.example" + listPath, "evil.example", 403},
		{"https://127.0.0.1" + listPath, "127.0.0.1", 400},
		{"http://evil.example/healthz", "evil.example", 200},
	} {
		if status, body := ask(shared.raw(t), c.target, c.host); status != c.status {
			t.Errorf("%s for %s answered %d %s, want %d", c.target, c.host, status, body, c.status)
		}
	}
	// Who may open the socket's file is no page.
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET http://any.example%s HTTP/1.1\r\nHost: any.example\r\nConnection: close\r\n\r\n", countPath)
	var status int
	if _, err := fmt.Fscanf(conn, "HTTP/1.1 %d", &status); err != nil || status != 200 {
		t.Errorf("over the socket: %d, %v", status, err)
	}
	// On a port of clients alone other paths lead nowhere, however they are written.
	if status, body := ask(own.raw(t), "http://127.0.0.1"+listPath, "127.0.0.1"); status != 404 {
		t.Errorf("beside --admin-listen: %d %s", status, body)
	}
}

func TestAnotherProtocolOnThePortIsNamedInOneLine(t *testing.T) {
	t.Parallel()
	shared, own := startPushOnly(t), startPushOnly(t, "--admin-listen", "127.0.0.1:0")
	ready, _ := own.Log.Await(harness.Patience, func(l logLine) bool { return l.Text("message") == "ready" })
	own.Addr = ready.Text("admin")
	for start, part := range map[string]string{
		"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n" + shared.handshake() + "\r\n":             "PROXY protocol is not spoken here",
		"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n":                                       "PROXY protocol is not spoken here",
		"PROXY UNKNOWN\r\n" + shared.handshake() + "\r\n":                                        "PROXY protocol is not spoken here",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01\xdc\x04\x01\xbb": "PROXY protocol is not spoken here",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("x", 100):                "TLS must end in front",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00":                   "HTTP/2 is not spoken here",
	} {
		for name, g := range map[string]*gateway{"shared": shared, "management's own": own} {
			r := g.raw(t)
			r.say(start)
			_ = r.CloseWrite()
			response, body, err := r.tryResponse()
			if err != nil || response.StatusCode/100 < 4 || !strings.Contains(body, part) || strings.Count(strings.TrimSpace(body), "\n") > 0 {
				t.Errorf("%s: %.40q: %v %q, want %q", name, start, err, body, part)
			}
		}
	}
}

// RFC 9110, 5.6.1.2: a recipient MUST parse and ignore a reasonable number of
// empty list elements.
func TestListHeadersMayBeEmptyOrHaveEmptyElements(t *testing.T) {
	t.Parallel()
	app := newApp(t)
	app.start()
	g := startGateway(t, app, "--trusted-proxies", "127.0.0.0/8", "--compression")
	const upgrade, connection = "Upgrade: websocket\r\n", "Connection: Upgrade\r\n"
	for name, c := range map[string]struct {
		head     string
		protocol string
		remote   string // of the open event; "" for the peer's own
	}{
		"Connection":               {g.replaced(connection, "Connection: , upgrade\r\n"), "", ""},
		"Connection twice":         {g.replaced(connection, "Connection:\r\nConnection: ,\t,Upgrade,\r\n"), "", ""},
		"Upgrade":                  {g.replaced(upgrade, "Upgrade: ,websocket , ,h2c\r\nUpgrade:\r\n"), "", ""},
		"no extension":             {g.handshake("Sec-WebSocket-Extensions:") + "\r\n", "", ""},
		"commas for extensions":    {g.handshake("Sec-WebSocket-Extensions: , ,") + "\r\n", "", ""},
		"no subprotocol":           {g.handshake("Sec-WebSocket-Protocol:") + "\r\n", "", ""},
		"commas for subprotocols":  {g.handshake("Sec-WebSocket-Protocol: ,", "Sec-WebSocket-Protocol:") + "\r\n", "", ""},
		"a subprotocol behind one": {g.handshake("Sec-WebSocket-Protocol: ,a") + "\r\n", "a", ""},
		"X-Forwarded-For":          {g.handshake("X-Forwarded-For: ,203.0.113.7, ,") + "\r\n", "", "203.0.113.7"},
		"no X-Forwarded-For":       {g.handshake("X-Forwarded-For:") + "\r\n", "", ""},
		"one beside Forwarded":     {g.handshake("X-Forwarded-For:", "Forwarded: ,for=203.0.113.8,") + "\r\n", "", "203.0.113.8"},
		"Forwarded beside it":      {g.handshake("Forwarded: ,", "X-Forwarded-For: 203.0.113.9") + "\r\n", "", "203.0.113.9"},
	} {
		t.Run(name, func(t *testing.T) {
			r := g.raw(t)
			r.say(strings.Replace(c.head, "\r\nHost:", "\r\nX-Bfl-User: "+name+"\r\nHost:", 1))
			response, body := r.response()
			if response.StatusCode != http.StatusSwitchingProtocols || response.Header.Get("Sec-WebSocket-Protocol") != c.protocol {
				t.Fatalf("status %d %q, subprotocol %q", response.StatusCode, body, response.Header.Get("Sec-WebSocket-Protocol"))
			}
			open := app.awaitAccepted("the open event of "+name, func(e *call) bool { return e.event.Action == "open" && e.event.User == name })
			want := c.remote
			if want == "" {
				want = r.LocalAddr().String()
			}
			if got := open.event.Request.RemoteAddr; got != want {
				t.Errorf("remote_addr %q, want %q", got, want)
			}
		})
	}
}
