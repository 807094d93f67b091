package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// stopped requires the last line of the log to say that the gateway has
// stopped, and returns it.
func (g *gateway) stopped(t testing.TB) logLine {
	t.Helper()
	lines := g.log.all()
	if len(lines) == 0 || lines[len(lines)-1].text("message") != "stopped" {
		t.Fatal(`the last log line is not "stopped"`)
	}
	return lines[len(lines)-1]
}

func TestSIGTERMClosesTwoThousandConnectionsEachWith1001AndOneCloseEvent(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--drain-delay", "1s", "--drain-period", "2s")
	const n = 2000
	clients := make([]*client, n)
	var dialing sync.WaitGroup
	slots := make(chan struct{}, 50)
	for i := range clients {
		slots <- struct{}{}
		dialing.Go(func() {
			defer func() { <-slots }()
			c, _, err := g.tryConnect(t, visitor{user: fmt.Sprint("user", i)})
			if err != nil {
				t.Errorf("connection %d: %v", i, err)
				return
			}
			clients[i] = c
		})
	}
	dialing.Wait()
	if t.Failed() {
		return
	}
	var ends sync.WaitGroup
	for i, c := range clients {
		ends.Go(func() {
			defer func() { _ = c.ws.CloseNow() }()
			closed, err := c.ended()
			if want := (websocket.CloseError{Code: 1001, Reason: "going away"}); err != nil || closed != want {
				t.Errorf("connection %d was closed with %v (%v), want %v", i, closed, err, want)
			}
		})
	}

	g.signal(syscall.SIGTERM)
	poll(t, "readyz to say 503", func() bool { return g.get("/readyz").status == http.StatusServiceUnavailable })
	g.refuses(t, visitor{user: "late"}, http.StatusServiceUnavailable)
	if code := g.wait(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	ends.Wait()
	app.awaitThat("all close events", func() bool { return len(app.lives) == n && app.ended == n })
	for conn, l := range app.lives {
		if wrong := l.incomplete(); wrong != "" {
			t.Errorf("connection %s: %s", conn, wrong)
		}
		last := l.calls[len(l.calls)-1].event
		if last.Code != 1001 || last.Reason != "going away" || last.Initiator != "gateway" {
			t.Errorf("connection %s closed with %d %q by %q", conn, last.Code, last.Reason, last.Initiator)
		}
	}
	if line := g.stopped(t); line.number("events_undelivered") != 0 || line.number("connections_closed") != n {
		t.Errorf("the last log line is %s", line.raw)
	}
}

func TestSIGTERMSpreadsTheClosingOverTheDrainPeriod(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--drain-period", "4s")
	const n = 40
	ended := make(chan time.Time, n)
	for i := range n {
		c := g.dial(t, fmt.Sprint("user", i))
		go func() { _, _ = c.ended(); ended <- time.Now() }()
	}
	g.signal(syscall.SIGTERM)
	var first, last time.Time
	for i := range n {
		at := <-ended
		if i == 0 {
			first = at
		}
		last = at
	}
	if spread := last.Sub(first); spread < time.Second {
		t.Errorf("all were closed within %v of each other, want them spread over 4s", spread)
	}
	if code := g.wait(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestMessagesThatWereAcceptedBeforeSIGTERMAreDelivered(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	release := make(chan struct{})
	app.respond(func(c *call) reply {
		if c.event.Action == "open" {
			return reply{hold: release}
		}
		return reply{}
	})
	g := startGateway(t, app, "--drain-period", "0s")
	c := g.dial(t, "alice")
	for n := range 50 {
		c.send(numbered(n))
	}
	if err := pingWhileReading(c); err != nil { // all of it has been read
		t.Fatal(err)
	}
	g.signal(syscall.SIGTERM)
	c.closedWith(1001, "going away")
	close(release)
	if code := g.wait(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	app.inOrder(t, "alice", 50)
	app.closedAs(t, "alice", 1001, "gateway")
}

// pingWhileReading sends a JSON ping and waits for its answer.
func pingWhileReading(c *client) error {
	if err := c.write(websocket.MessageText, `{"event":"ping"}`); err != nil {
		return err
	}
	if _, got, err := c.read(); err != nil || got != `{"event":"pong"}` {
		return fmt.Errorf("the ping was answered with %q: %w", got, errors.Join(err))
	}
	return nil
}

func TestWhatSIGTERMCannotDeliverIsCountedAndGoesToTheDeadLetterFile(t *testing.T) {
	t.Parallel()
	app := newApp(t) // never up
	dead := t.TempDir() + "/dead.jsonl"
	g := startGateway(t, app, "--dead-letter", dead, "--drain-period", "0s", "--shutdown-timeout", "3s")
	for u := range 5 {
		c := g.connect(t, visitor{user: fmt.Sprint("user", u), cookie: "id=" + secret})
		for n := range 3 {
			c.send(numbered(n))
		}
		if err := pingWhileReading(c); err != nil {
			t.Fatal(err)
		}
	}
	const events = 5 * (1 + 3 + 1)
	start := time.Now()
	g.signal(syscall.SIGTERM)
	if code := g.wait(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("shutdown took %v, its timeout is 3s", took)
	}
	letters := deadLetters(t, dead)
	if len(letters) != events {
		t.Errorf("%d dead letters, want %d", len(letters), events)
	}
	if line := g.stopped(t); line.number("events_undelivered") != events || line.number("dead_letters") != events {
		t.Errorf("the last log line is %s, want %d events", line.raw, events)
	}
}

func TestSIGTERMEndsInTimeThoughTheAppHangs(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(func(*call) reply { return reply{hold: make(chan struct{})} })
	g := startGateway(t, app, "--drain-period", "0s", "--shutdown-timeout", "2s", "--callback-timeout", "10m")
	g.dial(t, "alice").send(numbered(0))
	app.opened("alice")
	start := time.Now()
	g.signal(syscall.SIGTERM)
	if code := g.wait(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("shutdown took %v, its timeout is 2s", took)
	}
	if line := g.stopped(t); line.number("events_undelivered") < 2 {
		t.Errorf("the last log line is %s", line.raw)
	}
}

func TestAClientThatIgnoresItsCloseFrameDoesNotHoldUpTheShutdown(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--drain-period", "0s", "--close-timeout", "1s", "--shutdown-timeout", "20s")
	r := g.rawClient(t, "deaf")
	app.opened("deaf")
	g.signal(syscall.SIGTERM)
	if code := g.wait(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	r.expect(fin|opClose, closePayload(1001, "going away"))
	r.expectEnd()
	app.closedAs(t, "deaf", 1001, "gateway")
}

func TestASecondSignalExitsAtOnce(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(func(*call) reply { return reply{hold: make(chan struct{})} })
	g := startGateway(t, app, "--shutdown-timeout", "10m", "--callback-timeout", "10m")
	g.dial(t, "alice")
	app.opened("alice")
	g.signal(syscall.SIGTERM)
	if _, ok := g.log.await(patience, func(l logLine) bool { return l.text("message") == "shutting down" }); !ok {
		t.Fatal("the log does not say that the gateway shuts down")
	}
	poll(t, "the gateway to end", func() bool { // a signal within a second of the first is the same wish
		if g.running() {
			_ = g.cmd.Process.Signal(syscall.SIGTERM)
		}
		return !g.running()
	})
	if code := g.wait(patience); code != 143 {
		t.Errorf("exit code %d, although events were left behind", code)
	}
}

func TestSignalsThatComeTogetherAreOneWish(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	release := make(chan struct{})
	app.respond(func(c *call) reply {
		if c.event.Action == "close" {
			return reply{hold: release}
		}
		return reply{}
	})
	g := startGateway(t, app, "--drain-period", "0s")
	c := g.dial(t, "alice")
	app.opened("alice")
	g.signal(syscall.SIGSTOP) // so that all are there when the first is dealt with
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGCONT} {
		g.signal(s)
	}
	c.closedWith(1001, "going away")
	close(release)
	if code := g.wait(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	app.closedAs(t, "alice", 1001, "gateway")
	if line := g.stopped(t); line.number("events_undelivered") != 0 {
		t.Errorf("the last log line is %s", line.raw)
	}
}

func TestSignalsThatAskForNothingDoNothing(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	for _, s := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGVTALRM, syscall.SIGPIPE, syscall.SIGHUP, syscall.SIGWINCH, syscall.SIGXFSZ, syscall.SIGXCPU, syscall.SIGPWR, syscall.SIGIO, syscall.Signal(40)} {
		g.signal(s)
	}
	if _, ok := g.log.await(patience, func(l logLine) bool { return strings.HasPrefix(l.text("message"), "SIGHUP: ") }); !ok {
		t.Error("SIGHUP is not in the log")
	}
	if a := g.get("/readyz"); a.status != http.StatusOK {
		t.Errorf("readyz: %d", a.status)
	}
	g.signal(syscall.SIGTERM)
	if code := g.wait(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestSIGINTStopsTheGatewayToo(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--drain-period", "0s")
	c := g.dial(t, "alice")
	g.signal(syscall.SIGINT)
	c.closedWith(1001, "going away")
	if code := g.wait(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
