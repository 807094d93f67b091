package e2e_test

import (
	"bytes"
	"fmt"
	"math"
	"testing"
)

// violations checks what section 4 of the contract promises of every
// connection at every moment, and returns a sentence for each breach.
func (a *app) violations() (wrong []string) {
	a.Mu.Lock()
	defer a.Mu.Unlock()
	for conn, l := range a.lives {
		if len(wrong) > 20 {
			return append(wrong, "and more")
		}
		wrong = append(wrong, l.violations(conn, a.killed)...)
	}
	return wrong
}

// lost reports whether the call is the close event of a connection whose gateway
// died: such has the highest number that there is.
func (c *call) lost() bool {
	return c.seq == math.MaxUint32 && c.event.Action == "close" && c.event.Initiator == "gateway"
}

// violations is about one connection. Killed says that a gateway was killed at any
// moment: it may have had no time to send the open event of a connection that it had
// recorded, or to record a close that the app has taken. The next one sends a close then.
func (l *life) violations(conn string, killed bool) (wrong []string) {
	complain := func(c *call, format string, args ...any) {
		wrong = append(wrong, fmt.Sprintf("connection %q of %q, %s %q attempt %d: ", conn, l.user, c.event.Action, c.requestID, c.attempt)+
			fmt.Sprintf(format, args...))
	}
	var previous *call
	cookie := ""
	for _, c := range l.calls {
		if previous == nil || c.event.Action == "resumed" { // with the new handshake's
			cookie = c.header.Get("Cookie")
		}
		switch {
		case c.requestID != fmt.Sprintf("%s-%d", conn, c.seq):
			complain(c, "X-Request-Id is not <conn_id>-<seq>")
		case c.event.User != l.user:
			complain(c, "user_name is %q", c.event.User)
		case c.header.Get("Cookie") != cookie:
			complain(c, "Cookie is %q, it was %q", c.header.Get("Cookie"), cookie)
		case c.header.Get("Content-Type") != "application/json":
			complain(c, "Content-Type is %q", c.header.Get("Content-Type"))
		case previous == nil:
			if c.event.Action != "open" && !(killed && c.lost()) {
				complain(c, "the first event is not open")
			}
			if c.attempt < 1 {
				complain(c, "X-Attempt counts from 1")
			}
		case c.seq == previous.seq:
			if c.attempt <= previous.attempt {
				complain(c, "X-Attempt did not go on from %d", previous.attempt)
			}
			if !bytes.Equal(c.body, previous.body) {
				complain(c, "the body is not the same as before: %q, %q", previous.body, c.body)
			}
		case c.seq != previous.seq+1 && !c.lost():
			complain(c, "came after %s", previous.requestID)
		case previous.event.Action == "close" && !(c.lost() && (killed || !previous.accepted())):
			complain(c, "came after the close event")
		case c.event.Action == "open":
			complain(c, "a second open event")
		case c.attempt < 1:
			complain(c, "X-Attempt counts from 1")
		}
		previous = c
	}
	return wrong
}

// whole fails the test unless the connection had exactly one open and one close
// event, both accepted, and every event between them was accepted too.
func (a *app) whole(t testing.TB, conn string) {
	t.Helper()
	a.awaitThat("close of connection "+conn, func() bool { return a.lives[conn] != nil && a.lives[conn].ended })
	a.Mu.Lock()
	defer a.Mu.Unlock()
	if wrong := a.lives[conn].incomplete(); wrong != "" {
		t.Errorf("connection %s of %q: %s", conn, a.lives[conn].user, wrong)
	}
}

// incomplete says what is missing from, or too much in, a life that has ended.
func (l *life) incomplete() string {
	events := make(map[int]*call) // the last attempt of each
	for _, c := range l.calls {
		events[c.seq] = c
	}
	opens, closes := 0, 0
	for _, c := range events {
		switch c.event.Action {
		case "open":
			opens++
		case "close":
			closes++
		}
		if !c.accepted() {
			return fmt.Sprintf("%s %s was never accepted", c.event.Action, c.requestID)
		}
	}
	if opens != 1 || closes != 1 {
		return fmt.Sprintf("%d open and %d close events", opens, closes)
	}
	return ""
}
