package e2e_test

import (
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ws-gateway/e2e/harness"
)

func TestAClientThatVanishesIsClosedByThePingTimeoutWithOneCloseEvent(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--ping-timeout", "1s")
	start := time.Now()
	r := g.rawClient(t, "vanished") // and never says another word, not even FIN
	closed := app.closedAs(t, "vanished", 1008, "gateway")
	if closed.event.Reason != "ping timeout" {
		t.Errorf("reason %q, want %q", closed.event.Reason, "ping timeout")
	}
	if lived := time.Since(start); lived < time.Second {
		t.Errorf("closed after %v, before the timeout", lived)
	}
	r.expect(fin|opClose, closePayload(1008, "ping timeout"))
	r.expectEnd()
	if n := g.connections(); n != 0 {
		t.Errorf("%d connections are counted", n)
	}
}

// keeper is a way to stay connected, or an attempt that fails.
type keeper struct {
	user  string
	sends string // text that it sends several times in each timeout; "" for none
	lives bool
}

// outlives runs the keepers side by side for more than two timeouts and
// compares who is still connected with what the test says.
func outlives(t *testing.T, g *gateway, timeout time.Duration, keepers []keeper) {
	t.Helper()
	for _, k := range keepers {
		t.Run(k.user, func(t *testing.T) {
			t.Parallel()
			inTime(t, timeout, func(said func()) (closed bool) {
				c := g.Dial(t, k.user)
				said()
				ended := make(chan error, 1)
				go func() {
					closed, err := c.Ended()
					if err == nil && closed.Code != websocket.StatusPolicyViolation {
						err = closed
					}
					ended <- err
				}()
				again := time.NewTicker(timeout / 8)
				defer again.Stop()
				enough := time.After(timeout*5/2 + time.Second)
				for {
					select {
					case err := <-ended:
						if err != nil {
							t.Errorf("it was closed: %v", err)
						}
						return true
					case <-enough:
						_ = c.WS.CloseNow()
						<-ended
						return false
					case <-again.C:
						if k.sends != "" && c.Write(websocket.MessageText, k.sends) == nil { // the reader notices the end
							said()
						}
					}
				}
			}, k.lives)
		})
	}
}

// inTime has a client talk, which calls said whenever it has said something, and
// requires that it is still connected at the end, or is not. A client that is closed
// after it was itself silent for longer than the timeout, because it did not get a
// processor, proves nothing: another one tries.
func inTime(t *testing.T, timeout time.Duration, talk func(said func()) (closed bool), lives bool) {
	t.Helper()
	for range 20 {
		last, silence := time.Now(), time.Duration(0)
		said := func() {
			now := time.Now()
			last, silence = now, max(silence, now.Sub(last))
		}
		closed := talk(said)
		switch {
		case !closed && !lives:
			t.Error("it was not closed")
		case closed && lives && max(silence, time.Since(last)) < timeout:
			t.Errorf("it was closed, though it was never silent for longer than %v", silence)
		case closed && lives:
			t.Logf("the machine is busy: the client was silent for %v", silence)
			continue
		}
		return
	}
	t.Errorf("no client got a processor once in %v", timeout)
}

func TestPingsOfEitherKindKeepAConnectionAliveAndMessagesDoNot(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--ping-timeout", "2s")
	outlives(t, g, 2*time.Second, []keeper{
		{"silent", "", false},
		{"JSON pings", `{"event":"ping","data":{}}`, true},
		{"messages", `{}`, false},
	})
	// Ping and pong frames by hand: the library would need a reader beside them.
	for _, kind := range []byte{opPing, opPong} {
		t.Run(map[byte]string{opPing: "ping frames", opPong: "pong frames"}[kind], func(t *testing.T) {
			t.Parallel()
			inTime(t, 2*time.Second, func(said func()) (closed bool) {
				r := g.rawClient(t, "frames")
				said()
				again := time.NewTicker(250 * time.Millisecond)
				defer again.Stop()
				talk := func(kind byte, text string, answered bool) error {
					if _, err := io.WriteString(r, frame(fin|kind, text)); err != nil {
						return err
					}
					said()
					if !answered {
						return nil
					}
					first, payload, err := r.next()
					if err == nil && first == fin|opPong && payload != text {
						t.Errorf("the pong says %q", payload)
					}
					if err == nil && first != fin|opPong {
						err = fmt.Errorf("frame %#x %q", first, payload)
					}
					return err
				}
				for end := time.Now().Add(6 * time.Second); time.Now().Before(end); <-again.C {
					if talk(kind, "", kind == opPing) != nil {
						return true
					}
				}
				return talk(opPing, "alive", true) != nil
			}, true)
		})
	}
}

func TestWithKeepaliveAnyEveryFrameCounts(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--ping-timeout", "2s", "--keepalive", "any")
	outlives(t, g, 2*time.Second, []keeper{
		{"silent", "", false},
		{"JSON pings", `{"event":"ping","data":{}}`, true},
		{"messages", `{}`, true},
	})
}

func TestWithServerPingTheGatewayPingsAndThePongsCount(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--ping-timeout", "6s", "--server-ping", "1s")
	var pings atomic.Int32
	enough := make(chan struct{})
	c := g.Connect(t, visitor{User: "alice", OnPing: func() {
		if pings.Add(1) == 8 {
			close(enough)
		}
	}})
	ended := make(chan error, 1)
	go func() { _, err := c.Ended(); ended <- err }()
	select {
	case <-enough:
	case err := <-ended:
		t.Errorf("the connection ended after %d pings: %v", pings.Load(), err)
	case <-time.After(harness.Patience):
		t.Errorf("only %d pings came", pings.Load())
	}
	_ = c.WS.CloseNow()
	<-ended
}

func TestAStoppedReaderIsNotPunishedForItsPings(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	release := make(chan struct{})
	app.respond(func(c *call) reply {
		if c.is("message", "paused") {
			return reply{hold: release}
		}
		return reply{}
	})
	g := startGateway(t, app, "--ping-timeout", "3s", "--callback-queue", "4")
	c := g.Dial(t, "paused")
	for range 40 {
		c.Send(`{"queued":true}`)
	}
	// While the gateway does not read it, its pings cannot be seen. Others that
	// say nothing meanwhile are closed, twice over.
	for _, other := range []string{"silent 1", "silent 2"} {
		g.rawClient(t, other)
		app.closedAs(t, other, 1008, "gateway")
	}
	if n := g.connections(); n != 1 {
		t.Fatalf("%d connections, want the paused one", n)
	}
	c.Send(`{"event":"ping"}`) // it is seen after the messages, whenever that is
	close(release)
	app.message("paused", 40)
	c.Receive(`{"event":"pong"}`)
}
