package e2e_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"ws-gateway/e2e/harness"
)

func TestAnAnswerSpeaksToTheClientOnlyWhenAskedTo(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{false, true} {
		app := startApp(t)
		app.respond(func(c *call) reply {
			if c.event.Action != "message" {
				return reply{}
			}
			var answer struct{ Type, Body, Close string }
			_ = json.Unmarshal(c.event.Data, &answer)
			header := map[string]string{"Content-Type": answer.Type}
			if answer.Close != "" {
				header["X-Ws-Close"] = answer.Close
			}
			return reply{header: header, body: answer.Body}
		})
		var args []string
		if on {
			args = []string{"--callback-reply"}
		}
		g := startGateway(t, app, args...)
		c := g.Dial(t, "alice")
		c.Send(`{"type":"application/json","body":"{ \"n\" : 1.0 }"}`)
		c.Send(`{"type":"application/x-bytes","body":"raw"}`)
		c.Send(`{"type":"text/plain","body":"bye","close":"4001 signed out"}`)
		if !on {
			app.message("alice", 3)
			c.Send(`{"event":"ping"}`)
			c.Receive(`{"event":"pong"}`)
			continue
		}
		c.Receive(`{ "n" : 1.0 }`)
		c.ReceiveBinary("raw")
		c.Receive("bye")
		c.ClosedWith(4001, "signed out")
		app.closedAs(t, "alice", 4001, "app")
	}
}

func TestRepliesOfAnySizeUpToALimitReachTheClientAndOthersAreSaidOnce(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(func(c *call) reply {
		var n int
		if c.event.Action != "message" || json.Unmarshal(c.event.Data, &n) != nil {
			return reply{}
		}
		return reply{header: map[string]string{"Content-Type": "text/plain"}, body: strings.Repeat("x", n)}
	})
	for _, c := range []struct {
		max   string
		limit int
	}{{"", 64 << 10}, {"--callback-reply-max=1MiB", 1 << 20}, {"--callback-reply-max=10", 10}} {
		args := []string{"--callback-reply"}
		if c.max != "" {
			args = append(args, c.max)
		}
		g := startGateway(t, app, args...)
		alice := g.Connect(t, visitor{User: "alice" + c.max})
		alice.WS.SetReadLimit(2 << 20)
		for _, n := range []int{c.limit, c.limit + 1, 3 * c.limit, 1} { // one after the other
			alice.Send(fmt.Sprint(n))
		}
		alice.Receive(strings.Repeat("x", c.limit))
		alice.Receive("x")
		g.expectMetric(t, `ws_gateway_replies_spoilt_total{reason="too_long"}`, 2)
		g.logged(t, 1, "--callback-reply-max")
	}
}

// hasty is an app that answers a message and then, at once, calls the management API
// to send, for as long as clients talk to it.
type hasty struct {
	t       *testing.T
	ln      net.Listener
	serving sync.WaitGroup
	gateway string                              // host:port; set before the first client comes
	speak   func(e event) (answer, send string) // to a message; likewise
}

func startHasty(t *testing.T) *hasty {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hasty{t: t, ln: ln}
	h.serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			h.serving.Go(func() { h.serve(c) })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); h.serving.Wait() })
	return h
}

func (h *hasty) url() string { return "http://" + h.ln.Addr().String() + "/" }

// serve has a connection of its own to the API, so that nothing stands between
// the answer and the send.
func (h *hasty) serve(c net.Conn) {
	defer c.Close()
	var api net.Conn
	var answers *bufio.Reader
	requests := bufio.NewReader(c)
	for {
		request, err := http.ReadRequest(requests)
		if err != nil {
			break
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			break
		}
		var e event
		if err := json.Unmarshal(body, &e); err != nil {
			h.t.Errorf("%v: %s", err, body)
		}
		if api == nil {
			if api, err = net.Dial("tcp", h.gateway); err != nil {
				h.t.Error(err)
				break
			}
			answers = bufio.NewReader(api)
		}
		if e.Action != "message" {
			_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
			continue
		}
		answer, send := h.speak(e)
		call := fmt.Sprintf("POST /tapr/ws/conn/send HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(send), send)
		_, _ = io.WriteString(c, answer)
		_, _ = io.WriteString(api, call)
		response, err := http.ReadResponse(answers, nil)
		if err != nil {
			h.t.Error(err)
			break
		}
		_, _ = io.Copy(io.Discard, response.Body)
	}
	if api != nil {
		_ = api.Close()
	}
}

// replyAndSend replies to a message, and sends to its connection.
func replyAndSend(e event) (answer, send string) {
	text := bytes.Trim(e.Data, `"`)
	send = fmt.Sprintf(`{"payload":"sent %s","conn_id":"%s"}`, text, e.Conn)
	if bytes.HasSuffix(text, []byte("5")) { // now and then by user
		send = fmt.Sprintf(`{"payload":"sent %s","users":["%s"]}`, text, e.User)
	}
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\nreply %s", len("reply ")+len(text), text), send
}

func TestASendThatFollowsTheAnswerArrivesAfterTheReply(t *testing.T) {
	t.Parallel()
	app := startHasty(t)
	g := launch{args: []string{"--callback-reply", "--callback-url", app.url()}}.start(t)
	app.gateway, app.speak = g.Addr, replyAndSend
	const clients, messages = 16, 150
	var talking sync.WaitGroup
	for n := range clients {
		c := g.Dial(t, fmt.Sprint("user", n))
		talking.Go(func() {
			for i := range messages {
				c.Send(fmt.Sprintf("%q", fmt.Sprint(n, "-", i)))
			}
			for i := range messages {
				for _, want := range []string{fmt.Sprintf("reply %d-%d", n, i), fmt.Sprintf(`"sent %d-%d"`, n, i)} {
					kind, got, err := c.Read()
					if err != nil || kind != websocket.MessageText || got != want {
						t.Errorf("client %d got %v %q, %v; want %q", n, kind, got, err, want)
						return
					}
				}
			}
		})
	}
	talking.Wait()
	if n := strings.Count(g.Log.Tail(1000), `"level":"warn"`); n > 0 {
		t.Errorf("%d warnings", n)
	}
}

// batchApp takes batches and keeps their elements by connection, in order.
type batchApp struct {
	server *httptest.Server
	watched
	sizes  []int
	events map[string][]event // by user
}

func startBatchApp(t *testing.T) *batchApp {
	t.Helper()
	a := &batchApp{events: map[string][]event{}}
	failing := 0
	a.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var elements []struct {
			event
			RequestID string `json:"request_id"`
			Cookie    string `json:"cookie"`
		}
		if err := json.NewDecoder(r.Body).Decode(&elements); err != nil {
			t.Errorf("not a batch: %v", err)
			return
		}
		a.Mu.Lock()
		defer a.Mu.Unlock()
		defer a.Changed()
		if failing++; failing%3 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		a.sizes = append(a.sizes, len(elements))
		if id := r.Header.Get("X-Request-Id"); id != elements[0].RequestID || r.Header.Get("Cookie") != "" {
			t.Errorf("X-Request-Id is %q, that of the first event %q; Cookie %q", id, elements[0].RequestID, r.Header.Get("Cookie"))
		}
		for _, e := range elements {
			seen := a.events[e.User]
			if want := fmt.Sprintf("%s-%d", e.Conn, len(seen)+1); e.RequestID != want || e.Cookie != "of="+e.User {
				t.Errorf("got %s with cookie %q, want %s", e.RequestID, e.Cookie, want)
			}
			a.events[e.User] = append(seen, e.event)
		}
	}))
	t.Cleanup(a.server.Close)
	return a
}

func TestBatchesKeepEachConnectionsOrderThroughFailures(t *testing.T) {
	t.Parallel()
	app := startBatchApp(t)
	g := launch{args: []string{"--callback-batch=20", "--callback-linger=50ms", "--callback-url", app.server.URL}}.start(t)
	const clients, messages = 12, 40
	for n := range clients {
		user := fmt.Sprint("user", n)
		c := g.Connect(t, visitor{User: user, Cookie: "of=" + user})
		for i := range messages {
			c.Send(numbered(i))
		}
		c.Close(1000, "")
	}
	if !app.Await(harness.Patience, func() bool {
		for n := range clients {
			if len(app.events[fmt.Sprint("user", n)]) < messages+2 {
				return false
			}
		}
		return true
	}) {
		t.Fatal("not all events came")
	}
	app.Mu.Lock()
	defer app.Mu.Unlock()
	for user, events := range app.events {
		for i, e := range events {
			want := event{Action: "message"}
			switch i {
			case 0:
				want.Action = "open"
			case messages + 1:
				want.Action = "close"
			}
			if e.Action != want.Action || e.Action == "message" && string(e.Data) != numbered(i-1) {
				t.Errorf("event %d of %s is %s %s", i, user, e.Action, e.Data)
			}
		}
	}
	if posts := len(app.sizes); slices.Max(app.sizes) > 20 || posts > clients*(messages+2)/4 {
		t.Errorf("%d POSTs of up to %d events", posts, slices.Max(app.sizes))
	}
}

func TestBatchesAndRepliesAreRefusedTogether(t *testing.T) {
	t.Parallel()
	code, _, stderr := launch{args: []string{"--callback-url=http://127.0.0.1:1/", "--callback-batch=2", "--callback-reply"}}.runToEnd(t)
	if code != exitUsage || !strings.Contains(stderr, "--callback-reply") || !strings.Contains(stderr, "--callback-batch") {
		t.Errorf("exit code %d:\n%s", code, stderr)
	}
}

func TestTheAppCanBeBehindTLSAndAskForACertificate(t *testing.T) {
	t.Parallel()
	app := newApp(t)
	var unidentified atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS.PeerCertificates[0].Subject.CommonName != "ws-gateway test client" || r.Header.Get("X-Key") != "k, 1" {
			unidentified.Add(1)
		}
		app.ServeHTTP(w, r)
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	ca := harness.WriteFile(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	cert, err := filepath.Abs("testdata/tls/client.pem")
	if err != nil {
		t.Fatal(err)
	}
	g := launch{args: []string{"--callback-url", server.URL, "--callback-ca", ca, "--callback-cert", cert, "--callback-header=X-Key: k, 1"}}.start(t)
	c := g.Dial(t, "alice")
	c.Send(`1`)
	c.Close(1000, "")
	app.closed("alice")
	app.whole(t, app.opened("alice"))
	if n := unidentified.Load(); n > 0 {
		t.Errorf("%d requests without the certificate or the header", n)
	}
}

func TestTheAppCanListenOnAUnixSocket(t *testing.T) {
	t.Parallel()
	app := newApp(t)
	path := filepath.Join(t.TempDir(), "app.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: ln, Config: &http.Server{Handler: app}}
	server.Start()
	defer server.Close()
	g := launch{args: []string{"--callback-url", "unix:" + path + ":" + callbackPath}}.start(t)
	c := g.Dial(t, "alice")
	c.Send(`1`)
	c.Close(1000, "")
	if got := app.closed("alice").path; got != callbackPath {
		t.Errorf("the path is %s", got)
	}
	app.whole(t, app.opened("alice"))
}

func TestHeadersOfTheHandshakeGoWithEachEvent(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--forward-header=X-Tenant", "--forward-header=cookie", "--forward-header=Accept-Language")
	c := g.Connect(t, visitor{User: "alice", Cookie: "a=b; c", Header: map[string]string{"X-Tenant": "blue", "X-Other": "no"}})
	bare := g.Dial(t, "bob")
	c.Send(`1`)
	app.message("alice", 1)
	c.Close(1000, "")
	bare.Close(1000, "")
	app.closed("alice")
	app.closed("bob")
	for _, call := range app.attempts(func(*call) bool { return true }) {
		got := []string{call.header.Get("X-Tenant"), call.header.Get("Cookie"), call.header.Get("X-Other"), call.header.Get("Accept-Language")}
		want := []string{"blue", "a=b; c", "", ""}
		if call.event.User == "bob" {
			want = []string{"", "", "", ""}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s of %s came with %q, want %q", call.event.Action, call.event.User, got, want)
		}
	}
}

func TestHeadersThatAreTheGatewaysOwnAreRefusedWithoutShowingValues(t *testing.T) {
	t.Parallel()
	for _, arg := range []string{
		"--callback-header=Content-Length: " + secret, "--callback-header=Connection: " + secret, "--callback-header=X-Ws-Signature: " + secret,
		"--callback-header=" + secret, "--callback-header=X-A: " + secret + "\x01", "--forward-header=Transfer-Encoding", "--forward-header=Host",
	} {
		code, _, stderr := launch{args: []string{"--callback-url=http://127.0.0.1:1/", arg}}.runToEnd(t)
		option, _, _ := strings.Cut(arg, "=")
		if code != exitUsage || !strings.Contains(stderr, option) || strings.Contains(stderr, secret) {
			t.Errorf("%s: exit code %d:\n%s", option, code, stderr)
		}
	}
	code, stdout, _ := launch{args: []string{"--callback-url=http://127.0.0.1:1/", "--callback-header=X-A: " + secret, "--print-config"}}.runToEnd(t)
	if code != 0 || strings.Contains(stdout, secret) || !strings.Contains(stdout, "callback-header") {
		t.Errorf("--print-config: exit code %d:\n%s", code, stdout)
	}
}
