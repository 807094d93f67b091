package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"ws-gateway/e2e/harness"
)

// stop ends the gateway in good order, and returns its last log line.
func (g *gateway) stop(t testing.TB) logLine {
	t.Helper()
	g.Signal(syscall.SIGTERM)
	if code := g.Wait(harness.Patience); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	return g.stopped(t)
}

// restarts starts gateways one after the other with the same file of sessions.
type restarts struct {
	t    *testing.T
	app  *app // nil: push only
	file string
	args []string
}

func newRestarts(t *testing.T, a *app, args ...string) *restarts {
	file := filepath.Join(t.TempDir(), "sessions")
	return &restarts{t: t, app: a, file: file, args: append([]string{"--resume-for", "1m", "--resume-state", file, "--drain-period", "100ms", "--close-timeout", "300ms"}, args...)}
}

func (k *restarts) start(args ...string) *gateway {
	k.t.Helper()
	args = append(k.args[:len(k.args):len(k.args)], args...)
	if k.app == nil {
		return startPushOnly(k.t, args...)
	}
	return startGateway(k.t, k.app, args...)
}

// found requires the start of g to have found so many sessions of this outcome.
func (g *gateway) found(t *testing.T, outcome string, want float64) {
	t.Helper()
	g.expectMetric(t, `ws_gateway_resume_state_sessions{outcome="`+outcome+`"}`, want)
}

// listOf is what list and get say of a user.
func (g *gateway) listOf(t *testing.T, user string) string {
	t.Helper()
	list := g.get(listPath + "?user=" + user).data(t)
	for _, id := range regexp.MustCompile(`"id":"([^"]+)"`).FindAllStringSubmatch(list, -1) {
		list += "\n" + g.get(getPath+"?conn_id="+id[1]).data(t)
	}
	return list
}

func TestASessionSurvivesARestartAndTheAppNoticesNothing(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	k := newRestarts(t, app, "--max-meta", "100", "--loops", "3")
	g := k.start()
	var clients []*roamer
	for i := range 7 {
		clients = append(clients, g.roam(t, fmt.Sprint("user-", i%3)))
	}
	g.Dial(t, "plain")
	for i, c := range clients {
		app.opened(fmt.Sprint("user-", i%3))
		c.send(numbered(0))
		c.settled()
	}
	g.post("/tapr/ws/group/join", `{"users":["user-1"],"groups":["b","a"]}`).data(t)
	g.post("/tapr/ws/conn/meta", `{"users":["user-2"],"meta":{"n":1}}`).data(t)
	lists := map[string]string{}
	for i := range 3 {
		user := fmt.Sprint("user-", i)
		lists[user] = g.listOf(t, user)
	}
	for round := range 3 {
		for _, c := range clients {
			if round == 0 || c == clients[0] {
				g.send(`{"conn_id":"` + c.ID + `","payload":"kept"}`) // perhaps not acknowledged
			}
		}
		if round == 1 {
			clients[1].cut() // away, not parted
			g.awaitAway(t, 1)
		}
		done := g.stop(t)
		if n := done.Number("sessions_kept"); n != len(clients) {
			t.Errorf("round %d: %d sessions are kept", round, n)
		}
		if info, err := os.Stat(k.file); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%v, %v", info, err)
		}
		g = k.start()
		if _, err := os.Stat(k.file); err == nil {
			t.Error("the file is still there")
		}
		g.found(t, "taken", float64(len(clients)))
		for _, c := range clients {
			if round == 0 {
				if payload, err := c.ended(); err != nil || payload != closePayload(1012, "service restart") {
					t.Errorf("closed with %q, %v", payload, err)
				}
			}
			c.g, c.farewell = g, ""
		}
		g.awaitAway(t, float64(len(clients)))
		for user, before := range lists {
			if after := strings.ReplaceAll(g.listOf(t, user), `,"away":true`, ""); round == 0 && after != before {
				t.Errorf("%s\nwas %s\nis  %s", user, before, after)
			}
		}
		g.send(`{"groups":["a"],"payload":"to the group"}`)
		for i, c := range clients {
			c.resume()
			c.send(numbered(round + 1))
			c.settled()
			if i%3 == 1 && c.got[len(c.got)-1] != `text "to the group"` {
				t.Errorf("%q", c.got)
			}
		}
		g.awaitAway(t, 0)
	}
	closed := app.closed("plain")
	if closed.event.Code != 1001 {
		t.Errorf("the plain client's close event has %d", closed.event.Code)
	}
	for _, c := range clients {
		c.say(frame(fin|opClose, closePayload(4000, "enough")))
	}
	for i, c := range clients {
		app.whole(t, c.ID)
		app.Mu.Lock()
		life := app.lives[c.ID]
		for n, call := range life.calls {
			if call.seq != n+1 {
				t.Errorf("client %d: event %d has number %d", i, n+1, call.seq)
			}
		}
		if last := life.calls[len(life.calls)-1].event; last.Code != 4000 || i%3 == 2 && string(last.Meta) != `{"n":1}` {
			t.Errorf("client %d: the close event is %+v", i, last)
		}
		if epochs := life.calls[0].header.Get("X-Ws-Epoch"); epochs != life.calls[len(life.calls)-1].header.Get("X-Ws-Epoch") {
			t.Error("the epoch has changed")
		}
		app.Mu.Unlock()
	}
	g.stop(t)
	if n := len(app.attempts(func(c *call) bool { return c.event.Action == "open" })); n != len(clients)+1 {
		t.Errorf("%d open events", n)
	}
}

func TestMessagesCrossARestartOnceAndInOrder(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	k := newRestarts(t, app)
	g := k.start()
	c := g.roam(t, "ann")
	conn := app.opened("ann")
	sent, want := 0, []string{}
	for range 4 {
		for range 20 {
			g.send(fmt.Sprintf(`{"conn_id":"%s","payload":%d}`, conn, sent))
			want = append(want, fmt.Sprint("text ", sent))
			if err := c.trySay(opText, fmt.Sprintf(`{"n":%d}`, sent)); err != nil {
				t.Fatal(err)
			}
			sent++
		}
		g.stop(t)
		c.ended() // what is in the kernel arrives or not
		g = k.start()
		c.g, c.farewell = g, ""
		c.resume()
	}
	c.expectGot(want...)
	c.settled()
	app.inOrder(t, "ann", sent)
	c.say(frame(fin|opClose, closePayload(4000, "")))
	app.whole(t, conn)
}

func TestWithoutTheFileAfterARestartASessionIsNew(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	k := newRestarts(t, app)
	g := k.start()
	c := g.roam(t, "ann")
	g.stop(t)
	if err := os.Remove(k.file); err != nil {
		t.Fatal(err)
	}
	g = k.start()
	c.g = g
	c.begin()
	g.expectMetric(t, `ws_gateway_resume_missed_total{reason="token"}`, 1)
}

func TestATokenFromBeforeALost101IsValidAfterARestart(t *testing.T) {
	t.Parallel()
	k := newRestarts(t, nil)
	g := k.start()
	c := g.roam(t, "ann")
	c.cut()
	g.awaitAway(t, 1)
	was := c.greeting
	c.resume()
	c.cut() // the gateway does not know that the token has arrived
	g.awaitAway(t, 1)
	g.stop(t)
	g = k.start()
	c.g, c.greeting = g, was
	c.resume()
	c.settled()
	c.cut()
	now := c.greeting
	c.greeting = was
	c.begin()
	if now.ID == c.ID {
		t.Error("a token that is void has resumed a session")
	}
}

func TestASessionThatExpiresWhileNoGatewayRunsHasOneCloseEvent(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	k := newRestarts(t, app, "--resume-for", "1s", "--journal", filepath.Join(t.TempDir(), "journal"))
	g := k.start()
	g.roam(t, "ann")
	conn := app.opened("ann")
	stopped := time.Now()
	g.stop(t)
	harness.Poll(t, "its time to be over", func() bool { return time.Since(stopped) > 5*time.Second })
	g = k.start()
	closed := app.closed("ann")
	if e := closed.event; e.Code != 1006 || e.Initiator != "network" || e.Conn != conn || closed.seq != 2 {
		t.Errorf("the close event is %+v, number %d", e, closed.seq)
	}
	app.whole(t, conn)
	g.found(t, "expired", 1)
	g.kill()
	before := app.count()
	k.start()
	if app.count() != before {
		t.Errorf("it is closed again: %s", app.since(before)[0].body)
	}
}

func TestAFileThatCannotBeWrittenEndsSessionsAsEver(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, g *gateway, file string){
		"a full disk": func(_ *testing.T, g *gateway, _ string) { g.limitFiles(100) },
		"the folder is gone": func(t *testing.T, _ *gateway, file string) {
			if err := os.RemoveAll(filepath.Dir(file)); err != nil {
				t.Fatal(err)
			}
		},
		"another gateway has begun, where there are no locks": func(t *testing.T, _ *gateway, file string) {
			if err := os.Remove(file + ".lock"); err != nil {
				t.Fatal(err)
			}
			startPushOnly(t, "--resume-for", "1m", "--resume-state", file)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := startApp(t)
			k := newRestarts(t, app)
			g := k.start()
			c, away := g.roam(t, "ann"), g.roam(t, "bob")
			app.opened("ann")
			app.opened("bob")
			away.cut()
			g.awaitAway(t, 1)
			spoil(t, g, k.file)
			began := time.Now()
			done := g.stop(t)
			if took := time.Since(began); took > harness.Patience {
				t.Errorf("it took %v", took)
			}
			if done.Number("sessions_kept") > 0 || done.Number("events_undelivered") != 0 {
				t.Errorf("%s", done.Raw)
			}
			app.whole(t, c.ID)
			app.whole(t, away.ID)
			for _, user := range []string{"ann", "bob"} {
				if closed := app.closed(user); closed.event.Code != 1001 || closed.event.Initiator != "gateway" {
					t.Errorf("%s: %+v", user, closed.event)
				}
			}
			g.logged(t, 1, "sessions cannot be written down")
			if _, err := os.Stat(k.file); err == nil {
				t.Error("there is a file")
			}
		})
	}
}

// The next gateway is started while the one before still stops, which has not written its
// file yet.
func TestAFileThatAGatewayUsesIsRefusedToOthersUntilItHasEnded(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	released, release := context.WithCancel(t.Context())
	defer release()
	app.respond(func(c *call) reply {
		if c.event.Action == "message" {
			return reply{hold: released.Done()}
		}
		return reply{}
	})
	k := newRestarts(t, app, "--shutdown-timeout", "10m", "--callback-timeout", "10m")
	g := k.start()
	run, err := os.ReadFile(k.file + ".run")
	if err != nil {
		t.Fatal(err)
	}
	refused := func(when string) {
		t.Helper()
		for _, command := range []string{"run", "check"} {
			args := append([]string{command, "--listen", "127.0.0.1:0", "--callback-url", app.url()}, k.args...)
			code, stdout, stderr := launch{args: args}.runToEnd(t)
			if code != 1 || strings.Count(stderr+stdout, k.file+": another gateway that has not ended uses it") != 1 || !strings.Contains(stderr+stdout, "a file of its own") {
				t.Errorf("%s: %s ends with %d: %s%s", when, command, code, stdout, stderr)
			}
		}
	}
	refused("while it runs")
	c := g.roam(t, "ann")
	c.send(numbered(0))
	app.awaitCall("the message", func(c *call) bool { return c.is("message", "ann") })
	g.Signal(syscall.SIGTERM)
	c.ended()
	refused("while it stops")
	release()
	if code := g.Wait(harness.Patience); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	if now, err := os.ReadFile(k.file + ".run"); err != nil || string(now) != string(run) {
		t.Errorf("FILE.run has changed: %v", err)
	}
	g = k.start()
	g.found(t, "taken", 1)
	c.g, c.farewell = g, ""
	c.resume()
	c.settled()
	g.kill()
	k.start() // nobody holds the lock of who was killed
}

func TestAFileThatCannotBeUsedIsKeptAsideAndTheGatewayStarts(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	k := newRestarts(t, app)
	g := k.start()
	g.roam(t, "ann")
	g.stop(t)
	whole, err := os.ReadFile(k.file)
	if err != nil {
		t.Fatal(err)
	}
	run, err := os.ReadFile(k.file + ".run")
	if err != nil {
		t.Fatal(err)
	}
	put := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(k.file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(k.file+".run", run, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	later := bytes.Clone(whole)
	later[8]++
	half := bytes.Clone(whole)
	half[len(half)/2] ^= 1
	for reason, spoil := range map[string]func(){
		"another version":                     func() { put(later) },
		"checksum is another":                 func() { put(half) },
		"is damaged":                          func() { put(whole[:len(whole)-1]) },
		"not one of sessions":                 func() { put([]byte("{}")) },
		"others than its owner may read":      func() { put(whole); os.Chmod(k.file, 0o640) },
		"no regular file":                     func() { put(whole); os.Rename(k.file, k.file+".x"); os.Symlink(k.file+".x", k.file) },
		"not written by the gateway that has": func() { put(whole); os.WriteFile(k.file+".run", []byte("another"), 0o600) },
	} {
		spoil()
		g := k.start()
		if line := g.logged(t, 1, "the file is not used", reason)[0]; line.Text("kept_as") != k.file+".refused" {
			t.Errorf("%s: %s", reason, line.Raw)
		}
		if _, err := os.Lstat(k.file + ".refused"); err != nil {
			t.Error(err)
		}
		g.found(t, "taken", 0)
		if strings.Contains(g.Log.Tail(100), string(run[:10])) {
			t.Error("the log has the run's number")
		}
		g.End()
	}
}

func TestAFileIsTakenOnce(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	k := newRestarts(t, app)
	g := k.start()
	c := g.roam(t, "ann")
	g.stop(t)
	copied, err := os.ReadFile(k.file)
	if err != nil {
		t.Fatal(err)
	}
	restore := func() {
		t.Helper()
		if err := os.WriteFile(k.file, copied, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g = k.start()
	g.found(t, "taken", 1)
	g.kill()
	restore()
	g = k.start()
	g.found(t, "taken", 0)
	c.g = g
	c.begin()
	g.stop(t) // which writes one of its own
	restore()
	g = k.start()
	g.found(t, "taken", 0)
}

func TestSessionsOfLoopsThatAreNotThereEndWithTheirCloseEvent(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	k := newRestarts(t, app)
	g := k.start("--loops", "4")
	var clients []*roamer
	for i := range 8 {
		clients = append(clients, g.roam(t, fmt.Sprint("user-", i)))
		app.opened(fmt.Sprint("user-", i))
	}
	g.stop(t)
	g = k.start("--loops", "2")
	g.found(t, "taken", 4)
	g.found(t, "no_loop", 4)
	closed := 0
	for i, c := range clients {
		c.g = g
		c.connect()
		if !c.Resumed {
			closed++
			e := app.closed(fmt.Sprint("user-", i)).event
			if e.Code != 1006 || e.Reason != "gateway restarted" || e.Initiator != "gateway" {
				t.Errorf("%+v", e)
			}
		}
	}
	if closed != 4 {
		t.Errorf("%d have ended", closed)
	}
	g.logged(t, 1, "sessions of the last run", `"no_loop":4`)
	// Nobody gets an id again, whatever the number of loops.
	g.stop(t)
	g = k.start("--loops", "4")
	for i := range 16 {
		g.roam(t, fmt.Sprint("other-", i))
		app.opened(fmt.Sprint("other-", i))
	}
	app.Mu.Lock()
	defer app.Mu.Unlock()
	if len(app.lives) != 8+4+16 {
		t.Errorf("%d ids of %d sessions", len(app.lives), 8+4+16)
	}
}

func TestWithoutLoopsTheNumberOfTheFileCounts(t *testing.T) {
	t.Parallel()
	k := newRestarts(t, nil)
	g := k.start("--loops", "5")
	for range 10 {
		g.roam(t, "ann")
	}
	g.stop(t)
	g = k.start()
	g.found(t, "taken", 10)
}

func TestWhatChangesBetweenTwoRunsIsHeeded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args  []string
		fate  string
		check func(t *testing.T, a *app, g *gateway, c *roamer)
	}{
		"resume-for is 0": {[]string{"--resume-for", "0s"}, "resume_off", func(t *testing.T, a *app, _ *gateway, c *roamer) {
			if e := a.closed("ann").event; e.Code != 1006 || e.Initiator != "gateway" || e.Conn != c.ID {
				t.Errorf("%+v", e)
			}
		}},
		"resume-for is shorter": {[]string{"--resume-for", "2s"}, "taken", func(t *testing.T, a *app, _ *gateway, _ *roamer) {
			if e := a.closed("ann").event; e.Code != 1006 || e.Initiator != "network" {
				t.Errorf("%+v", e)
			}
		}},
		"resume-memory is lower": {[]string{"--resume-memory", "64KiB", "--resume-buffer", "64KiB"}, "taken", func(t *testing.T, a *app, _ *gateway, _ *roamer) {
			if e := a.closed("ann").event; e.Code != 1006 {
				t.Errorf("%+v", e)
			}
		}},
		"max-connections is lower": {[]string{"--max-connections", "1"}, "taken", func(t *testing.T, _ *app, g *gateway, c *roamer) {
			c.resume()
			c.await(1)
			g.refuses(t, visitor{User: "late"}, 503)
		}},
		"no callback any more": {[]string{"--no-callback"}, "taken", func(t *testing.T, a *app, _ *gateway, c *roamer) {
			before := a.count()
			c.resume()
			c.send("x")
			c.settled()
			if a.count() != before {
				t.Error("the app got something")
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := startApp(t)
			k := newRestarts(t, app)
			g := k.start()
			c := g.roam(t, "ann")
			app.opened("ann")
			c.cut()
			g.awaitAway(t, 1)
			g.send(`{"conn_id":"` + c.ID + `","payload":"` + strings.Repeat("x", 100<<10) + `"}`)
			g.stop(t)
			if strings.Contains(name, "callback") {
				k.app = nil
			}
			g = k.start(test.args...)
			g.found(t, test.fate, 1)
			c.g = g
			test.check(t, app, g, c)
		})
	}
}

func TestAJournalKnowsSessionsThatCrossARestart(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	journal := filepath.Join(t.TempDir(), "journal")
	k := newRestarts(t, app, "--journal", journal)
	g := k.start()
	c := g.roam(t, "ann")
	conn := app.opened("ann")
	g.stop(t)
	before := app.count()
	g = k.start()
	g.found(t, "taken", 1)
	if calls := app.since(before); len(calls) > 0 {
		t.Fatalf("the app got %s", calls[0].body)
	}
	g.kill() // the sessions are lost: there is no file
	g = k.start()
	wantClosed(t, app.since(before), []string{conn})

	// A file that is lost.
	c.g = g
	c.begin()
	conn = c.ID
	app.awaitAccepted("its open", func(c *call) bool { return c.is("open", "ann") && c.event.Conn == conn })
	g.stop(t)
	if err := os.Remove(k.file); err != nil {
		t.Fatal(err)
	}
	before = app.count()
	k.start()
	wantClosed(t, app.since(before), []string{conn})
}

func TestAJournalThatIsNewKnowsSessionsThatWereTakenIn(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	k := newRestarts(t, app)
	g := k.start()
	g.roam(t, "ann")
	conn := app.opened("ann")
	g.stop(t)
	journal := filepath.Join(t.TempDir(), "journal")
	g = k.start("--journal", journal)
	g.awaitMetric(t, "ws_gateway_journal_records_total", 1)
	g.kill()
	before := app.count()
	k.start("--journal", journal)
	wantClosed(t, app.since(before), []string{conn})
}

func TestACloseByTheAppIsToldAfterARestart(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	k := newRestarts(t, app)
	g := k.start()
	c := g.roam(t, "ann")
	conn := app.opened("ann")
	c.cut()
	g.awaitAway(t, 1)
	g.send(`{"conn_id":"` + conn + `","payload":"last"}`)
	g.post(closePath, `{"conns":["`+conn+`"],"code":4001,"reason":"bye"}`).data(t)
	app.whole(t, conn)
	g.stop(t)
	g = k.start()
	c.g = g
	c.connect()
	c.expectGot(`text "last"`)
	if payload, err := c.ended(); err != nil || payload != closePayload(4001, "bye") {
		t.Errorf("%q, %v", payload, err)
	}
}

func TestWhatTheAppDoesWhileTheGatewayDrainsCounts(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	held := make(chan struct{})
	app.respond(func(c *call) reply {
		if c.event.Action == "message" {
			return reply{hold: held}
		}
		return reply{}
	})
	k := newRestarts(t, app)
	g := k.start()
	c, ended := g.roam(t, "ann"), g.roam(t, "bob")
	conn, gone := app.opened("ann"), app.opened("bob")
	c.send(numbered(0)) // the app's answer holds up the end
	app.awaitCall("the message", func(c *call) bool { return c.is("message", "ann") })
	g.Signal(syscall.SIGTERM)
	g.awaitAway(t, 2)
	g.send(`{"conn_id":"` + conn + `","payload":"late"}`)
	g.post(closePath, `{"conns":["`+gone+`"],"code":4001,"reason":"bye"}`).data(t)
	close(held)
	app.whole(t, gone)
	if code := g.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if done := g.stopped(t); done.Number("sessions_kept") != 1 {
		t.Errorf("%s", done.Raw)
	}
	g = k.start()
	for _, c := range []*roamer{c, ended} {
		c.ended()
		c.g, c.farewell = g, ""
	}
	c.resume()
	c.expectGot(`text "late"`)
	if err := ended.tryConnect(); err == nil || ended.farewell != closePayload(4001, "bye") {
		t.Errorf("%v, %q", err, ended.farewell)
	}
}

func TestAGatewayThatIsKilledLeavesNothingHalf(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	k := newRestarts(t, app)
	g := k.start()
	for i := range 200 {
		g.roam(t, fmt.Sprint("user-", i))
	}
	g.Signal(syscall.SIGTERM)
	harness.Poll(t, "the file that is written aside, or its place", func() bool {
		_, aside := os.Stat(k.file + ".new")
		_, there := os.Stat(k.file)
		return aside == nil || there == nil
	})
	g.Signal(syscall.SIGKILL)
	g.Wait(harness.Patience)
	g = k.start()
	if g.metricNow(t, `ws_gateway_resume_state_sessions{outcome="taken"}`) > 0 { // it counts them before it is ready
		g.found(t, "taken", 200)
	}
	if _, err := os.Stat(k.file + ".new"); err == nil {
		t.Error("what was written aside is still there")
	}
}

func TestASharedMessageIsInTheFileOnce(t *testing.T) {
	t.Parallel()
	k := newRestarts(t, nil, "--loops", "2")
	g := k.start()
	var clients []*roamer
	for range 50 {
		c := g.roam(t, "ann")
		c.cut()
		clients = append(clients, c)
	}
	g.awaitAway(t, 50)
	g.send(`{"users":["ann"],"payload":"` + strings.Repeat("x", 100<<10) + `"}`)
	g.stop(t)
	info, err := os.Stat(k.file)
	if err != nil || info.Size() > 150<<10 {
		t.Fatalf("%v, %v", info, err)
	}
	g = k.start()
	g.found(t, "taken", 50)
	if used := g.metricNow(t, `ws_gateway_memory_used_bytes{budget="resume"}`); used > 150<<10 {
		t.Errorf("%v bytes are held", used)
	}
	for _, c := range clients {
		c.g = g
		c.resume()
		c.await(1)
	}
}

func TestInAClusterARestartIsNothingToTheOthersButAnotherRun(t *testing.T) {
	t.Parallel()
	nats, all := startCluster(t, 1)
	app := startApp(t)
	k := newRestarts(t, app, append([]string{"--cluster", nats.URL(), "--cluster-app", "chat", "--cluster-name", "keeper", "--max-meta", "100"}, patient...)...)
	g, other := k.start(), all[0]
	other.awaitInstances(t, 1)
	c := g.roam(t, "ann")
	conn := app.opened("ann")
	if got := other.ask(t, "POST", "/tapr/ws/group/join", `{"conns":["`+conn+`"],"groups":["a"]}`); !strings.Contains(got, `"matched":1`) {
		t.Fatal(got)
	}
	want := []string{}
	for round := range 3 {
		g.stop(t)
		c.ended()
		g = k.start()
		c.g, c.farewell = g, ""
		other.awaitInstances(t, 1)
		g.awaitInstances(t, 1)
		for i, to := range []string{`"conn_id":"` + conn + `"`, `"conns":["` + conn + `"]`, `"users":["ann"]`, `"groups":["a"]`, `"all":true`} {
			text := fmt.Sprint(10*round + i + 10)
			harness.Poll(t, "nobody to be missing", func() bool {
				return !strings.Contains(string(other.get(listPath).body), "missing")
			})
			if got := other.ask(t, "POST", sendPath, `{`+to+`,"payload":`+text+`,"report":true}`); !strings.Contains(got, `"queued":1`) || strings.Contains(got, "missing") {
				t.Errorf("round %d, to %s: %s", round, to, got)
			}
			want = append(want, "text "+text)
		}
		if got := other.ask(t, "GET", getPath+"?conn_id="+conn, ""); !strings.Contains(got, `"away":true`) || !strings.Contains(got, conn) {
			t.Errorf("get: %s", got)
		}
		c.resume()
		c.expectGot(want...)
		c.settled()
	}
	other.ask(t, "POST", closePath, `{"conns":["`+conn+`"],"code":4001}`)
	app.whole(t, conn)
}

func TestTheClustersJournalGoesOnWithSessionsThatWereTakenIn(t *testing.T) {
	t.Parallel()
	nats, app := startWithJetStream(t), startApp(t)
	survivor := startKeeper(t, app, nats.URL(), 1)
	k := newRestarts(t, app, "--cluster", nats.URL(), "--cluster-app", "shop", "--cluster-name", memberName(0), "--cluster-journal", "--cluster-timeout", "1m", "--cluster-dead-after", "30s")
	g := k.start()
	c := g.roam(t, "ann")
	conn := app.opened("ann")
	g.recorded(t, 1)
	for range 2 {
		g.stop(t)
		g = k.start()
		g.found(t, "taken", 1)
		c.g = g
		c.resume()
	}
	survivor.expectMetric(t, "ws_gateway_cluster_takeovers_total", 0)
	g.awaitJournal(t)
	g.kill()
	app.awaitLost(t, []string{conn})
	app.Mu.Lock()
	defer app.Mu.Unlock()
	if n := len(app.lives[conn].calls); n != 2 {
		t.Errorf("%d events of the session", n)
	}
}

// awaitJournal waits until the gateway has shown in JetStream that it lives.
func (g *gateway) awaitJournal(t *testing.T) {
	t.Helper()
	c := g.roam(t, "witness")
	g.recorded(t, 1)
	c.say(frame(fin|opClose, closePayload(4000, "")))
	g.recorded(t, 2)
}

func TestSessionsThatASurvivorHasClosedAreNotTakenIn(t *testing.T) {
	t.Parallel()
	nats, app := startWithJetStream(t), startApp(t)
	startKeeper(t, app, nats.URL(), 1)
	k := newRestarts(t, app, "--cluster", nats.URL(), "--cluster-app", "shop", "--cluster-name", memberName(0), "--cluster-journal", "--cluster-timeout", "1m", "--cluster-dead-after", "6s", "--resume-for", "1h")
	g := k.start()
	c := g.roam(t, "ann")
	conn := app.opened("ann")
	g.recorded(t, 1)
	g.stop(t)
	app.awaitLost(t, []string{conn})
	before := app.count()
	late := launch{app: nil, args: append(k.args, "--callback-url", app.url(), "--listen", "127.0.0.1:0")}.run(t)
	if code := late.Wait(harness.Patience); code != 1 {
		t.Errorf("exit code %d", code)
	}
	late.logged(t, 1, "have sent the close events of its connections")
	g = k.start()
	c.g = g
	c.begin()
	app.awaitThat("the new open", func() bool { return len(app.calls) > before })
	for _, call := range app.since(before) {
		if call.event.Conn == conn {
			t.Errorf("the app got %s", call.body)
		}
	}
}
