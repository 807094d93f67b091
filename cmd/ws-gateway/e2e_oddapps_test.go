package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
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
	c := g.dial(t, "alice")
	for n := range 6 {
		c.send(numbered(n))
	}
	app.inOrder(t, "alice", 6)
	c.close(1000, "") // and none of these bodies came back to the client
	app.closedAs(t, "alice", 1000, "client")
	if n := len(app.attempts(func(*call) bool { return true })); n != 8 {
		t.Errorf("%d attempts for 8 events", n)
	}
}

func TestConnectionsThatTheAppClosesBetweenEventsCostNothing(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	c := g.dial(t, "alice")
	for n := range 50 {
		c.send(numbered(n))
		app.message("alice", n+1)
		app.dropIdle()
	}
	app.inOrder(t, "alice", 50)
}

// oddApp is an app that answers each request, once it has read it, with these
// bytes and nothing else, and closes the connection after some of them.
type oddApp struct {
	listener net.Listener
	serving  sync.WaitGroup
}

// startOddApp serves n requests with answer; further ones get 200.
func startOddApp(t testing.TB, answer string, n int) *oddApp {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &oddApp{listener: listener}
	requests := make(chan struct{}, n)
	for range n {
		requests <- struct{}{}
	}
	a.serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			a.serving.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(soon())
				request, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, request.Body)
				select {
				case <-requests:
					_, _ = io.WriteString(conn, answer)
				default:
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				}
			})
		}
	})
	t.Cleanup(func() { listener.Close(); a.serving.Wait() })
	return a
}

func TestAnAppThatSpeaksBrokenHTTPIsTriedAgainAndHarmsNobody(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"nothing":           "",
		"garbage":           "\x00\x01\x02\r\n\r\n",
		"half a line":       "HTTP/1.1 20",
		"half a head":       "HTTP/1.1 200 OK\r\nContent-Le",
		"no status":         "HTTP/1.1 \r\n\r\n",
		"a status of words": "HTTP/1.1 OK\r\n\r\n",
		"an endless head":   "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			odd := startOddApp(t, answer, 2)
			g := launch{args: []string{"--listen", "127.0.0.1:0", "--callback-url", "http://" + odd.listener.Addr().String() + "/x", "--drain-period", "0s"}}.start(t)
			c := g.dial(t, "alice")
			c.send(`{}`)
			if err := pingWhileReading(c); err != nil {
				t.Error(err)
			}
			c.close(1000, "")
			// The last log line of a shutdown says whether the events got through.
			g.signal(15)
			if code := g.wait(patience); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if line := g.stopped(t); line.number("events_undelivered") != 0 {
				t.Errorf("the last log line is %s", line.raw)
			}
		})
	}
}

func TestAStormOfConnectionsSendsListsAndClosesBreaksNothing(t *testing.T) {
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
		a, err := g.tryRequest("http://"+g.addr, method, target, body)
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
				c, _, err := g.tryConnect(t, visitor{user: fmt.Sprint("user", u), cookie: fmt.Sprint("round=", round)})
				if err != nil {
					t.Error(err)
					return
				}
				var reading sync.WaitGroup
				reading.Go(func() { _, _ = c.ended() })
				for n := range 5 {
					_ = c.write(1, numbered(n)) // the storm may close it any time
				}
				_ = c.ws.CloseNow()
				reading.Wait()
			}
		})
	}
	visitors.Wait()
	close(stop)
	callers.Wait()
	app.awaitThat("a close event of everybody", func() bool { return app.ended == clients*rounds })
	app.mu.Lock()
	defer app.mu.Unlock()
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
	c := g.dial(t, "alice")
	g.send(`{"payload":1,"users":["alice"]}`)
	c.receive(`1`)
}
