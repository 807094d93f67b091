package e2e_test

import (
	"fmt"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"ws-gateway/e2e/harness"
)

// asleep stops the process (SIGSTOP) for d, as a paused virtual machine or a laptop's
// lid would, and does meanwhile what others do.
func (g *gateway) asleep(t testing.TB, d time.Duration, meanwhile func()) {
	t.Helper()
	g.Signal(syscall.SIGSTOP)
	over := time.After(d)
	meanwhile()
	<-over
	g.Signal(syscall.SIGCONT)
}

// pinger pings for raw clients.
type pinger struct {
	mu      sync.Mutex
	clients []*raw
}

func (p *pinger) add(r *raw) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clients = append(p.clients, r)
}

func (p *pinger) ping() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.clients {
		_, _ = r.Write([]byte(frame(fin|opPing, ""))) // one that was closed is found by the test
	}
}

// start pings again and again until stop.
func (p *pinger) start(every time.Duration) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				p.ping()
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}

func TestAProcessThatWasStoppedReadsWhatClientsSentBeforeItJudgesThem(t *testing.T) {
	t.Parallel()
	const healthy = 500
	app := startApp(t)
	g := startGateway(t, app, "--ping-timeout", "6s", "--handshake-timeout", "6s")
	p := new(pinger)
	stop := p.start(200 * time.Millisecond)
	for i := range healthy {
		p.add(g.rawClient(t, fmt.Sprint("healthy ", i)))
	}
	dead := g.rawClient(t, "dead")
	early := g.raw(t)
	early.say(g.handshake())
	p.ping()
	stop()
	g.asleep(t, 9*time.Second, func() {
		early.say("\r\n")
		p.ping()
	})
	stop = p.start(200 * time.Millisecond)
	defer func() { stop() }()
	if response, body := early.response(); response.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("a handshake that was complete before it went on was answered %d %q", response.StatusCode, body)
	} else {
		p.add(early)
	}
	if closed := app.closedAs(t, "dead", 1008, "gateway"); closed.event.Reason != "ping timeout" {
		t.Errorf("the dead one was closed for %q", closed.event.Reason)
	}
	dead.Close()
	if n := g.connections(); n != healthy+1 {
		t.Errorf("%d connections are left of %d that pinged", n, healthy+1)
	}
	g.logged(t, 1, "the process did not run for a while")
}

func TestAnAnswerThatCameWhileTheProcessWasStoppedCounts(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"one by one": nil, "with replies": {"--callback-reply"}, "pipelined": {"--callback-pipeline", "8", "--callback-concurrency", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := startApp(t)
			release := make(chan struct{})
			app.respond(func(c *call) reply {
				if c.is("message", "alice") && string(c.event.Data) == `"first"` {
					return reply{hold: release, body: "reply"}
				}
				return reply{}
			})
			g := startGateway(t, app, append([]string{"--callback-timeout", "5s"}, args...)...)
			c := g.Dial(t, "alice")
			c.Send(`"first"`)
			first := func(c *call) bool { return c.is("message", "alice") && string(c.event.Data) == `"first"` }
			app.awaitCall("the first message", first)
			g.asleep(t, 8*time.Second, func() { close(release) })
			c.Send(`"second"`)
			app.awaitAccepted("the second message", func(c *call) bool { return string(c.event.Data) == `"second"` })
			if n := len(app.attempts(first)); n != 1 {
				t.Errorf("the first message was sent %d times", n)
			}
			if name == "with replies" {
				c.Receive("reply")
			}
		})
	}
}

func TestAnEventIsNotGivenUpBecauseTheProcessWasStopped(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	var once sync.Once
	app.respond(func(c *call) reply {
		answer := reply{}
		if c.is("message", "alice") {
			once.Do(func() { answer.status = http.StatusServiceUnavailable })
		}
		return answer
	})
	g := startGateway(t, app, "--callback-retry-for", "5s")
	c := g.Dial(t, "alice")
	c.Send("1")
	app.awaitCall("the message", func(c *call) bool { return c.is("message", "alice") })
	g.asleep(t, 8*time.Second, func() {})
	app.awaitAccepted("the message", func(c *call) bool { return c.is("message", "alice") })
	if lost := g.Log.MatchingNow("failed for good"); len(lost) > 0 {
		t.Error(lost[0].Raw)
	}
}

func TestAShutdownDuringWhichTheProcessWasStoppedGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--drain-period", "2s", "--shutdown-timeout", "8s")
	var clients []*raw
	for i := range 20 {
		clients = append(clients, g.rawClient(t, fmt.Sprint("client ", i)))
	}
	g.Signal(syscall.SIGTERM)
	if _, ok := g.Log.Await(harness.Patience, func(l logLine) bool { return l.Text("message") == "shutting down" }); !ok {
		t.Fatal("it does not shut down")
	}
	g.asleep(t, 10*time.Second, func() {})
	for _, r := range clients {
		r.expectClose(1001)
	}
	if code := g.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if cut := g.Log.MatchingNow("cut off"); len(cut) > 0 {
		t.Error(cut[0].Raw)
	}
	for i := range clients {
		app.closedAs(t, fmt.Sprint("client ", i), 1001, "gateway")
	}
}
