package e2e_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"ws-gateway/e2e/harness"
)

func TestEverySuccessIsASuccessWhateverItsBody(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(func(c *call) reply {
		switch string(c.event.Data) {
		case numbered(0):
			return reply{status: http.StatusNoContent}
		case numbered(1):
			return reply{status: http.StatusCreated, body: "not JSON"}
		case numbered(2):
			return reply{body: strings.Repeat("x", 5<<20)}
		case numbered(3):
			return reply{header: map[string]string{"Connection": "close"}, body: "bye"}
		case numbered(4):
			return reply{status: 299, header: map[string]string{"Content-Type": "text/html", "Set-Cookie": "a=b"}, body: "<p>"}
		default:
			return reply{}
		}
	})
	g := startGateway(t, app)
	c := g.Dial(t, "alice")
	for n := range 6 {
		c.Send(numbered(n))
	}
	app.inOrder(t, "alice", 6)
	c.Close(1000, "") // and none of these bodies came back to the client
	app.closedAs(t, "alice", 1000, "client")
	if n := len(app.attempts(func(*call) bool { return true })); n != 8 {
		t.Errorf("%d attempts for 8 events", n)
	}
}

func TestConnectionsThatTheAppClosesBetweenEventsCostNothing(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	c := g.Dial(t, "alice")
	for n := range 50 {
		c.Send(numbered(n))
		app.message("alice", n+1)
		app.dropIdle()
	}
	app.inOrder(t, "alice", 50)
}

// oddApp is an app that answers each request, once it has read it, with bytes of
// the test's choice.
type oddApp struct {
	listener net.Listener
	serving  sync.WaitGroup

	watched           // guards what follows
	requests []string // X-Request-Id of each
}

// startOddApp gives the n-th request of all, counted from 0, the answer that the
// test names, on a connection that it keeps open as long as the gateway does;
// hangUp is an answer.
func startOddApp(t testing.TB, answer func(n int) string) *oddApp {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &oddApp{listener: listener}
	a.serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			a.serving.Go(func() { a.serve(conn, answer) })
		}
	})
	t.Cleanup(func() { listener.Close(); a.serving.Wait() })
	return a
}

func (a *oddApp) serve(conn net.Conn, answer func(n int) string) {
	defer conn.Close()
	_ = conn.SetDeadline(harness.Soon())
	in := bufio.NewReader(conn)
	for {
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			return
		}
		a.Mu.Lock()
		n := len(a.requests)
		a.requests = append(a.requests, request.Header.Get("X-Request-Id"))
		a.Changed()
		a.Mu.Unlock()
		text := answer(n)
		_, _ = io.WriteString(conn, strings.TrimSuffix(text, hangUp))
		if strings.HasSuffix(text, hangUp) {
			return
		}
	}
}

// hangUp at the end of an answer closes the connection after it.
const hangUp = "<hang up>"

const plainOK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

func (a *oddApp) gateway(t testing.TB, args ...string) *gateway {
	t.Helper()
	return launch{args: append([]string{"--listen", "127.0.0.1:0", "--callback-url",
		"http://" + a.listener.Addr().String() + "/x"}, args...)}.start(t)
}

func TestEveryFormOfAnHTTPAnswerIsUnderstood(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"plain":                   plainOK,
		"no content":              "HTTP/1.1 204 No Content\r\n\r\n",
		"without a reason":        "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
		"lower case":              "HTTP/1.1 200 ok\r\ncontent-length: 2\r\n\r\nhi",
		"chunked":                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n5;ext=1\r\nthere\r\n0\r\n\r\n",
		"chunked with a trailer":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n",
		"continue first":          "HTTP/1.1 100 Continue\r\n\r\n" + plainOK,
		"early hints first":       "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + plainOK,
		"until the end":           "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end" + hangUp,
		"HTTP/1.0":                "HTTP/1.0 200 OK\r\n\r\nbody" + hangUp,
		"HTTP/1.0 with a length":  "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody" + hangUp,
		"HTTP/1.0 kept alive":     "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\nbody",
		"close":                   "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody" + hangUp,
		"close, but open":         "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody",
		"keep-alive, but closed":  plainOK + hangUp,
		"a body of a megabyte":    "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n" + strings.Repeat("x", 1<<20),
		"a megabyte of chunks":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("400\r\n"+strings.Repeat("x", 1024)+"\r\n", 1024) + "0\r\n\r\n",
		"many fields":             "HTTP/1.1 200 OK\r\n" + strings.Repeat("Set-Cookie: a=b\r\n", 100) + "Content-Length: 0\r\n\r\n",
		"bare line feeds":         "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
		"mixed line ends":         "HTTP/1.1 200 OK\r\nX: a\nContent-Length: 2\r\n\nok",
		"stray carriage returns":  "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
		"a body that never ends":  "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
		"a head that never ends":  "HTTP/1.1 200 OK\r\nX: a",
		"two lengths":             "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok",
		"a NUL":                   "HTTP/1.1 200 OK\r\nX: \x00\r\nContent-Length: 0\r\n\r\n",
		"a body that is cut":      "HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\ncut" + hangUp,
		"a chunk that is garbage": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + hangUp,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			odd := startOddApp(t, func(int) string { return answer })
			// An attempt may take so long that none of these may wait for its end.
			g := odd.gateway(t, "--drain-period", "0s", "--callback-timeout", "1h")
			c := g.Dial(t, "alice")
			const messages = 5
			for n := range messages {
				c.Send(numbered(n))
			}
			c.Close(1000, "")
			if !odd.Await(harness.Patience, func() bool { return len(odd.requests) >= messages+2 }) {
				t.Fatalf("%d requests, want %d", len(odd.requests), messages+2)
			}
			g.Signal(syscall.SIGTERM)
			if code := g.Wait(harness.Patience); code != 0 {
				t.Errorf("exit code %d", code)
			}
			seen := map[string]int{}
			for _, id := range odd.requests {
				seen[id]++
			}
			// A keep-alive that ends just then leaves open whether the app has seen
			// the request; so do answers that end in the middle.
			mayRepeat := strings.HasSuffix(answer, hangUp) && !strings.Contains(answer, "HTTP/1.0") && !strings.Contains(answer, "Connection: close")
			if len(seen) != messages+2 || len(odd.requests) != len(seen) && !mayRepeat {
				t.Errorf("%d requests for %d events, want %d", len(odd.requests), len(seen), messages+2)
			}
			if line := g.stopped(t); line.Number("events_undelivered") != 0 {
				t.Errorf("the last log line is %s", line.Raw)
			}
		})
	}
}

func TestAnAppThatSpeaksBrokenHTTPIsTriedAgainAndHarmsNobody(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"nothing":           hangUp,
		"garbage":           "\x00\x01\x02\r\n\r\n" + hangUp,
		"half a line":       "HTTP/1.1 20" + hangUp,
		"half a head":       "HTTP/1.1 200 OK\r\nContent-Le" + hangUp,
		"no status":         "HTTP/1.1 \r\n\r\n",
		"a status of words": "HTTP/1.1 OK\r\n\r\n",
		"a status too far":  "HTTP/1.1 2000000000000000000000 OK\r\n\r\n",
		"carriage returns":  "HTTP/1.1 200 OK\rContent-Length: 0\r\r",
		"empty lines":       strings.Repeat("\r\n", 10_000),
		"another protocol":  "SSH-2.0-OpenSSH_9.6\r\n",
		"an endless head":   "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) + hangUp,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			odd := startOddApp(t, func(n int) string {
				if n < 2 {
					return answer
				}
				return plainOK
			})
			g := odd.gateway(t, "--drain-period", "0s", "--callback-timeout", "1h")
			c := g.Dial(t, "alice")
			c.Send(`{}`)
			if err := pingWhileReading(c); err != nil {
				t.Error(err)
			}
			c.Close(1000, "")
			// The last log line of a shutdown says whether the events got through.
			g.Signal(syscall.SIGTERM)
			if code := g.Wait(harness.Patience); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if line := g.stopped(t); line.Number("events_undelivered") != 0 {
				t.Errorf("the last log line is %s", line.Raw)
			}
		})
	}
}

func TestWhatAURLCannotHoldIsEscaped(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ given, want string }{
		{"/p q/é?a b=\"c\"&d=%20%zz", "/p%20q/%C3%A9?a%20b=%22c%22&d=%20%25zz"},
		{"/x?[]{}|^`<>\\é\xff", "/x?%5B%5D%7B%7D%7C%5E%60%3C%3E%5C%C3%A9%FF"},
	} {
		app := startPostApp(t, nil)
		base := app.server.URL
		g := launch{args: []string{"--callback-url", base + c.given}}.start(t)
		g.Dial(t, "alice")
		app.awaitThat(t, "the open event", func() bool { return len(app.posts) == 1 })
		if got := app.posts[0].query; got != c.want {
			t.Errorf("%s was asked for as %s, want %s", c.given, got, c.want)
		}
		port := base[strings.LastIndexByte(base, ':')+1:]
		g = launch{env: []string{"WS_PORT=" + port, "WS_URL=" + c.given}}.start(t)
		g.Dial(t, "bob")
		app.awaitThat(t, "the open event", func() bool { return len(app.posts) == 2 })
		if got := app.posts[1].query; got != c.want {
			t.Errorf("WS_URL %s was asked for as %s, want %s", c.given, got, c.want)
		}
	}
	for _, given := range []string{"/a\tb", "/a?b\nc", "/a\x7f"} {
		code, _, stderr := launch{args: []string{"--callback-url", "http://127.0.0.1:1" + given}}.runToEnd(t)
		if code == 0 || !strings.Contains(stderr, "--callback-url") {
			t.Errorf("%q: exit code %d:\n%s", given, code, stderr)
		}
	}
}

func TestAStormOfConnectionsSendsListsAndClosesBreaksNothing(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	const clients, rounds = 60, 25
	stop := make(chan struct{})
	var callers, visitors sync.WaitGroup
	caller := func(ask func(round int) error) {
		callers.Go(func() {
			for round := 0; ; round++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := ask(round); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	expect := func(method, target, body, want string) error {
		a, err := g.tryRequest("http://"+g.Addr, method, target, body)
		if err != nil || a.status != http.StatusOK || !strings.HasPrefix(a.body, want) {
			return fmt.Errorf("%s %s answered %d %.200s: %w", target, body, a.status, a.body, errors.Join(err))
		}
		return nil
	}
	caller(func(round int) error {
		return expect("POST", sendPath, fmt.Sprintf(`{"payload":{"all":%d},"all":true}`, round), success)
	})
	caller(func(round int) error {
		return expect("POST", sendPath, fmt.Sprintf(`{"payload":{"some":%d},"users":["user%d","user%d"],"report":true}`, round, round%clients, (round+7)%clients), `{"code":0`)
	})
	caller(func(round int) error { return expect("GET", listPath+"?limit=10", "", `{"code":0`) })
	caller(func(round int) error {
		return expect("POST", closePath, fmt.Sprintf(`{"users":["user%d"],"code":4000}`, round%clients), success)
	})
	for u := range clients {
		visitors.Go(func() {
			for round := range rounds {
				c, _, err := g.TryConnect(t, visitor{User: fmt.Sprint("user", u), Cookie: fmt.Sprint("round=", round)})
				if err != nil {
					t.Error(err)
					return
				}
				var reading sync.WaitGroup
				reading.Go(func() { _, _ = c.Ended() })
				for n := range 5 {
					_ = c.Write(1, numbered(n)) // the storm may close it any time
				}
				_ = c.WS.CloseNow()
				reading.Wait()
			}
		})
	}
	visitors.Wait()
	close(stop)
	callers.Wait()
	app.awaitThat("a close event of everybody", func() bool { return app.ended == clients*rounds })
	app.Mu.Lock()
	defer app.Mu.Unlock()
	if n := len(app.lives); n != clients*rounds {
		t.Errorf("the app knows %d connections, want %d", n, clients*rounds)
	}
	for conn, l := range app.lives {
		if wrong := l.incomplete(); wrong != "" {
			t.Errorf("connection %s: %s", conn, wrong)
		}
	}
}

func TestManagementPeersThatNeverFinishTheirRequestHoldUpNobody(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	for range 300 {
		r := g.raw(t)
		r.say("POST " + sendPath + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{\"payload\":")
	}
	c := g.Dial(t, "alice")
	g.send(`{"payload":1,"users":["alice"]}`)
	c.Receive(`1`)
}
