package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/coder/websocket"

	"ws-gateway/cmd/ws-gateway/api"
	"ws-gateway/cmd/ws-gateway/internal/terminal"
)

// patience is for how long a way back is looked for, even if the session waits less.
const patience = 30 * time.Second

// answerWithin is how long a connection lives on after an acknowledgement without anything
// having come. The gateway answers each; while it does not read, because the app is slow, it
// says so every 5 s.
const answerWithin = 10 * time.Second

// roaming is how a talk comes back after its connection is lost.
type roaming struct {
	target       *url.URL
	subprotocols []string // the user's
	dial         func(ctx context.Context, subprotocols []string) (*websocket.Conn, *http.Response, error)
	timeout      time.Duration // for a greeting
	cut          time.Duration // after which to cut each connection; 0: never
	away         time.Duration // how long to stay away then
	lastTry      time.Duration // for how long comeBack tries

	session session
	ackDue  <-chan time.Time // nil: there is nothing to acknowledge
	cutDue  <-chan time.Time
	deadAt  <-chan time.Time // when the connection is dead, unless something comes before; nil: nothing is expected

	// While there is no connection.
	lost    time.Time
	giveUp  context.CancelFunc
	returns chan dialed // gets one, from the goroutine that looks for a way back
}

// dialed is a connection, or why there is none.
type dialed struct {
	ws       *websocket.Conn
	response *http.Response
	greeting *greeting // nil: the gateway does not resume
	err      error
}

// connect makes a connection and reads its greeting.
func (r *roaming) connect(ctx context.Context, offer []string) (d dialed) {
	if d.ws, d.response, d.err = r.dial(ctx, offer); d.err != nil || d.ws.Subprotocol() != resumable {
		return d
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	kind, data, err := d.ws.Read(ctx)
	var g greeting
	if err == nil {
		g, err = parseGreeting(kind, data)
	}
	if err != nil {
		d.ws.CloseNow()
		return dialed{err: err}
	}
	d.greeting = &g
	return d
}

// start takes the greeting of the first connection. It returns false if the gateway does
// not resume.
func (r *roaming) start(d dialed) (resumes bool, err error) {
	if d.greeting == nil {
		return false, nil
	}
	_, err = r.session.begin(*d.greeting)
	r.armCut()
	return true, err
}

func (r *roaming) armCut() {
	if r.cut > 0 {
		r.cutDue = time.After(r.cut)
	}
}

// leave begins to look for a way back, after a delay.
func (r *roaming) leave(ctx context.Context, delay time.Duration) {
	ctx, r.giveUp = context.WithCancel(ctx)
	r.lost, r.ackDue, r.cutDue, r.deadAt = time.Now(), nil, nil, nil
	r.returns = make(chan dialed, 1)
	offer := r.session.offer(r.subprotocols)
	deadline := r.lost.Add(delay + max(patience, r.session.keptFor))
	go func(returns chan<- dialed) {
		window := 100 * time.Millisecond
		for {
			select {
			case <-time.After(delay):
			case <-ctx.Done():
			}
			d := r.connect(ctx, offer)
			if d.err == nil || ctx.Err() != nil || isFinal(d) || time.Now().After(deadline) {
				returns <- d
				return
			}
			delay = rand.N(window)
			window = min(2*window, 5*time.Second)
		}
	}(r.returns)
}

// stay undoes leave.
func (r *roaming) stay() {
	if r.returns == nil {
		return
	}
	r.giveUp()
	if d := <-r.returns; d.ws != nil {
		d.ws.CloseNow()
	}
	r.returns = nil
}

// isFinal reports whether another attempt would end in the same way.
func isFinal(d dialed) bool {
	if isFinalClose(d.err) {
		return true
	}
	if d.response == nil || d.response.StatusCode == http.StatusSwitchingProtocols {
		return false
	}
	switch status := d.response.StatusCode; status {
	case http.StatusNotFound, http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	default:
		return status < 500
	}
}

// isFinalClose reports whether a close frame ends the session: its code is the app's, or
// this client would be closed again.
func isFinalClose(err error) bool {
	closed, told := errors.AsType[websocket.CloseError](err)
	if !told {
		return false
	}
	switch closed.Code {
	case websocket.StatusNormalClosure, websocket.StatusProtocolError, websocket.StatusUnsupportedData,
		websocket.StatusInvalidFramePayloadData, websocket.StatusMessageTooBig, websocket.StatusMandatoryExtension:
		return true
	default:
		return closed.Code >= 3000
	}
}

// why says in a few words how a connection was lost.
func why(err error) string {
	if closed, told := errors.AsType[websocket.CloseError](err); told {
		return fmt.Sprintf("closed by the server: %d %s", closed.Code, closed.Reason)
	}
	if errors.Is(err, io.EOF) {
		return "the server has gone without a word"
	}
	return api.Root(err).Error()
}

// --- what a talk does in a session

// passed is about a message of either side.
func (t *talk) passed(ctx context.Context, bytes int) error {
	if t.roam.session.passed(bytes) {
		return t.acknowledge(ctx)
	}
	if t.roam.ackDue == nil {
		t.roam.ackDue = time.After(ackAfter)
	}
	return nil
}

func (t *talk) acknowledge(ctx context.Context) error {
	t.roam.ackDue = nil
	if t.ws == nil {
		return nil
	}
	if err := t.write(websocket.MessageText, t.roam.session.acknowledgement()); err != nil {
		return t.lose(ctx, err)
	}
	if t.roam.deadAt == nil {
		t.roam.deadAt = time.After(answerWithin)
	}
	return nil
}

// sendKept sends what was not sent on this connection.
func (t *talk) sendKept(ctx context.Context) error {
	for t.ws != nil {
		m, more := t.roam.session.next()
		if !more {
			return nil
		}
		if err := t.write(m.kind, m.data); err != nil {
			return t.lose(ctx, err)
		}
		if err := t.passed(ctx, len(m.data)); err != nil {
			return err
		}
	}
	return nil
}

// lose is for a connection that has failed. If the server has said that it is the end, it is.
func (t *talk) lose(ctx context.Context, failure error) error {
	t.ws.CloseNow()
	for a := range t.arrivals {
		if _, told := errors.AsType[websocket.CloseError](a.err); told {
			failure = a.err
		}
	}
	if isFinalClose(failure) {
		return t.ended(failure)
	}
	t.s.note("connection lost: %s", why(failure))
	t.goAway(ctx, 0)
	return nil
}

// goAway drops the connection, and looks for a way back after a delay.
func (t *talk) goAway(ctx context.Context, delay time.Duration) {
	t.hangUp()
	t.roam.leave(ctx, delay)
}

// returned takes the connection on which the session goes on, or begins anew.
func (t *talk) returned(ctx context.Context, d dialed) error {
	r := t.roam
	r.returns = nil
	r.giveUp()
	if ctx.Err() != nil && d.ws == nil {
		return nil // it was given up
	}
	switch _, told := errors.AsType[websocket.CloseError](d.err); {
	case told:
		return t.ended(d.err)
	case d.err != nil:
		return refusedHandshake(r.target, d.response, d.err)
	}
	t.ws = d.ws
	t.listen()
	after := time.Since(r.lost).Round(time.Millisecond)
	if d.greeting == nil {
		t.s.note("session lost: after %v the gateway cannot resume any more", after)
		rest := r.session.kept[r.session.handed:]
		t.told(r.session.kept[:r.session.handed])
		t.roam = nil
		for _, m := range rest {
			if err := t.write(m.kind, m.data); err != nil {
				return t.broken(err)
			}
		}
		return nil
	}
	lost, err := r.session.begin(*d.greeting)
	if err != nil {
		return err
	}
	if d.greeting.Resumed {
		t.s.note("resumed after %v; to be sent again: %d", after, len(r.session.kept))
	} else {
		t.s.note("session lost: after %v the gateway has it no more; this is connection %s", after, r.session.id)
		t.told(lost)
	}
	r.armCut()
	return t.sendKept(ctx)
}

// lastTry is for how long a client that is done tries to come back.
const lastTry = 2 * time.Second

// comeBack comes back from away once more, so that what waits is sent and the session can be
// ended, which would wait for its time otherwise: app and gateway would take the client for
// one that comes back. It is an error if the session has ended, or a message may be lost.
func (t *talk) comeBack() error {
	r := t.roam
	r.stay()
	ctx, cancel := context.WithTimeout(context.Background(), r.lastTry)
	defer cancel()
	d := r.lastConnect(ctx, t.waiting() > 0)
	_, told := errors.AsType[websocket.CloseError](d.err)
	switch {
	case d.err == nil, told:
		return t.returned(ctx, d)
	case t.waiting() > 0:
		return fmt.Errorf("%s may not have arrived: %w", terminal.Plural(t.waiting(), "message"), refusedHandshake(r.target, d.response, d.err))
	}
	return nil
}

// lastConnect connects at once. Only if that is worth it does it try again until ctx ends;
// then it returns what the last try has come to that was not cut short.
func (r *roaming) lastConnect(ctx context.Context, again bool) (d dialed) {
	const pause = 100 * time.Millisecond
	offer := r.session.offer(r.subprotocols)
	for first := true; ; first = false {
		switch next := r.connect(ctx, offer); {
		case next.err == nil || !again || isFinal(next):
			return next
		case first || ctx.Err() == nil:
			d = next
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return d
		}
	}
}

// waiting is how many messages the gateway may not have.
func (t *talk) waiting() int {
	if t.roam == nil {
		return 0
	}
	return len(t.roam.session.kept)
}

// told tells of messages of a session that is over.
func (t *talk) told(uncertain []message) {
	if len(uncertain) > 0 {
		t.s.note("%d messages may have arrived or not; they are not sent again", len(uncertain))
	}
}
