package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ws-gateway/e2e/harness"
)

// stopQuickly gives the app little time to take what waits, and a busy machine a second and
// more to write it down.
var stopQuickly = []string{"--shutdown-timeout", "10s", "--callback-retry-for", "1h"}

// sends sends messages from the one that comes next, until the gateway has said that it has them.
func (c *roamer) sends(n int) {
	c.t.Helper()
	for range n {
		c.send(numbered(len(c.said)))
	}
	c.settled()
}

// foundEvents requires the start of g to have found so many events of this outcome.
func (g *gateway) foundEvents(t *testing.T, outcome string, want float64) {
	t.Helper()
	g.expectMetric(t, `ws_gateway_resume_state_events{outcome="`+outcome+`"}`, want)
}

// leaves requires what a gateway says of its end.
func leaves(t *testing.T, done logLine, sessions, kept, undelivered, letters int) {
	t.Helper()
	got := []int{max(done.Number("sessions_kept"), 0), max(done.Number("events_kept"), 0), done.Number("events_undelivered"), done.Number("dead_letters")}
	if want := []int{sessions, kept, undelivered, letters}; !slices.Equal(got, want) {
		t.Errorf("sessions kept, events kept, undelivered, dead letters: %v, want %v: %s", got, want, done.Raw)
	}
}

// eachOnce requires the app to have got the events of these connections once each, numbered
// from 1, tried again or not.
func (a *app) eachOnce(t *testing.T, conns ...string) {
	t.Helper()
	a.Mu.Lock()
	defer a.Mu.Unlock()
	for _, conn := range conns {
		last, accepted := 0, map[int]int{}
		for _, c := range a.lives[conn].calls {
			last = max(last, c.seq)
			if c.accepted() {
				accepted[c.seq]++
			}
		}
		for seq := 1; seq <= last; seq++ {
			if accepted[seq] != 1 {
				t.Errorf("event %d of %s was accepted %d times", seq, conn, accepted[seq])
			}
		}
	}
}

func TestEventsThatTheAppHasNotTakenOutliveRestarts(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"plain":                        nil,
		"a journal":                    {"--journal", filepath.Join(t.TempDir(), "journal")},
		"pipelines":                    {"--callback-pipeline", "4", "--callback-concurrency", "2"},
		"metadata, replies and groups": {"--max-meta", "100", "--callback-reply", "--callback-groups"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const n, each = 8, 20
			app, dead := newApp(t), filepath.Join(t.TempDir(), "dead.jsonl") // not up yet
			k := newRestarts(t, app, slices.Concat(stopQuickly, args, []string{"--dead-letter", dead, "--loops", "2", "--resume-event"})...)
			g := k.start()
			var clients []*roamer
			for i := range n {
				c := g.roam(t, fmt.Sprint("user-", i))
				clients = append(clients, c)
				c.sends(each)
			}
			clients[0].cut()
			g.awaitAway(t, 1)
			clients[0].resume()
			plain := g.Connect(t, visitor{User: "plain"})
			plain.Send(numbered(0))
			if err := pingWhileReading(plain); err != nil {
				t.Fatal(err)
			}
			kept := n*(1+each) + 1
			leaves(t, g.stop(t), n, kept, 3, 3)
			if letters := deadLetters(t, dead); len(letters) != 3 || strings.Contains(strings.Join(letters, ""), "user-") {
				t.Errorf("%d dead letters", len(letters))
			}

			g = k.start() // the app still is not there
			g.found(t, "taken", n)
			g.foundEvents(t, "taken", float64(kept))
			g.expectMetric(t, "ws_gateway_callback_queue_events", float64(kept))
			clients[1].ended()
			clients[1].g, clients[1].farewell = g, ""
			clients[1].resume()
			clients[1].sends(each)
			kept += each + 1
			leaves(t, g.stop(t), n, kept, 0, 0)

			g = k.start()
			g.foundEvents(t, "taken", float64(kept))
			app.respond(func(*call) reply {
				return reply{header: map[string]string{"X-Ws-Join": "a"}}
			})
			app.start()
			for _, c := range clients {
				c.g, c.farewell = g, ""
				c.resume()
				if c.Received != uint64(len(c.said)) {
					t.Errorf("the gateway has %d of %d messages", c.Received, len(c.said))
				}
				c.sends(1)
				c.say(frame(fin|opClose, closePayload(4000, "enough")))
			}
			var conns []string
			for i, c := range clients {
				conns = append(conns, c.ID)
				app.whole(t, c.ID)
				app.inOrder(t, fmt.Sprint("user-", i), len(c.said))
			}
			app.eachOnce(t, conns...)
			leaves(t, g.stop(t), 0, 0, 0, 0)
			if letters := deadLetters(t, dead); len(letters) != 3 {
				t.Errorf("%d dead letters", len(letters))
			}
		})
	}
}

func TestAnEventUnderWayAtTheEndIsRepeatedWithItsIDAndItsAnswerCounts(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(func(c *call) reply {
		if c.event.Action == "message" {
			return reply{hold: make(chan struct{})} // it hangs
		}
		return reply{}
	})
	k := newRestarts(t, app, append(stopQuickly, "--callback-timeout", "10m", "--callback-reply")...)
	g := k.start()
	c := g.roam(t, "ann")
	conn := app.opened("ann")
	c.sends(3)
	app.awaitCall("the message", func(c *call) bool { return c.is("message", "ann") })
	began := time.Now()
	leaves(t, g.stop(t), 1, 3, 0, 0)
	if took := time.Since(began); took > harness.Patience {
		t.Errorf("it took %v", took)
	}
	app.respond(func(c *call) reply {
		return reply{header: map[string]string{"Content-Type": "text/plain"}, body: fmt.Sprint("answer to ", c.seq, " attempt ", c.attempt)}
	})
	c.ended()
	g = k.start()
	c.g, c.farewell = g, ""
	c.resume()
	c.expectGot("text answer to 2 attempt 2", "text answer to 3 attempt 1", "text answer to 4 attempt 1")
	c.say(frame(fin|opClose, closePayload(4000, "")))
	app.whole(t, conn)
	app.eachOnce(t, conn)
}

func TestTheCloseOfASessionThatDoesNotGoOnComesBehindItsEvents(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args  []string // of the next start
		fate  string
		ended float64
	}{
		"its client stays away": {[]string{"--resume-for", "2s"}, "taken", 4},
		"its time is over":      {nil, "expired", 4},
		"its loop is not there": {[]string{"--loops", "1"}, "no_loop", 2},
		"it cannot be resumed":  {[]string{"--resume-for", "0s"}, "resume_off", 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := newApp(t)
			k := newRestarts(t, app, append(stopQuickly, "--loops", "2", "--max-meta", "100")...)
			if test.fate == "expired" {
				k.args = append(k.args, "--resume-for", "30s")
			}
			g := k.start()
			var clients []*roamer
			for i := range 4 {
				c := g.roam(t, fmt.Sprint("user-", i))
				c.sends(5)
				clients = append(clients, c)
			}
			g.post("/tapr/ws/conn/meta", `{"users":["user-0","user-1","user-2","user-3"],"meta":{"n":1}}`).data(t)
			leaves(t, g.stop(t), 4, 24, 0, 0)
			if stopped := time.Now(); test.fate == "expired" {
				harness.Poll(t, "their time to be over", func() bool { return time.Since(stopped) > 31*time.Second })
			}
			app.start()
			g = k.start(test.args...)
			g.found(t, test.fate, test.ended)
			g.foundEvents(t, "taken", 24)
			app.awaitThat("the close events", func() bool { return app.ended >= int(test.ended) })
			ended := 0
			for i, c := range clients {
				user := fmt.Sprint("user-", i)
				app.inOrder(t, user, 5)
				app.eachOnce(t, c.ID)
				app.Mu.Lock()
				life := app.lives[c.ID]
				last := life.calls[len(life.calls)-1]
				if life.ended {
					ended++
					if e := last.event; e.Code != 1006 || last.seq != 7 || string(e.Meta) != `{"n":1}` {
						t.Errorf("%s: event %d is %s", user, last.seq, last.body)
					}
				}
				app.Mu.Unlock()
			}
			if ended != int(test.ended) {
				t.Errorf("%d have ended", ended)
			}
		})
	}
}

func TestIfTheFileCannotBeWrittenNothingIsKeptAndEachDeadLetterIsWrittenOnce(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, g *gateway, file string) (letters bool){
		"a full disk": func(_ *testing.T, g *gateway, _ string) bool { g.limitFiles(100); return false },
		"the folder is gone": func(t *testing.T, _ *gateway, file string) bool {
			if err := os.RemoveAll(filepath.Dir(file)); err != nil {
				t.Fatal(err)
			}
			return true
		},
	} {
		for _, up := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", the app is up: ", up), func(t *testing.T) {
				t.Parallel()
				app, dead := startApp(t), filepath.Join(t.TempDir(), "dead.jsonl")
				app.respond(func(c *call) reply {
					if c.seq == 2 && c.attempt == 1 {
						return reply{hold: make(chan struct{})} // until it is cut off
					}
					if !up {
						return reply{status: http.StatusServiceUnavailable}
					}
					return reply{}
				})
				k := newRestarts(t, app, append(stopQuickly, "--dead-letter", dead, "--callback-timeout", "10m")...)
				g := k.start()
				c := g.roam(t, "ann")
				c.sends(3)
				if up {
					app.opened("ann")
				}
				lettersToo := spoil(t, g, k.file)
				done := g.stop(t)
				g.logged(t, 1, "sessions cannot be written down")
				if up { // what was cut off for the file is delivered after all, then the close
					leaves(t, done, 0, 0, 0, 0)
					app.inOrder(t, "ann", 3)
					app.whole(t, c.ID)
					return
				}
				letters := 0
				if lettersToo {
					letters = 5
				}
				leaves(t, done, 0, 0, 5, letters)
				if !lettersToo {
					return
				}
				if got := deadLetters(t, dead); len(got) != 5 {
					t.Errorf("%d dead letters", len(got))
				}
			})
		}
	}
}

func TestASessionWhoseEventsHaveNoRoomEndsAndOthersGoOn(t *testing.T) {
	t.Parallel()
	app, dead := newApp(t), filepath.Join(t.TempDir(), "dead.jsonl")
	k := newRestarts(t, app, append(stopQuickly, "--dead-letter", dead)...)
	g := k.start()
	small, large, last := g.roam(t, "ann"), g.roam(t, "bob"), g.roam(t, "cid")
	small.sends(2)
	large.send(`"` + strings.Repeat("x", 100<<10) + `"`)
	large.sends(1)
	last.sends(2)
	leaves(t, g.stop(t), 3, 9, 0, 0)
	app.start()
	g = k.start("--callback-memory", "64KiB", "--callback-queue-bytes", "64KiB")
	g.found(t, "taken", 2)
	g.found(t, "no_room", 1)
	g.foundEvents(t, "taken", 6)
	g.foundEvents(t, "no_room", 3)
	line := g.logged(t, 1, "sessions of the last run", "--callback-memory has no room")[0]
	if line.Number("events") != 6 || line.Number("events_given_up") != 3 || line.Number("dead_letters") != 3 {
		t.Errorf("%s", line.Raw)
	}
	if e := app.closed("bob").event; e.Code != 1006 || e.Reason != "gateway restarted" || e.Initiator != "gateway" {
		t.Errorf("%+v", e)
	}
	if letters := deadLetters(t, dead); len(letters) != 3 {
		t.Errorf("%d dead letters", len(letters))
	}
	g.expectMetric(t, `ws_gateway_callbacks_failed_total{action="message"}`, 2)
	for user, c := range map[string]*roamer{"ann": small, "cid": last} {
		app.inOrder(t, user, 2)
		c.g = g
		c.resume()
		c.settled()
	}
	large.g = g
	large.begin()
	app.Mu.Lock() // that of bob has a close event alone
	delete(app.lives, app.acceptedLocked(func(c *call) bool { return c.is("close", "bob") })[0].event.Conn)
	app.Mu.Unlock()
}

func TestWithoutACallbackWhatWasKeptIsGivenUpAndCounted(t *testing.T) {
	t.Parallel()
	app := newApp(t)
	k := newRestarts(t, app, stopQuickly...)
	g := k.start()
	c := g.roam(t, "ann")
	c.sends(2)
	g.stop(t)
	k.app = nil
	g = k.start()
	g.found(t, "taken", 1)
	g.foundEvents(t, "no_callback", 3)
	g.logged(t, 1, "sessions of the last run", `"events_given_up":3`)
	c.g = g
	c.resume()
	c.settled()
}

func TestWhatIsCutOffForSessionsAloneIsDeliveredAfterThem(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(func(c *call) reply {
		if c.event.Action == "close" && c.attempt == 1 || c.event.Action == "message" {
			return reply{hold: make(chan struct{})}
		}
		return reply{}
	})
	k := newRestarts(t, app, "--shutdown-timeout", "10s", "--callback-timeout", "10m")
	g := k.start()
	c := g.roam(t, "ann")
	app.opened("ann")
	c.sends(1)
	g.Dial(t, "plain")
	app.opened("plain")
	leaves(t, g.stop(t), 1, 1, 0, 0)
	if closed := app.closed("plain"); closed.attempt != 2 || closed.event.Code != 1001 {
		t.Errorf("attempt %d: %s", closed.attempt, closed.body)
	}
}

func TestTheClustersJournalIsAskedBeforeWhatWasKeptIsDelivered(t *testing.T) {
	t.Parallel()
	for _, survives := range []bool{false, true} {
		t.Run(fmt.Sprint("others have sent the close events: ", survives), func(t *testing.T) {
			t.Parallel()
			nats, app := startWithJetStream(t), startApp(t)
			startKeeper(t, app, nats.URL(), 1)
			dead := "30s"
			if survives {
				dead = "6s"
			}
			k := newRestarts(t, app, append(stopQuickly, "--cluster", nats.URL(), "--cluster-app", "shop", "--cluster-name", memberName(0),
				"--cluster-journal", "--cluster-timeout", "1m", "--cluster-dead-after", dead, "--resume-for", "1h")...)
			g := k.start()
			c := g.roam(t, "ann")
			conn := app.opened("ann")
			g.recorded(t, 1)
			app.respond(func(c *call) reply {
				if c.event.Action == "message" {
					return reply{status: http.StatusServiceUnavailable}
				}
				return reply{}
			})
			c.sends(3)
			leaves(t, g.stop(t), 1, 3, 0, 0)
			if !survives {
				app.respond(nil)
				g = k.start()
				app.inOrder(t, "ann", 3)
				c.g = g
				c.resume()
				c.sends(1)
				app.inOrder(t, "ann", 4)
				app.eachOnce(t, conn)
				return
			}
			app.awaitLost(t, []string{conn})
			app.respond(nil)
			before := app.count()
			late := launch{app: nil, args: append(k.args, "--callback-url", app.url(), "--listen", "127.0.0.1:0")}.run(t)
			if code := late.Wait(harness.Patience); code != 1 {
				t.Errorf("exit code %d", code)
			}
			for _, call := range app.since(before) {
				if call.event.Conn == conn {
					t.Errorf("the app got %s", call.body)
				}
			}
		})
	}
}
