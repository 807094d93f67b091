package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/coder/websocket"
	"golang.org/x/sys/unix"

	"ws-gateway/e2e/harness"
)

// kill ends the process as nothing else does: it cannot say goodbye.
func (g *gateway) kill() {
	g.T.Helper()
	g.Signal(syscall.SIGKILL)
	g.Wait(harness.Patience)
}

// crowd connects users 0 to n-1 of this name, waits until the app has accepted
// all their open events and returns their connection ids.
func (g *gateway) crowd(a *app, name string, n int) (clients []*client, conns []string) {
	g.T.Helper()
	clients = make([]*client, n)
	var all sync.WaitGroup
	limit := make(chan struct{}, 16)
	for i := range n {
		all.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			c, _, err := g.TryConnect(g.T, visitor{User: fmt.Sprintf("%s-%d", name, i), Cookie: fmt.Sprintf("id=%sé-%d", secret, i)})
			if err != nil {
				g.T.Errorf("connecting: %v", err)
				return
			}
			clients[i] = c
		})
	}
	all.Wait()
	g.T.Cleanup(func() {
		for _, c := range clients {
			if c != nil {
				_ = c.WS.CloseNow()
			}
		}
	})
	if g.T.Failed() {
		g.T.FailNow()
	}
	for i := range n {
		user := fmt.Sprintf("%s-%d", name, i)
		conns = append(conns, a.awaitAccepted("open of "+user, func(c *call) bool { return c.is("open", user) }).event.Conn)
	}
	return clients, conns
}

// since returns the calls that came after the first n.
func (a *app) since(n int) []*call {
	a.Mu.Lock()
	defer a.Mu.Unlock()
	return slices.Clone(a.calls[n:])
}

func (a *app) count() int {
	a.Mu.Lock()
	defer a.Mu.Unlock()
	return len(a.calls)
}

// wantClosed requires calls to be exactly one close event for each of conns, as a
// gateway sends it that was killed.
func wantClosed(t *testing.T, calls []*call, conns []string) {
	t.Helper()
	var got []string
	for _, c := range calls {
		got = append(got, c.event.Conn)
		e := c.event
		if e.Action != "close" || e.Code != 1006 || e.Reason != "gateway restarted" || e.Initiator != "gateway" || string(e.Data) != "{}" ||
			c.requestID != e.Conn+"-4294967295" {
			t.Errorf("%s: %s", c.requestID, c.body)
		}
	}
	slices.Sort(got)
	want := slices.Sorted(slices.Values(conns))
	if !slices.Equal(got, want) {
		t.Errorf("%d close events, want %d: %q, want %q", len(got), len(want), got, want)
	}
}

func TestAfterAKillTheNextStartClosesExactlyWhatWasOpenBeforeAnythingElse(t *testing.T) {
	t.Parallel()
	const n, closed = 300, 50
	app, dir := startApp(t), filepath.Join(t.TempDir(), "journal")
	g := startGateway(t, app, "--journal", dir)
	clients, conns := g.crowd(app, "first", n)
	for i, c := range clients {
		c.Send(`{"n":1}`)
		if i < closed {
			c.Close(websocket.StatusNormalClosure, "")
		}
	}
	for i := range closed {
		app.closed(fmt.Sprintf("first-%d", i))
	}
	for i := closed; i < n; i++ {
		app.message(fmt.Sprintf("first-%d", i), 1)
	}
	const records = `ws_gateway_journal_records_total` // the app knows of a close a moment before the journal does
	g.awaitMetric(t, records, n+closed)
	g.kill()
	before := app.count()

	g = startGateway(t, app, "--journal", dir)
	_, second := g.crowd(app, "second", 3)
	calls := app.since(before)
	wantClosed(t, calls[:n-closed], conns[closed:])
	for _, c := range calls[n-closed:] {
		if c.event.Action != "open" {
			t.Errorf("%s %s came after the close events", c.event.Action, c.requestID)
		}
	}
	g.awaitMetric(t, records, 2*(n-closed)+3) // carried over, closed, opened
	g.kill()
	before = app.count()

	g = startGateway(t, app, "--journal", dir, "--drain-period", "0s", "--close-timeout", "100ms")
	wantClosed(t, app.since(before), second)
	g.Signal(syscall.SIGTERM)
	if code := g.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	before = app.count()
	startGateway(t, app, "--journal", dir)
	wantClosed(t, app.since(before), nil)
	for _, conn := range slices.Concat(conns, second) {
		app.whole(t, conn) // one open, one close, with the same user and cookie
	}
}

// The app names the user when it decides about the upgrade, after the connection was recorded.
func TestAfterAKillTheCloseEventHasTheUserThatTheAppHasNamed(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "journal")
	b := startBouncer(t, func(w http.ResponseWriter, e event) {
		switch e.User {
		case "alice":
			w.Header().Set("X-Ws-User", "real-alice")
		case "nobody":
			w.Header().Set("X-Ws-User", "")
		case "same":
			w.Header().Set("X-Ws-User", "same")
		}
	})
	g := b.guarded(t, "--journal", dir)
	for _, user := range []string{"alice", "nobody", "same", "bob"} {
		g.Dial(t, user)
	}
	g.awaitMetric(t, "ws_gateway_journal_records_total", 6)
	g.kill()
	b.guarded(t, "--journal", dir)
	var users []string
	for _, c := range b.await(t, "close", 4) {
		users = append(users, c.User)
	}
	if slices.Sort(users); !slices.Equal(users, []string{"", "bob", "real-alice", "same"}) {
		t.Errorf("the closes are those of %q", users)
	}
}

func TestEachStartHasAnEpochOfItsOwn(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	var epochs []string
	for range 2 {
		g := startGateway(t, app)
		before := app.count()
		g.crowd(app, fmt.Sprint("user", before), 2)
		first := app.since(before)[0].header.Get("X-Ws-Epoch")
		for _, c := range app.since(before) {
			if got := c.header.Get("X-Ws-Epoch"); got == "" || got != first {
				t.Errorf("epoch %q, and %q before", got, first)
			}
		}
		epochs = append(epochs, first)
		g.kill()
	}
	if epochs[0] == epochs[1] {
		t.Errorf("both starts have the epoch %q", epochs[0])
	}
}

func TestClientsWaitUntilTheCloseEventsAreDealtWithAndTheAPIAnswersMeanwhile(t *testing.T) {
	t.Parallel()
	const n = 20
	app, dir := startApp(t), t.TempDir()
	g := startGateway(t, app, "--journal", dir)
	_, conns := g.crowd(app, "user", n)
	g.kill()
	app.stop()
	before := app.count()

	// The app is away: nobody is let in, and a second death loses nothing.
	start := func() *gateway {
		g := launch{args: []string{"--listen", "127.0.0.1:0", "--journal", dir, "--callback-url", app.url()}}.run(t)
		line, ok := g.Log.Await(harness.Patience, func(l logLine) bool { return strings.HasPrefix(l.Text("message"), "journal: the gateway ended while") })
		if !ok || line.Number("connections") != n {
			t.Fatalf("it does not say that %d connections were open: %s", n, line.Raw)
		}
		g.Addr = line.Text("listen")
		return g
	}
	g = start()
	harness.Poll(t, "readyz to answer", func() bool {
		response, err := g.HTTP.Get("http://" + g.Addr + "/readyz")
		if err != nil {
			return false
		}
		response.Body.Close()
		if response.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("readyz answers %d", response.StatusCode)
		}
		return true
	})
	if _, response, err := g.TryConnect(t, visitor{User: "early"}); err == nil || response == nil || response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("a client that comes early: %v, %+v", err, response)
	}
	if got := g.connections(); got != 0 {
		t.Errorf("%d connections", got)
	}
	g.kill()

	// An app that uses the API while it handles these events is answered.
	g = start()
	app.respond(func(c *call) reply {
		response, err := http.Post("http://"+g.Addr+"/tapr/ws/conn/send", "application/json", strings.NewReader(`{"all":true,"payload":1}`))
		if err != nil {
			return reply{status: 500}
		}
		response.Body.Close()
		return reply{}
	})
	app.start()
	if _, ok := g.Log.Await(harness.Patience, func(l logLine) bool { return l.Text("message") == "ready" }); !ok {
		t.Fatal("not ready")
	}
	wantClosed(t, app.since(before), conns)
}

func TestACloseEventThatIsNotDeliveredBeforeTheStopIsSentAtTheNextStart(t *testing.T) {
	t.Parallel()
	app, dir := startApp(t), t.TempDir()
	g := startGateway(t, app, "--journal", dir, "--shutdown-timeout", "2s", "--drain-period", "0s")
	_, conns := g.crowd(app, "user", 5)
	app.respond(func(*call) reply { return reply{status: 503} })
	g.Signal(syscall.SIGTERM)
	g.Wait(harness.Patience)
	app.respond(nil)
	before := app.count()
	startGateway(t, app, "--journal", dir)
	wantClosed(t, app.since(before), conns)
}

func TestADamagedJournalIsAWarningAndWhatCanBeReadOfItCounts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		damage func(path string, size int64) error
		least  int // close events
	}{
		{"a torn tail", func(path string, size int64) error { return os.Truncate(path, size-5) }, 29},
		{"zeros at the end", func(path string, size int64) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt(make([]byte, 100), size-100)
			return errors.Join(err, f.Close())
		}, 25},
		{"garbage from the start", func(path string, size int64) error {
			return os.WriteFile(path, []byte(strings.Repeat("garbage", int(size/7))), 0o600)
		}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app, dir := startApp(t), t.TempDir()
			g := startGateway(t, app, "--journal", dir)
			_, conns := g.crowd(app, "user", 30)
			g.kill()
			segments, err := filepath.Glob(filepath.Join(dir, "run-*", "*"))
			if err != nil || len(segments) != 1 {
				t.Fatal(segments, err)
			}
			info, err := os.Stat(segments[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := test.damage(segments[0], info.Size()); err != nil {
				t.Fatal(err)
			}
			before := app.count()
			g = startGateway(t, app, "--journal", dir)
			g.logged(t, 1, `"level":"warn"`, "journal: damaged")
			closed := app.since(before)
			if len(closed) < test.least || len(closed) >= len(conns) {
				t.Errorf("%d close events", len(closed))
			}
			for _, c := range closed {
				if !slices.Contains(conns, c.event.Conn) {
					t.Errorf("%s was never open", c.event.Conn)
				}
			}
			if aside, err := filepath.Glob(filepath.Join(dir, "broken-*", "*")); len(aside) != 1 {
				t.Errorf("set aside: %q, %v", aside, err)
			}
			// It goes on as if nothing had been.
			_, conns = g.crowd(app, "later", 3)
			g.kill()
			before = app.count()
			startGateway(t, app, "--journal", dir)
			wantClosed(t, app.since(before), conns)
		})
	}
}

func TestAJournalThatTwoGatewaysShareIsRefused(t *testing.T) {
	t.Parallel()
	app, dir := startApp(t), t.TempDir()
	startGateway(t, app, "--journal", dir)
	code, _, stderr := launch{args: []string{"--listen", "127.0.0.1:0", "--callback-url", app.url(), "--journal", dir}}.runToEnd(t)
	if code != 1 || !strings.Contains(stderr, "in use by another process") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// limitFiles lets files of the process grow no further than this, or as they
// like.
func (g *gateway) limitFiles(size uint64) {
	g.T.Helper()
	var limit unix.Rlimit
	if err := unix.Prlimit(g.Cmd.Process.Pid, unix.RLIMIT_FSIZE, nil, &limit); err != nil {
		g.T.Fatal(err)
	}
	limit.Cur = min(size, limit.Max)
	if err := unix.Prlimit(g.Cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		g.T.Fatal(err)
	}
}

func TestAFullDiskIsSaidOnceHarmsNobodyAndIsMadeUpFor(t *testing.T) {
	t.Parallel()
	app, dir := startApp(t), t.TempDir()
	dead := filepath.Join(t.TempDir(), "dead.jsonl")
	g := startGateway(t, app, "--journal", dir, "--dead-letter", dead)
	app.respond(func(c *call) reply {
		if c.event.Action == "message" {
			return reply{status: 400}
		}
		return reply{}
	})
	g.limitFiles(10)
	clients, conns := g.crowd(app, "user", 10)
	for _, c := range clients {
		c.Send(`{"n":1}`)
	}
	for _, name := range []string{"journal: cannot be written", "cannot write to the dead-letter file"} {
		if _, ok := g.Log.Await(harness.Patience, func(l logLine) bool { return strings.Contains(l.Raw, name) }); !ok {
			t.Errorf("nothing says: %s", name)
		}
	}
	app.awaitThat("the messages", func() bool { return len(app.calls) == 20 })
	g.limitFiles(^uint64(0))
	if _, ok := g.Log.Await(harness.Patience, func(l logLine) bool { return strings.Contains(l.Raw, "journal: can be written again") }); !ok {
		t.Error("the journal does not come back")
	}
	harness.Poll(t, "a dead letter", func() bool {
		clients[0].Send(`{"n":2}`)
		lines := deadLettersNow(dead)
		return len(lines) > 0 && strings.Contains(lines[len(lines)-1], `{"n":2}`)
	})
	for _, name := range []string{"journal: cannot be written", "cannot write to the dead-letter file"} {
		g.logged(t, 1, name)
	}
	g.kill()
	app.respond(nil)
	before := app.count()
	startGateway(t, app, "--journal", dir)
	wantClosed(t, app.since(before), conns)
}

// deadLettersNow returns the complete lines of a file that is being written.
func deadLettersNow(path string) []string {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	lines := strings.Split(string(content), "\n")
	return lines[:len(lines)-1]
}
