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

	"ws-gateway/e2e/harness"
)

// stopped requires the last line of the log to say that the gateway has
// stopped, and returns it.
func (g *gateway) stopped(t testing.TB) logLine {
	t.Helper()
	lines := g.Log.All()
	if len(lines) == 0 || lines[len(lines)-1].Text("message") != "stopped" {
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
			c, _, err := g.TryConnect(t, visitor{User: fmt.Sprint("user", i)})
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
			defer func() { _ = c.WS.CloseNow() }()
			closed, err := c.Ended()
			if want := (websocket.CloseError{Code: 1001, Reason: "going away"}); err != nil || closed != want {
				t.Errorf("connection %d was closed with %v (%v), want %v", i, closed, err, want)
			}
		})
	}

	g.Signal(syscall.SIGTERM)
	harness.Poll(t, "readyz to say 503", func() bool { return g.get("/readyz").status == http.StatusServiceUnavailable })
	g.refuses(t, visitor{User: "late"}, http.StatusServiceUnavailable)
	if code := g.Wait(harness.Patience); code != 0 {
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
	if line := g.stopped(t); line.Number("events_undelivered") != 0 || line.Number("connections_closed") != n {
		t.Errorf("the last log line is %s", line.Raw)
	}
}

func TestSIGTERMSpreadsTheClosingOverTheDrainPeriod(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--drain-period", "4s")
	const n = 40
	ended := make(chan time.Time, n)
	for i := range n {
		c := g.Dial(t, fmt.Sprint("user", i))
		go func() { _, _ = c.Ended(); ended <- time.Now() }()
	}
	g.Signal(syscall.SIGTERM)
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
	if code := g.Wait(harness.Patience); code != 0 {
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
	c := g.Dial(t, "alice")
	for n := range 50 {
		c.Send(numbered(n))
	}
	if err := pingWhileReading(c); err != nil { // all of it has been read
		t.Fatal(err)
	}
	g.Signal(syscall.SIGTERM)
	c.ClosedWith(1001, "going away")
	close(release)
	if code := g.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	app.inOrder(t, "alice", 50)
	app.closedAs(t, "alice", 1001, "gateway")
}

// pingWhileReading sends a JSON ping and waits for its answer.
func pingWhileReading(c *client) error {
	if err := c.Write(websocket.MessageText, `{"event":"ping"}`); err != nil {
		return err
	}
	if _, got, err := c.Read(); err != nil || got != `{"event":"pong"}` {
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
		c := g.Connect(t, visitor{User: fmt.Sprint("user", u), Cookie: "id=" + secret})
		for n := range 3 {
			c.Send(numbered(n))
		}
		if err := pingWhileReading(c); err != nil {
			t.Fatal(err)
		}
	}
	const events = 5 * (1 + 3 + 1)
	start := time.Now()
	g.Signal(syscall.SIGTERM)
	if code := g.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("shutdown took %v, its timeout is 3s", took)
	}
	letters := deadLetters(t, dead)
	if len(letters) != events {
		t.Errorf("%d dead letters, want %d", len(letters), events)
	}
	if line := g.stopped(t); line.Number("events_undelivered") != events || line.Number("dead_letters") != events {
		t.Errorf("the last log line is %s, want %d events", line.Raw, events)
	}
}

func TestSIGTERMEndsInTimeThoughTheAppHangs(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(func(*call) reply { return reply{hold: make(chan struct{})} })
	g := startGateway(t, app, "--drain-period", "0s", "--shutdown-timeout", "2s", "--callback-timeout", "10m")
	g.Dial(t, "alice").Send(numbered(0))
	app.opened("alice")
	start := time.Now()
	g.Signal(syscall.SIGTERM)
	if code := g.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("shutdown took %v, its timeout is 2s", took)
	}
	if line := g.stopped(t); line.Number("events_undelivered") < 2 {
		t.Errorf("the last log line is %s", line.Raw)
	}
}

func TestAClientThatIgnoresItsCloseFrameDoesNotHoldUpTheShutdown(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--drain-period", "0s", "--close-timeout", "1s", "--shutdown-timeout", "20s")
	r := g.rawClient(t, "deaf")
	app.opened("deaf")
	g.Signal(syscall.SIGTERM)
	if code := g.Wait(harness.Patience); code != 0 {
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
	g.Dial(t, "alice")
	app.opened("alice")
	g.Signal(syscall.SIGTERM)
	if _, ok := g.Log.Await(harness.Patience, func(l logLine) bool { return l.Text("message") == "shutting down" }); !ok {
		t.Fatal("the log does not say that the gateway shuts down")
	}
	harness.Poll(t, "the gateway to end", func() bool { // a signal within a second of the first is the same wish
		if g.Running() {
			_ = g.Cmd.Process.Signal(syscall.SIGTERM)
		}
		return !g.Running()
	})
	if code := g.Wait(harness.Patience); code != 143 {
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
	c := g.Dial(t, "alice")
	app.opened("alice")
	g.Signal(syscall.SIGSTOP) // so that all are there when the first is dealt with
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGCONT} {
		g.Signal(s)
	}
	c.ClosedWith(1001, "going away")
	close(release)
	if code := g.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	app.closedAs(t, "alice", 1001, "gateway")
	if line := g.stopped(t); line.Number("events_undelivered") != 0 {
		t.Errorf("the last log line is %s", line.Raw)
	}
}

func TestSignalsThatAskForNothingDoNothing(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	for _, s := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGVTALRM, syscall.SIGPIPE, syscall.SIGHUP, syscall.SIGWINCH, syscall.SIGXFSZ, syscall.SIGXCPU, syscall.SIGPWR, syscall.SIGIO, syscall.Signal(40)} {
		g.Signal(s)
	}
	if _, ok := g.Log.Await(harness.Patience, func(l logLine) bool { return strings.HasPrefix(l.Text("message"), "SIGHUP: ") }); !ok {
		t.Error("SIGHUP is not in the log")
	}
	if a := g.get("/readyz"); a.status != http.StatusOK {
		t.Errorf("readyz: %d", a.status)
	}
	g.Signal(syscall.SIGTERM)
	if code := g.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestSIGINTStopsTheGatewayToo(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--drain-period", "0s")
	c := g.Dial(t, "alice")
	g.Signal(syscall.SIGINT)
	c.ClosedWith(1001, "going away")
	if code := g.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
