package e2e_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"ws-gateway/e2e/harness"
)

func TestAnUpgradeOnTheClientPathIsAnswered101(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	for name, target := range map[string]string{"plain": "/ws", "slash": "/ws/", "query": "/ws?room=1&x=%2F"} {
		t.Run(name, func(t *testing.T) {
			c := g.Connect(t, visitor{User: name, Target: target})
			if c.Response.StatusCode != http.StatusSwitchingProtocols {
				t.Errorf("status %d", c.Response.StatusCode)
			}
			open := app.awaitCall("open", func(c *call) bool { return c.is("open", name) })
			if open.event.Request == nil || open.event.Request.URI != target {
				t.Errorf("the open event says %s, want uri %q", open.body, target)
			}
		})
	}
}

func TestAnotherClientPathCanBeConfigured(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--path", "/live/socket")
	g.Connect(t, visitor{Target: "/live/socket?x=1"})
	if a := g.get("/ws"); a.status != http.StatusNotFound {
		t.Errorf("/ws answered %d", a.status)
	}
}

func TestAPathIsTheClientPathOnlyLetterByLetter(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	for _, target := range []string{
		"/WS", "/Ws", "/wss", "/ws/x", "/ws//", "//ws", "/%77s", "/ws%2F", "/ws;x",
		"/x/../ws", "/./ws", "/ws/..", "/ws/../ws", "/ws/../tapr/ws/conn/list", "/ws/%2e%2e/tapr/ws/conn/list", "/",
	} {
		r := g.raw(t)
		r.say(strings.Replace(g.handshake(), "GET /ws ", "GET "+target+" ", 1) + "\r\n")
		if response, _ := r.response(); response.StatusCode != http.StatusNotFound {
			t.Errorf("%s answered %d, want 404", target, response.StatusCode)
		}
	}
}

func TestAGetWithoutAnUpgradeIsAnswered426(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	for name, head := range map[string]string{
		"plain":              "GET /ws HTTP/1.1\r\nHost: x\r\n\r\n",
		"with slash":         "GET /ws/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"with query":         "GET /ws?x=1 HTTP/1.1\r\nHost: x\r\n\r\n",
		"connection only":    "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
		"upgrade to another": "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := g.raw(t)
			r.say(head)
			response, _ := r.response()
			if response.StatusCode != http.StatusUpgradeRequired {
				t.Errorf("status %d, want 426", response.StatusCode)
			}
			if got := response.Header.Get("Upgrade"); got != "websocket" {
				t.Errorf("Upgrade: %q", got)
			}
			if got := response.Header.Get("Sec-WebSocket-Version"); got != "13" {
				t.Errorf("Sec-WebSocket-Version: %q", got)
			}
		})
	}
}

// replaced returns the handshake with one of its lines changed.
func (g *gateway) replaced(old, new string) string {
	return strings.Replace(g.handshake(), old, new, 1) + "\r\n"
}

func TestABadHandshakeIsAnsweredWithWhatIsWrong(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	const version = "Sec-WebSocket-Version: 13\r\n"
	const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, bad := range []struct {
		name   string
		head   string
		status int
	}{
		{"another version", g.replaced(version, "Sec-WebSocket-Version: 8\r\n"), 400},
		{"no version", g.replaced(version, ""), 400},
		{"no key", g.replaced(key, ""), 400},
		{"a key that is not base64", g.replaced(key, "Sec-WebSocket-Key: ????????????????????????\r\n"), 400},
		{"a key of 14 bytes", g.replaced(key, "Sec-WebSocket-Key: c2l4dGVlbiBieXRlcyE=\r\n"), 400},
		{"two keys", g.replaced(key, key+key), 400},
		{"two users", g.handshake("X-Bfl-User: alice", "x-bfl-user: bob") + "\r\n", 400},
		{"two empty users", g.handshake("X-Bfl-User:", "X-BFL-USER:") + "\r\n", 400},
		{"no host", g.replaced("Host: "+g.Addr+"\r\n", ""), 400},
		{"two hosts", g.replaced("Host: "+g.Addr+"\r\n", "Host: a\r\nHost: b\r\n"), 400},
		{"blank before the colon", g.handshake("X-Thing : a") + "\r\n", 400},
		{"a line without a colon", g.handshake("nonsense") + "\r\n", 400},
		{"an empty name", g.handshake(": x") + "\r\n", 400},
		{"a folded line", g.handshake("X-Thing: a", " b") + "\r\n", 400},
		{"a control character in a value", g.handshake("X-Thing: a\x00b") + "\r\n", 400},
		{"a bare carriage return in a value", g.handshake("X-Thing: a\rb") + "\r\n", 400},
		{"a control character in the name", g.handshake("X-Th\x01ing: a") + "\r\n", 400},
		{"a body", g.handshake("Content-Length: 5") + "\r\nhello", 400},
		{"a chunked body", g.handshake("Transfer-Encoding: chunked") + "\r\n0\r\n\r\n", 400},
		{"HTTP/1.0", g.replaced("HTTP/1.1", "HTTP/1.0"), 400},
		{"POST", g.replaced("GET", "POST"), 405},
		{"PUT", g.replaced("GET", "PUT"), 405},
		{"an unknown method", g.replaced("GET", "BREW"), 405},
	} {
		t.Run(bad.name, func(t *testing.T) {
			r := g.raw(t)
			r.say(bad.head)
			response, body := r.response()
			if response.StatusCode != bad.status {
				t.Errorf("status %d %q, want %d", response.StatusCode, body, bad.status)
			}
			body = strings.TrimSuffix(body, "\n")
			if body == "" || strings.Contains(body, "\n") {
				t.Errorf("the body is %q, want one line that says what is wrong", body)
			}
			if bad.status == http.StatusMethodNotAllowed && !strings.Contains(response.Header.Get("Allow"), "GET") {
				t.Errorf("Allow: %q", response.Header.Get("Allow"))
			}
		})
	}
}

func TestGarbageInsteadOfARequestIsAnswered400(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	for name, garbage := range map[string]string{
		"words":                "hello there\r\n\r\n",
		"tls":                  "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"no target":            "GET HTTP/1.1\r\nHost: x\r\n\r\n",
		"two blanks":           "GET  /ws HTTP/1.1\r\nHost: x\r\n\r\n",
		"another protocol":     "GET /ws SPDY/3\r\nHost: x\r\n\r\n",
		"a version too far":    "GET /ws HTTP/1.99999999999999999999\r\nHost: x\r\n\r\n",
		"a blank in the path":  "GET /ws /x HTTP/1.1\r\nHost: x\r\n\r\n",
		"a control in it":      "GET /ws\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
		"an empty target line": "GET \r\nHost: x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := g.raw(t)
			r.say(garbage)
			if response, _ := r.response(); response.StatusCode != http.StatusBadRequest {
				t.Errorf("status %d, want 400", response.StatusCode)
			}
			r.expectEnd()
		})
	}
	if !g.Running() {
		t.Error("the gateway died")
	}
}

func TestAHeadOverTheLimitIsAnswered431(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	r := g.raw(t)
	r.say(g.handshake("X-Big: " + strings.Repeat("a", 33<<10)))
	if response, _ := r.response(); response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a head of 33 KiB: status %d, want 431", response.StatusCode)
	}
	g.Connect(t, visitor{Cookie: "big=" + strings.Repeat("a", 30<<10)})

	small := startPushOnly(t, "--max-header-bytes", "1KiB")
	r = small.raw(t)
	r.say(small.handshake("X-Big: "+strings.Repeat("a", 1<<10)) + "\r\n")
	if response, _ := r.response(); response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a head over 1 KiB: status %d, want 431", response.StatusCode)
	}
}

func TestTwoMillionBytesOfHeaderAreAnswered431(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	flood := map[string]string{
		"one value":   g.handshake() + "X-Big: " + strings.Repeat("a", 2_000_000),
		"many lines":  g.handshake() + strings.Repeat("X-Line: value\r\n", 2_000_000/15),
		"one target":  "GET /" + strings.Repeat("a", 2_000_000),
		"empty lines": strings.Repeat("\r\n", 1_000_000),
	}
	for name, bytes := range flood {
		t.Run(name, func(t *testing.T) {
			r := g.raw(t)
			written := make(chan struct{})
			go func() { defer close(written); _, _ = io.WriteString(r, bytes) }()
			response, _, err := r.tryResponse()
			r.Close()
			<-written
			if err != nil {
				t.Fatalf("no answer: %v", err)
			}
			if s := response.StatusCode; s != 431 && (s != 400 || name != "empty lines") && (s != 414 || name != "one target") {
				t.Errorf("status %d, want 431", s)
			}
		})
	}
	g.Connect(t, visitor{User: "still served"})
}

func TestAHeadThatIsNotCompleteInTimeEndsTheConnection(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--handshake-timeout", "1s")
	for name, part := range map[string]string{
		"nothing":        "",
		"half a line":    "GET /w",
		"half a head":    g.handshake(),
		"a blank line":   "\r\n",
		"not for us too": "GET /tapr/ws/conn/list HTTP/1.1\r\nHost: 127.0.0.1\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := g.raw(t)
			r.say(part)
			// Whether a word of farewell is said is open; that it ends is not.
			_, _ = io.Copy(io.Discard, r.in)
			r.expectEnd()
		})
	}
}

func TestAHandshakeMayComeInPiecesAndWithFramesBehindIt(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	r := g.raw(t)
	if err := r.SetNoDelay(true); err != nil {
		t.Fatal(err)
	}
	head := g.handshake("X-Bfl-User: pieces") + "\r\n"
	for i := range len(head) - 1 {
		r.say(head[i : i+1])
	}
	r.say(head[len(head)-1:] + frame(fin|opText, `{"n":1}`) + frame(fin|opText, `{"n":2}`))
	if response, _ := r.response(); response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("status %d", response.StatusCode)
	}
	for n := 1; n <= 2; n++ {
		if got, want := string(app.message("pieces", n).event.Data), `{"n":`+strconv.Itoa(n)+`}`; got != want {
			t.Errorf("message %d is %s, want %s", n, got, want)
		}
	}
	third := frame(fin|opText, `{"n":3}`)
	for i := range len(third) {
		r.say(third[i : i+1])
	}
	if got := string(app.message("pieces", 3).event.Data); got != `{"n":3}` {
		t.Errorf("message 3 is %s", got)
	}
}

func TestHandshakesAsBrowsersAndProxiesWriteThemAreAccepted(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	const upgrade, connection = "Upgrade: websocket\r\n", "Connection: Upgrade\r\n"
	for name, head := range map[string]string{
		"firefox":          g.replaced(connection, "Connection: keep-alive, Upgrade\r\n"),
		"lower case":       strings.ToLower(g.handshake()[len("GET /ws HTTP/1.1\r\n"):]),
		"mixed case":       g.replaced(upgrade, "uPGRADE: WebSocket\r\n"),
		"two lines":        g.replaced(connection, "Connection: keep-alive\r\nConnection: upgrade\r\n"),
		"blanks":           g.replaced(upgrade, "Upgrade:\t  websocket \t \r\n"),
		"a forwarder":      g.handshake("X-Forwarded-For: 203.0.113.7", "Via: 1.1 proxy", "X-Forwarded-Proto: https") + "\r\n",
		"no length":        g.handshake("Content-Length: 0") + "\r\n",
		"extensions":       g.handshake("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-other") + "\r\n",
		"two protocols":    g.handshake("Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Protocol: c") + "\r\n",
		"a hundred fields": g.handshake(strings.Split(strings.Repeat("X-Field: value\n", 100)+"X-Last: value", "\n")...) + "\r\n",
		"latin 1":          g.handshake("X-Name: caf\xe9") + "\r\n",
		"an empty value":   g.handshake("X-Empty:") + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := g.raw(t)
			if name == "lower case" {
				// Tokens have no case, but the key does.
				head = "GET /ws HTTP/1.1\r\n" + strings.Replace(head, strings.ToLower("dGhlIHNhbXBsZSBub25jZQ=="), "dGhlIHNhbXBsZSBub25jZQ==", 1) + "\r\n"
			}
			r.say(head)
			response, body := r.response()
			if response.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("status %d %q", response.StatusCode, body)
			}
			if got := response.Header.Get("Sec-WebSocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
				t.Errorf("Sec-WebSocket-Accept: %q", got)
			}
		})
	}
}

func TestBothFamiliesOfLoopbackAddressesAreServed(t *testing.T) {
	t.Parallel()
	g := launch{args: []string{"--no-callback", "--listen", "[::1]:0"}}.start(t)
	c := g.Dial(t, "alice")
	g.send(`{"payload":1,"users":["alice"]}`)
	c.Receive(`1`)
	users, _ := g.list("")
	if got := users["alice"][0].RemoteAddr; got != c.Local() {
		t.Errorf("remoteAddr %q, want %q", got, c.Local())
	}
	both := launch{args: []string{"--no-callback", "--listen", ":0"}}.start(t)
	_, port, _ := strings.Cut(both.Addr, "]:")
	for _, addr := range []string{"127.0.0.1:" + port, "[::1]:" + port} {
		both.Addr = addr
		c := both.Dial(t, "alice")
		if got := c.Local(); !strings.Contains(both.get(listPath).body, `"`+got+`"`) {
			t.Errorf("the list does not name %s", got)
		}
	}
}

func TestAnOriginThatIsNotAllowedIsAnswered403(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--allowed-origins", "https://good.example,https://*.wide.example")
	for origin, want := range map[string]int{
		"https://good.example":        101,
		"https://a.wide.example":      101,
		"https://bad.example":         403,
		"http://good.example":         403,
		"https://good.example.evil":   403,
		"https://xgood.example":       403,
		"https://good.example:444":    403,
		"https://awide.example":       403,
		"https://evil/a.wide.example": 403,
		"null":                        403,
	} {
		c, response, err := g.TryConnect(t, visitor{Header: map[string]string{"Origin": origin}})
		if err == nil {
			_ = c.WS.CloseNow()
		}
		if response == nil || response.StatusCode != want {
			t.Errorf("origin %s: %v, want %d", origin, response, want)
		}
	}
	any := startPushOnly(t)
	any.Connect(t, visitor{Header: map[string]string{"Origin": "https://anywhere.example"}})
}

func TestOverMaxConnectionsUpgradesAreAnswered503(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--max-connections", "2")
	first := g.Dial(t, "a")
	g.Dial(t, "b")
	g.refuses(t, visitor{User: "c"}, http.StatusServiceUnavailable)
	first.Close(websocket.StatusNormalClosure, "")
	g.eventuallyAccepts(t, visitor{User: "d"})
}

func TestOverMaxConnectionsPerUserUpgradesAreAnswered429(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--max-connections-per-user", "2")
	first := g.Dial(t, "a")
	g.Dial(t, "a")
	g.refuses(t, visitor{User: "a"}, http.StatusTooManyRequests)
	g.Dial(t, "b")
	first.Close(websocket.StatusNormalClosure, "")
	g.eventuallyAccepts(t, visitor{User: "a"})
}

// refuses requires an upgrade to be refused with status, and with Retry-After
// where the refusal is one that passes.
func (g *gateway) refuses(t testing.TB, v visitor, status int) {
	t.Helper()
	c, response, err := g.TryConnect(t, v)
	if err == nil {
		_ = c.WS.CloseNow()
		t.Fatalf("the gateway took %q, want %d", v.User, status)
	}
	if response == nil {
		t.Fatalf("no answer: %v", err)
	}
	if response.StatusCode != status {
		t.Fatalf("status %d, want %d", response.StatusCode, status)
	}
	if status == http.StatusServiceUnavailable {
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err != nil || seconds < 1 {
			t.Errorf("Retry-After: %q, want whole seconds", response.Header.Get("Retry-After"))
		}
	}
}

// eventuallyAccepts dials until the gateway takes the connection.
func (g *gateway) eventuallyAccepts(t testing.TB, v visitor) {
	t.Helper()
	harness.Poll(t, "an upgrade of "+v.User, func() bool {
		c, _, err := g.TryConnect(t, v)
		if err == nil {
			_ = c.WS.CloseNow()
		}
		return err == nil
	})
}

func TestAUserIsRequiredOnlyWithRequireUser(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	lax := startGateway(t, app)
	lax.Connect(t, visitor{})
	if open := app.awaitCall("open", func(c *call) bool { return c.is("open", "") }); open.event.Action != "open" {
		t.Errorf("the open event is %s", open.body)
	}
	strict := startPushOnly(t, "--require-user")
	strict.refuses(t, visitor{}, http.StatusUnauthorized)
	strict.Dial(t, "alice")
}

func TestTheUserHeaderIsReadInAnyCase(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	for _, line := range []string{"X-Bfl-User: u1", "x-bfl-user:u2", "X-BFL-USER:  \t u3 \t"} {
		r := g.raw(t)
		r.say(g.handshake(line) + "\r\n")
		if response, _ := r.response(); response.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%q: status %d", line, response.StatusCode)
		}
	}
	for _, user := range []string{"u1", "u2", "u3"} {
		app.opened(user)
	}
	other := startGateway(t, app, "--user-header", "Remote-User")
	other.Connect(t, visitor{User: "ignored", Header: map[string]string{"remote-user": "other"}})
	app.opened("other")
}

func TestASubprotocolIsSelected(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		args    []string
		offered []string
		want    string
	}{
		{"none offered", nil, nil, ""},
		{"the first one", nil, []string{"chat.v2", "chat.v1"}, "chat.v2"},
		{"the first that is allowed", []string{"--subprotocols", "chat.v1,chat.v0"}, []string{"chat.v2", "chat.v1"}, "chat.v1"},
		{"none is allowed", []string{"--subprotocols", "chat.v1"}, []string{"chat.v2"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := startPushOnly(t, test.args...)
			c := g.Connect(t, visitor{Subprotocols: test.offered})
			if got := c.WS.Subprotocol(); got != test.want {
				t.Errorf("selected %q, want %q", got, test.want)
			}
		})
	}
}

func TestCompressionIsOffUnlessAskedFor(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	c := g.Connect(t, visitor{Header: map[string]string{"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}})
	if got := c.Response.Header.Get("Sec-WebSocket-Extensions"); got != "" {
		t.Errorf("Sec-WebSocket-Extensions: %q", got)
	}
}
