package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ws-gateway/e2e/described"
	"ws-gateway/e2e/harness"
)

const callbackPath = "/websocket/message"

// heldToDescription is how many of an app's first callbacks are all held to
// docs/openapi.yaml; later, one in 16 is. It is much of the CPU of tests that have thousands.
const heldToDescription = 300

// app is the HTTP server beside the gateway. It records every callback and
// answers as the test says: 200, unless respond was called.
type app struct {
	t      testing.TB
	port   *port
	server *http.Server
	served sync.WaitGroup
	seen   atomic.Int64 // callbacks

	watched  // guards what follows
	calls    []*call
	lives    map[string]*life
	ended    int             // lives with an accepted close event
	accepts  []*call         // that the app has accepted, in this order
	took     map[string]bool // their request ids
	counts   map[string]int  // how many events of these were accepted, by what kind returns
	answers  func(*call) reply
	handling int // requests
	down     bool
	killed   bool // gateways are killed at any moment
}

// call is one attempt to deliver one event.
type call struct {
	arrival int // place among all calls
	arrived time.Time
	path    string
	header  http.Header
	body    []byte

	requestID string
	seq       int
	attempt   int
	event     event

	status   int // that the app answered; 0 before that, dropped or abandoned without
	finished bool
}

// event is the body of a callback.
type event struct {
	Data      json.RawMessage `json:"data"`
	Encoding  string          `json:"encoding"`
	Action    string          `json:"action"`
	User      string          `json:"user_name"`
	Conn      string          `json:"conn_id"`
	Code      int             `json:"code"`
	Reason    string          `json:"reason"`
	Initiator string          `json:"initiator"`
	Meta      json.RawMessage `json:"meta"`
	Request   *struct {
		URI        string `json:"uri"`
		RemoteAddr string `json:"remote_addr"`
		UserAgent  string `json:"user_agent"`
		Origin     string `json:"origin"`
	} `json:"request"`
}

// life is what the app knows of one connection.
type life struct {
	calls []*call // by arrival
	user  string
	ended bool // a close event was accepted
}

// reply is the app's answer to a call. The zero value is 200 with no body.
type reply struct {
	status int
	header map[string]string
	body   string
	hold   <-chan struct{} // answer when this is closed, unless the gateway gives up before
	drop   bool            // close the connection instead of answering
}

// newApp reserves a port for an app that is down; start brings it up.
func newApp(t testing.TB) *app {
	t.Helper()
	a := &app{t: t, port: reservePort(t), lives: make(map[string]*life), took: make(map[string]bool), counts: make(map[string]int)}
	t.Cleanup(func() {
		a.stop()
		for _, wrong := range a.violations() {
			t.Error(wrong)
		}
	})
	return a
}

// startApp returns an app that is up.
func startApp(t testing.TB) *app {
	t.Helper()
	a := newApp(t)
	a.start()
	return a
}

func (a *app) url() string {
	return "http://127.0.0.1:" + strconv.Itoa(a.port.number) + callbackPath
}

func (a *app) start() {
	a.t.Helper()
	a.Mu.Lock()
	a.down = false
	a.Mu.Unlock()
	listener := a.port.open(a.t)
	a.server = &http.Server{Handler: a, ErrorLog: log.New(io.Discard, "", 0), ConnContext: withConn}
	a.served.Add(1)
	go func(server *http.Server) {
		defer a.served.Done()
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.t.Errorf("the app's server: %v", err)
		}
	}(a.server)
}

// stop takes the app down in the middle of whatever it does: connections are
// cut, new ones refused.
func (a *app) stop() {
	if a.server == nil {
		return
	}
	a.Mu.Lock()
	a.down = true
	a.Mu.Unlock()
	_ = a.server.Close()
	a.port.refuse()
	a.served.Wait()
	a.server = nil
	a.awaitThat("its requests to end", func() bool { return a.handling == 0 })
}

// dropIdle closes the connections on which nothing happens, as an app does whose
// keep-alive ends.
func (a *app) dropIdle() {
	a.server.SetKeepAlivesEnabled(false)
	a.server.SetKeepAlivesEnabled(true)
}

// respond sets how calls are answered from now on. It is called on the
// goroutine of the call, after the call was recorded, and must not block.
func (a *app) respond(answers func(*call) reply) {
	a.Mu.Lock()
	defer a.Mu.Unlock()
	a.answers = answers
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !a.enter() {
		panic(http.ErrAbortHandler)
	}
	defer a.leave()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // cut short by stop
	}
	c, answers := a.record(r, body)
	if c == nil {
		panic(http.ErrAbortHandler)
	}
	var answer reply
	if answers != nil {
		answer = answers(c)
	}
	if answer.hold != nil {
		select {
		case <-answer.hold:
		case <-r.Context().Done():
			answer.drop = true
		}
	}
	if answer.drop {
		a.finish(c, 0)
		panic(http.ErrAbortHandler)
	}
	if answer.status == 0 {
		answer.status = http.StatusOK
	}
	// Before the answer is on its way, or the next event could overtake this line.
	a.finish(c, answer.status)
	for name, value := range answer.header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(answer.status)
	_, _ = io.WriteString(w, answer.body)
}

// enter and leave count requests, so that stop can wait for them.
func (a *app) enter() bool {
	a.Mu.Lock()
	defer a.Mu.Unlock()
	if !a.down {
		a.handling++
	}
	return !a.down
}

func (a *app) leave() {
	a.Mu.Lock()
	defer a.Mu.Unlock()
	a.handling--
	a.Changed()
}

// record returns nil for a request that the gateway has given up and sent again before the
// app, on a busy machine, came to it: it is as one that did not arrive.
func (a *app) record(r *http.Request, body []byte) (*call, func(*call) reply) {
	c := &call{arrived: time.Now(), path: r.URL.RequestURI(), header: r.Header, body: body, seq: -1}
	c.requestID = r.Header.Get("X-Request-Id")
	c.attempt, _ = strconv.Atoi(r.Header.Get("X-Attempt"))
	if dash := strings.LastIndexByte(c.requestID, '-'); dash >= 0 {
		if seq, err := strconv.Atoi(c.requestID[dash+1:]); err == nil {
			c.seq = seq
		}
	}
	if err := json.Unmarshal(body, &c.event); err != nil {
		a.t.Errorf("a callback's body is not JSON: %v: %q", err, body)
	}
	if n := a.seen.Add(1); n <= heldToDescription || n%16 == 0 {
		if err := described.Callback(r.Header, body); err != nil && r.UserAgent() == "ws-gateway" {
			a.t.Errorf("docs/openapi.yaml: a callback: %v\n%.500q", err, body)
		}
	}

	a.Mu.Lock()
	defer a.Mu.Unlock()
	l := a.lives[c.event.Conn]
	if l != nil && l.overtook(c) && callerGone(r) {
		return nil, nil
	}
	c.arrival = len(a.calls)
	a.calls = append(a.calls, c)
	if l == nil {
		l = &life{user: c.event.User}
		a.lives[c.event.Conn] = l
	}
	for _, earlier := range l.calls {
		if !earlier.finished && earlier.requestID != c.requestID {
			a.t.Errorf("%s arrived while %s was unanswered", c.requestID, earlier.requestID)
		}
	}
	l.calls = append(l.calls, c)
	a.Changed()
	return c, a.answers
}

func (a *app) finish(c *call, status int) {
	a.Mu.Lock()
	defer a.Mu.Unlock()
	c.status, c.finished = status, true
	if c.accepted() {
		a.accepts = append(a.accepts, c)
		if !a.took[c.requestID] {
			a.took[c.requestID] = true
			a.counts[kind(c.event.Action, c.event.User)]++
		}
	}
	if l := a.lives[c.event.Conn]; c.accepted() && c.event.Action == "close" && !l.ended {
		l.ended = true
		a.ended++
	}
	a.Changed()
}

// overtook reports whether a call that was sent later than c arrived before it.
func (l *life) overtook(c *call) bool {
	last := l.calls[len(l.calls)-1]
	return last.seq > c.seq || last.seq == c.seq && last.attempt > c.attempt
}

// connKey is where a request's context has its connection.
type connKey struct{}

func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// callerGone reports whether the other side has closed the request's connection.
func callerGone(r *http.Request) (gone bool) {
	conn, ok := r.Context().Value(connKey{}).(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return true // we have closed it, as the other side had
	}
	if err := raw.Control(func(fd uintptr) {
		n, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		gone = n == 0 && err == nil || errors.Is(err, unix.ECONNRESET)
	}); err != nil {
		return true
	}
	return gone
}

func (c *call) accepted() bool { return c.status/100 == 2 }

// kind is a key for the events of a user with an action.
func kind(action, user string) string { return action + " of " + user }

// is reports whether the call carries this action of this user.
func (c *call) is(action, user string) bool {
	return c.event.Action == action && c.event.User == user
}

// awaitCall returns the first call, past or future, that match likes.
func (a *app) awaitCall(what string, match func(*call) bool) *call {
	a.t.Helper()
	var found *call
	seen := 0
	if !a.Await(harness.Patience, func() bool {
		for ; seen < len(a.calls) && found == nil; seen++ {
			if match(a.calls[seen]) {
				found = a.calls[seen]
			}
		}
		return found != nil
	}) {
		a.t.Fatalf("the app waited %v in vain for %s", harness.Patience, what)
	}
	return found
}

// awaitAccepted returns the first call that match likes and that the app has
// answered with success.
func (a *app) awaitAccepted(what string, match func(*call) bool) *call {
	a.t.Helper()
	var found *call
	seen := 0
	if !a.Await(harness.Patience, func() bool {
		for ; seen < len(a.accepts) && found == nil; seen++ {
			if match(a.accepts[seen]) {
				found = a.accepts[seen]
			}
		}
		return found != nil
	}) {
		a.t.Fatalf("the app waited %v in vain for %s to be accepted", harness.Patience, what)
	}
	return found
}

// opened waits for the user's open event and returns the connection's id.
func (a *app) opened(user string) (conn string) {
	a.t.Helper()
	return a.awaitCall("open of "+user, func(c *call) bool { return c.is("open", user) }).event.Conn
}

// closed waits until the user's close event is accepted.
func (a *app) closed(user string) *call {
	a.t.Helper()
	return a.awaitAccepted("close of "+user, func(c *call) bool { return c.is("close", user) })
}

// message waits for the user's n-th message event, counted from 1, to be accepted.
func (a *app) message(user string, n int) *call {
	a.t.Helper()
	var found *call
	a.awaitThat(fmt.Sprintf("message %d of %s", n, user), func() bool {
		if a.counts[kind("message", user)] < n {
			return false
		}
		found = a.acceptedLocked(func(c *call) bool { return c.is("message", user) })[n-1]
		return true
	})
	return found
}

// awaitThat waits for a condition on the app's state; cond is called with it locked.
func (a *app) awaitThat(what string, cond func() bool) {
	a.t.Helper()
	if !a.Await(harness.Patience, cond) {
		a.t.Fatalf("the app waited %v in vain: %s", harness.Patience, what)
	}
}

// accepted returns the accepted calls that match likes, one for each request
// id, by arrival.
func (a *app) accepted(match func(*call) bool) []*call {
	a.Mu.Lock()
	defer a.Mu.Unlock()
	return a.acceptedLocked(match)
}

func (a *app) acceptedLocked(match func(*call) bool) (found []*call) {
	seen := make(map[string]bool)
	for _, c := range a.calls {
		if c.accepted() && !seen[c.requestID] && match(c) {
			seen[c.requestID] = true
			found = append(found, c)
		}
	}
	return found
}

// attempts returns all calls that match likes, by arrival.
func (a *app) attempts(match func(*call) bool) (found []*call) {
	a.Mu.Lock()
	defer a.Mu.Unlock()
	for _, c := range a.calls {
		if match(c) {
			found = append(found, c)
		}
	}
	return found
}
