package e2e_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/coder/websocket"

	"ws-gateway/e2e/harness"
)

// replay runs the command to its end.
func replay(t *testing.T, app *app, file string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return replayOf(app, file, args...).runToEnd(t)
}

func replayOf(app *app, file string, args ...string) launch {
	return launch{args: append([]string{"replay", file, "--callback-url", app.url()}, args...)}
}

// letterFile writes the lives of so many connections to a dead-letter file, the
// events of all in turn: an open, messages and a close each.
func letterFile(t *testing.T, conns, events int) (path string) {
	t.Helper()
	var b strings.Builder
	for seq := 1; seq <= events; seq++ {
		action, more := "message", ""
		switch seq {
		case 1:
			action, more = "open", `,"request":{"uri":"/ws","remote_addr":"192.0.2.1:1","user_agent":"","origin":""}`
		case events:
			action, more = "close", `,"code":1000,"reason":"","initiator":"client"`
		}
		for conn := range conns {
			fmt.Fprintf(&b, `{"time":"2026-01-02T03:04:05Z","request_id":"c%d-%d","action":"%s","attempts":3,"error":"app unreachable","cookie":"id=%s%d",`+
				`"event":{"data":{},"action":"%[3]s","user_name":"u%[1]d","conn_id":"c%[1]d"%[6]s}}`+"\n", conn, seq, action, secret, conn, more)
		}
	}
	return harness.WriteFile(t, "dead.jsonl", b.String())
}

// wantReplayed requires each event of letterFile to have been accepted exactly
// once, with its number of attempts going on.
func wantReplayed(t *testing.T, app *app, conns, events int) {
	t.Helper()
	accepted := app.attempts((*call).accepted)
	if len(accepted) != conns*events {
		t.Errorf("%d events were accepted, want %d", len(accepted), conns*events)
	}
	for _, c := range accepted {
		if got := c.header.Get("X-Attempt"); got < "4" {
			t.Errorf("%s has X-Attempt %s", c.requestID, got)
		}
		if epoch := c.header.Values("X-Ws-Epoch"); len(epoch) > 0 {
			t.Errorf("a replay has the epoch %q", epoch)
		}
	}
	for conn := range conns {
		app.whole(t, fmt.Sprintf("c%d", conn))
	}
}

func TestAfterAnOutageReplayDeliversWhatFailed(t *testing.T) {
	t.Parallel()
	app := newApp(t) // down
	file := filepath.Join(t.TempDir(), "dead.jsonl")
	g := startGateway(t, app, "--dead-letter", file, "--callback-retry-for", "200ms", "--drain-period", "0s")
	const cookie = "id=" + secret + "\xff\xfe"
	var clients []*client
	for i := range 5 {
		c := g.Connect(t, visitor{User: fmt.Sprint("user", i), Cookie: cookie})
		clients = append(clients, c)
		c.Send(`{"n":1.50}`)
		c.SendBinary("\x00\x01")
		c.Send("plain \"text\"\n")
	}
	for _, c := range clients {
		c.Close(websocket.StatusNormalClosure, "bye")
	}
	harness.Poll(t, "all dead letters", func() bool { return len(deadLettersNow(file)) == 25 })
	g.Signal(syscall.SIGTERM)
	g.Wait(harness.Patience)
	for _, letter := range deadLetters(t, file) {
		if !strings.Contains(letter, `"cookie_base64":"`+base64.StdEncoding.EncodeToString([]byte(cookie))+`"`) {
			t.Errorf("the cookie is not kept as it was: %s", letter)
		}
	}

	app.start()
	code, stdout, stderr := replay(t, app, file)
	if code != 0 || !strings.Contains(stdout, "delivered 25, refused 0, unreadable 0, left 0\n") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	for i := range clients {
		user := fmt.Sprint("user", i)
		app.whole(t, app.opened(user))
		if got := app.message(user, 1); string(got.event.Data) != `{"n":1.50}` || got.header.Get("Cookie") != cookie || got.attempt < 1 {
			t.Errorf("%s, cookie %q, attempt %d", got.event.Data, got.header.Get("Cookie"), got.attempt)
		}
		if got := app.message(user, 2); got.event.Encoding != "base64" {
			t.Errorf("%s", got.body)
		}
		if got := app.closed(user); got.event.Reason != "bye" || got.event.Initiator != "client" {
			t.Errorf("%s", got.body)
		}
	}

	// Nothing is sent twice.
	before := app.count()
	code, stdout, _ = replay(t, app, file)
	if code != 0 || app.count() != before || !strings.Contains(stdout, "delivered 0, refused 0, unreadable 0, left 0, dealt with before 25\n") {
		t.Errorf("exit code %d, %d calls: %s", code, app.count()-before, stdout)
	}
}

func TestAReplayThatFailsGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	const conns, events = 40, 10
	app, file := startApp(t), letterFile(t, conns, events)
	// One connection's events fail from some point on.
	app.respond(func(c *call) reply {
		if c.event.Conn == "c7" && c.seq >= 5 {
			return reply{status: 503}
		}
		return reply{}
	})
	code, stdout, stderr := replay(t, app, file, "--callback-retry-for", "100ms")
	if code != 1 || !strings.Contains(stderr, "event c7-5: the app answers 503; the same command goes on where it was") || strings.Contains(stdout, " left 0") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	app.respond(nil)
	code, stdout, stderr = replay(t, app, file)
	tolerant(t, app)
	if code != 0 || !strings.Contains(stdout, "left 0") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	wantReplayed(t, app, conns, events)
}

func TestAReplayThatIsInterruptedGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	const conns, events = 40, 10
	app, file := startApp(t), letterFile(t, conns, events)
	for range 3 {
		reached := make(chan struct{})
		interrupted, interrupt := context.WithCancel(t.Context())
		seen := 0
		var mu sync.Mutex
		app.respond(func(*call) reply { // from the sixtieth event on it waits for the interrupt
			mu.Lock()
			if seen++; seen == 60 {
				close(reached)
			}
			wait := seen >= 60
			mu.Unlock()
			if wait {
				<-interrupted.Done()
			}
			return reply{}
		})
		g := replayOf(app, file, "--callback-concurrency", "4").run(t)
		select {
		case <-reached:
			g.Signal(syscall.SIGINT)
		case <-g.Exited: // there was less left
		}
		interrupt()
		code := g.Wait(harness.Patience)
		if stderr := g.Log.Tail(100); code != 1 && code != 0 || code == 1 && !strings.Contains(stderr, "replay ended early: interrupted") {
			t.Errorf("exit code %d: %s", code, stderr)
		}
	}
	app.respond(nil)
	if code, stdout, stderr := replay(t, app, file); code != 0 || !strings.Contains(stdout, "left 0") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	wantReplayed(t, app, conns, events)
}

func TestAReplayThatIsKilledSendsNoMoreTwiceThanWasOnItsWay(t *testing.T) {
	t.Parallel()
	const conns, events, concurrency = 40, 10, 4
	app, file := startApp(t), letterFile(t, conns, events)
	reached := make(chan struct{})
	app.respond(func(c *call) reply {
		if c.arrival == 200 {
			close(reached)
		}
		return reply{}
	})
	g := replayOf(app, file, "--callback-concurrency", fmt.Sprint(concurrency)).run(t)
	<-reached
	g.kill()
	app.awaitThat("its requests to end", func() bool { return app.handling == 0 })
	app.respond(nil)
	code, stdout, stderr := replay(t, app, file)
	if code != 0 || !strings.Contains(stdout, "left 0") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	tolerant(t, app) // now: what was on its way may have come late
	twice := len(app.attempts((*call).accepted)) - len(app.accepted(func(*call) bool { return true }))
	if twice > concurrency {
		t.Errorf("%d events were accepted twice", twice)
	}
	if n := len(app.accepted(func(*call) bool { return true })); n != conns*events {
		t.Errorf("%d events were accepted, want %d", n, conns*events)
	}
}

// tolerant lets the app's callers count their attempts anew: the file has those of
// the gateway, not those of a replay that came to nothing.
func tolerant(t *testing.T, a *app) {
	t.Helper()
	a.Mu.Lock()
	defer a.Mu.Unlock()
	for _, l := range a.lives {
		var previous *call
		for _, c := range l.calls {
			c.attempt = 1
			if previous != nil && previous.seq == c.seq {
				c.attempt = previous.attempt + 1
			}
			previous = c
		}
	}
}

func TestWhatTheAppRefusesIsKeptAndLinesThatAreNoLettersAreNamed(t *testing.T) {
	t.Parallel()
	app, file := startApp(t), letterFile(t, 3, 4)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(content), "\n")
	lines[4] = `{"time":"2026` + "\n" + lines[4] // line 5 was torn
	broken := strings.Join(lines, "") + `{"time":"20`
	if err := os.WriteFile(file, []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}

	code, stdout, _ := replay(t, app, file, "--dry-run")
	if code != 1 || app.count() != 0 || !strings.Contains(stdout, "line 5: cannot be sent: not JSON\n") ||
		!strings.Contains(stdout, `line 6: message of user "u1", X-Request-Id c1-2, X-Attempt 4, `) || !strings.Contains(stdout, "12 would be sent, 1 are unreadable, 0 are dealt with\n") ||
		strings.Contains(stdout, secret) {
		t.Errorf("dry run: exit code %d, %d calls:\n%s", code, app.count(), stdout)
	}
	if _, err := os.Stat(file + ".done"); !os.IsNotExist(err) {
		t.Errorf("a dry run has left something: %v", err)
	}

	app.respond(func(c *call) reply {
		if c.event.Conn == "c1" && c.seq == 2 {
			return reply{status: 422}
		}
		return reply{}
	})
	code, stdout, stderr := replay(t, app, file)
	if code != 1 || !strings.Contains(stdout, "delivered 11, refused 1, unreadable 1, left 0\n") || !strings.Contains(stdout, "the last line is not complete") ||
		!strings.Contains(stderr, `"line":5`) {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if got := deadLetters(t, file+".refused"); len(got) != 1 || !strings.Contains(got[0], `"request_id":"c1-2"`) {
		t.Errorf("refused: %q", got)
	}
	now, err := os.ReadFile(file)
	if err != nil || string(now) != broken {
		t.Errorf("the file was changed: %v", err)
	}
	code, stdout, _ = replay(t, app, file, "--dry-run")
	if code != 1 || !strings.Contains(stdout, "0 would be sent, 1 are unreadable, 12 are dealt with\n") {
		t.Errorf("dry run: exit code %d:\n%s", code, stdout)
	}
}

func TestAReplayIsAlone(t *testing.T) {
	t.Parallel()
	app, file := startApp(t), letterFile(t, 1, 3)
	release := make(chan struct{})
	app.respond(func(*call) reply { return reply{hold: release} })
	g := replayOf(app, file).run(t)
	app.awaitCall("the first event", func(*call) bool { return true })
	if code, _, stderr := replay(t, app, file); code != 1 || !strings.Contains(stderr, "another replay of the same file is under way") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	close(release)
	if code := g.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}

	other := letterFile(t, 2, 3)
	content, err := os.ReadFile(file + ".done")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other+".done", []byte("ws-gateway replay 00\n"+string(content)), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := replay(t, app, other); code != 1 || !strings.Contains(stderr, "is not about this file: remove it to send all events") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestReplayTakesTheCallbackURLAsTheGatewayDoes(t *testing.T) {
	t.Parallel()
	app, file := startApp(t), letterFile(t, 1, 3)
	for _, test := range []struct {
		args, env []string
		code      int
		want      string
	}{
		{[]string{"replay", file}, nil, exitUsage, "no callback URL"},
		{[]string{"replay", file, "--no-callback"}, nil, exitUsage, "replay needs to know where the app takes its events"},
		{[]string{"replay"}, nil, exitUsage, "file"},
		{[]string{"replay", file + "x", "--callback-url", app.url()}, nil, 1, "no such file"},
		{[]string{"replay", t.TempDir(), "--callback-url", app.url()}, nil, 1, "not a file that can be read twice"},
		{[]string{"replay", file}, []string{fmt.Sprintf("WS_PORT=%d", app.port.number), "WS_URL=" + callbackPath}, 0, ""},
	} {
		code, _, stderr := launch{args: test.args, env: test.env}.runToEnd(t)
		if code != test.code || !strings.Contains(stderr, test.want) {
			t.Errorf("%q: exit code %d: %s", test.args, code, stderr)
		}
	}
	wantReplayed(t, app, 1, 3)
}

func TestAFullDeadLetterFileBeginsAnew(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(func(*call) reply { return reply{status: 400} })
	file := filepath.Join(t.TempDir(), "dead.jsonl")
	g := startGateway(t, app, "--dead-letter", file, "--dead-letter-max-size", "1KiB", "--dead-letter-keep", "2")
	c := g.Dial(t, "alice")
	for n := range 30 {
		c.Send(fmt.Sprintf(`{"n":%d}`, n))
	}
	harness.Poll(t, "the last letter", func() bool {
		lines := deadLettersNow(file)
		return len(lines) > 0 && strings.Contains(lines[len(lines)-1], `{"n":29}`)
	})
	for _, name := range []string{file, file + ".1", file + ".2"} {
		if info, err := os.Stat(name); err != nil || info.Size() > 1024 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
		deadLetters(t, name)
	}
	if _, err := os.Stat(file + ".3"); !os.IsNotExist(err) {
		t.Errorf("%s.3 is there", file)
	}
}
