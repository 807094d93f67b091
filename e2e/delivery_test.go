package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ws-gateway/e2e/harness"
)

// numbered is the n-th message of a test that counts.
func numbered(n int) string { return fmt.Sprintf(`{"n":%d}`, n) }

// inOrder requires the user's accepted messages to be numbered from 0 to n-1.
func (a *app) inOrder(t testing.TB, user string, n int) {
	t.Helper()
	a.message(user, n)
	messages := a.accepted(func(c *call) bool { return c.is("message", user) })
	if len(messages) != n {
		t.Errorf("%d messages of %s, want %d", len(messages), user, n)
	}
	for i, c := range messages {
		if string(c.event.Data) != numbered(i) {
			t.Fatalf("message %d of %s is %s", i, user, c.event.Data)
		}
	}
}

func TestAnAppThatIsNotStartedYetGetsEverythingOnceItIs(t *testing.T) {
	t.Parallel()
	app := newApp(t)
	g := startGateway(t, app)
	conns := make([]*client, 20)
	for i := range conns {
		conns[i] = g.Dial(t, fmt.Sprint("user", i))
		for n := range 10 {
			conns[i].Send(numbered(n))
		}
	}
	conns[0].Close(4000, "")
	app.start()
	for i := range conns {
		app.inOrder(t, fmt.Sprint("user", i), 10)
	}
	app.closedAs(t, "user0", 4000, "client")
}

func TestAnAppThatDiesAndComesBackMissesNothingAndTheOrderIsKept(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	const users, messages = 8, 300
	half := make(chan struct{}, users)
	var sending sync.WaitGroup
	for u := range users {
		c := g.Dial(t, fmt.Sprint("user", u))
		sending.Go(func() {
			for n := range messages {
				if n == messages/2 {
					half <- struct{}{}
				}
				if c.Write(1, numbered(n)) != nil {
					t.Errorf("user%d was cut off", u)
					return
				}
			}
		})
	}
	for range users {
		<-half
	}
	app.stop()
	// Events that were on their way now fail; some new ones must as well.
	g.Dial(t, "meanwhile").Send(numbered(0))
	app.start()
	sending.Wait()
	for u := range users {
		app.inOrder(t, fmt.Sprint("user", u), messages)
	}
	app.inOrder(t, "meanwhile", 1)
}

func TestAFailingAppIsTriedAgainWithTheSameRequestId(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	for _, status := range []int{408, 425, 429, 500, 502, 503, 504} {
		app.respond(failFirst(2, reply{status: status}))
		g := startGateway(t, app)
		user := fmt.Sprint("user", status)
		g.Dial(t, user).Send(numbered(0))
		app.inOrder(t, user, 1)
		for _, action := range []string{"open", "message"} {
			attempts := app.attempts(func(c *call) bool { return c.is(action, user) })
			if len(attempts) != 3 {
				t.Fatalf("%d: %d attempts of %s, want 3", status, len(attempts), action)
			}
			for i, c := range attempts {
				if c.attempt != i+1 || c.requestID != attempts[0].requestID {
					t.Errorf("%d: attempt %d is X-Attempt %d of %s", status, i+1, c.attempt, c.requestID)
				}
			}
		}
	}
}

// failFirst answers the first attempts of every event with r, later ones with 200.
func failFirst(attempts int, r reply) func(*call) reply {
	return func(c *call) reply {
		if c.attempt <= attempts {
			return r
		}
		return reply{}
	}
}

func TestAnAppThatCutsTheConnectionIsTriedAgain(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(failFirst(1, reply{drop: true}))
	g := startGateway(t, app)
	c := g.Dial(t, "alice")
	for n := range 5 {
		c.Send(numbered(n))
	}
	app.inOrder(t, "alice", 5)
}

func TestAnAppThatHangsIsGivenUpAfterTheTimeoutAndTriedAgain(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	never := make(chan struct{})
	app.respond(failFirst(1, reply{hold: never}))
	g := startGateway(t, app, "--callback-timeout", "500ms")
	start := time.Now()
	g.Dial(t, "alice").Send(numbered(0))
	app.inOrder(t, "alice", 1)
	if passed := time.Since(start); passed < time.Second {
		t.Errorf("open and message got through in %v, before two timeouts of 500ms", passed)
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(failFirst(1, reply{status: 503, header: map[string]string{"Retry-After": "2"}}))
	g := startGateway(t, app)
	g.Dial(t, "alice")
	app.awaitAccepted("open", func(c *call) bool { return c.is("open", "alice") })
	attempts := app.attempts(func(c *call) bool { return c.is("open", "alice") })
	if gap := attempts[1].arrived.Sub(attempts[0].arrived); gap < 1900*time.Millisecond {
		t.Errorf("the second attempt came after %v, want 2s", gap)
	}
}

func TestAnyOtherStatusFailsTheEventAtOnceAndTheNextOneGoesOn(t *testing.T) {
	t.Parallel()
	for _, status := range []int{302, 304, 307, 400, 401, 404, 409, 413} {
		t.Run(fmt.Sprint(status), func(t *testing.T) { // each with a gateway of its own, as several failures are trouble, which is summed up
			t.Parallel()
			app := startApp(t)
			app.respond(func(c *call) reply {
				answer := reply{header: map[string]string{"Location": "/elsewhere"}}
				if string(c.event.Data) == numbered(0) {
					answer.status = status
				}
				return answer
			})
			g := startGateway(t, app)
			c := g.Connect(t, visitor{User: "alice", Cookie: "id=" + secret})
			c.Send(numbered(0))
			c.Send(numbered(1))
			app.message("alice", 1)
			messages := app.attempts(func(c *call) bool { return c.is("message", "alice") })
			if len(messages) != 2 || string(messages[1].event.Data) != numbered(1) {
				t.Errorf("%d attempts for two messages", len(messages))
			}
			failed := messages[0].requestID
			if _, ok := g.Log.Await(harness.Patience, func(l logLine) bool { return l.Has(failed, fmt.Sprint(status)) }); !ok {
				t.Errorf("the log does not name %s and its status", failed)
			}
			g.logged(t, 1, strings.ToLower(failed))
			for _, c := range app.attempts(func(*call) bool { return true }) {
				if c.path != callbackPath {
					t.Errorf("the redirect to %s was followed", c.path)
				}
			}
		})
	}
}

func TestOnlyTheSlowAnswersOwnConnectionWaits(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	release := make(chan struct{})
	app.respond(func(c *call) reply {
		if c.is("message", "slow") {
			return reply{hold: release}
		}
		return reply{}
	})
	g := startGateway(t, app, "--callback-timeout", "10m")
	slow := g.Dial(t, "slow")
	slow.Send(numbered(0))
	slow.Send(numbered(1))
	app.awaitCall("the slow message", func(c *call) bool { return c.is("message", "slow") })

	const others, messages = 10, 100
	var sending sync.WaitGroup
	for u := range others {
		c := g.Dial(t, fmt.Sprint("user", u))
		sending.Go(func() {
			for n := range messages {
				if err := c.Write(1, numbered(n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for u := range others {
		app.inOrder(t, fmt.Sprint("user", u), messages)
	}
	sending.Wait()
	if n := len(app.attempts(func(c *call) bool { return c.is("message", "slow") })); n != 1 {
		t.Errorf("%d messages of the slow connection arrived while its first was unanswered", n)
	}
	close(release)
	app.inOrder(t, "slow", 2)
}

func TestAsManyCallbacksAsConfiguredAreInFlightAndNoMore(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	release := make(chan struct{})
	app.respond(func(*call) reply { return reply{hold: release} })
	g := startGateway(t, app, "--callback-concurrency", "5")
	for u := range 12 {
		g.Dial(t, fmt.Sprint("user", u))
	}
	app.awaitThat("5 calls in flight", func() bool { return len(app.calls) == 5 })
	// An event more would be in flight by now if there were a sixth worker:
	// all twelve have been listed, so their open events are queued.
	harness.Poll(t, "all to be listed", func() bool { return g.connections() == 12 })
	if n := len(app.attempts(func(*call) bool { return true })); n != 5 {
		t.Errorf("%d calls in flight, want 5", n)
	}
	close(release)
	app.awaitThat("all opens", func() bool { return len(app.acceptedLocked(func(*call) bool { return true })) == 12 })
}

func TestAnEventThatFailsForGoodGoesToTheDeadLetterFile(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(func(c *call) reply {
		if c.event.Action == "message" {
			return reply{status: http.StatusBadRequest}
		}
		return reply{}
	})
	dead := t.TempDir() + "/dead.jsonl"
	g := startGateway(t, app, "--dead-letter", dead)
	c := g.Connect(t, visitor{User: "alice", Cookie: "id=" + secret})
	payload := `{"event":"x","data":"` + secret + `payload"}`
	c.Send(payload)
	conn := app.opened("alice")
	c.Close(1000, "")
	app.closed("alice")
	failed := app.attempts(func(c *call) bool { return c.event.Action == "message" })
	if len(failed) != 1 {
		t.Fatalf("%d attempts, want 1", len(failed))
	}
	letters := deadLetters(t, dead)
	if len(letters) != 1 {
		t.Fatalf("%d dead letters, want 1", len(letters))
	}
	for _, part := range []string{payload, conn, failed[0].requestID, "alice"} {
		if !letterHas(letters[0], part) {
			t.Errorf("the dead letter lacks %q: %s", part, letters[0])
		}
	}
}

func TestAnEventThatCannotBeDeliveredInTimeFailsAndTheNextOneIsTried(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(func(c *call) reply {
		if string(c.event.Data) == numbered(0) {
			return reply{status: http.StatusInternalServerError}
		}
		return reply{}
	})
	dead := t.TempDir() + "/dead.jsonl"
	g := startGateway(t, app, "--callback-retry-for", "1s", "--dead-letter", dead)
	c := g.Dial(t, "alice")
	c.Send(numbered(0))
	c.Send(numbered(1))
	app.awaitAccepted("the second message", func(c *call) bool { return string(c.event.Data) == numbered(1) })
	if n := len(app.attempts(func(c *call) bool { return string(c.event.Data) == numbered(0) })); n < 2 {
		t.Errorf("%d attempts of the first message", n)
	}
	if n := len(deadLetters(t, dead)); n != 1 {
		t.Errorf("%d dead letters, want 1", n)
	}
}
