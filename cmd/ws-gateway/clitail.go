package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"ws-gateway/cmd/ws-gateway/internal/terminal"
)

const (
	// quietFor is how long a stream may say nothing, where a gateway sends a line
	// every ten seconds.
	quietFor = 30 * time.Second
	// maxEventLine bounds a line, whose payload is cut by the gateway.
	maxEventLine = 1 << 20

	firstRetry = 250 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// tailOptions are what tail has.
type tailOptions struct {
	User    []string `sep:"none" placeholder:"NAME" help:"Only events of this user. Repeatable."`
	Conn    []string `sep:"none" placeholder:"ID" help:"Only events of this connection. Repeatable."`
	Action  []string `oneof:"open,message,ping,send,close" placeholder:"ACTION" help:"Only these: open, message, ping (a client's ping message), send, close. Default: all but ping. Repeatable."`
	Payload bool     `help:"Show what is in the messages, cut at 1 KiB."`
	Rate    int      `default:"100" min:"1" max:"1000" help:"Events a second, at most; of what is left out the number is shown."`
	JSON    bool     `name:"json" help:"Print each event as a line of JSON, as the gateway sends it."`
	gatewayOptions
}

// endsBySignal: it runs until then.
func (*tailOptions) endsBySignal() {}

// liveEvent is a line of the stream.
type liveEvent struct {
	Time       time.Time       `json:"time"`
	Action     string          `json:"action"`
	User       string          `json:"user_name"`
	Conn       string          `json:"conn_id"`
	RemoteAddr string          `json:"remote_addr"`
	Size       int             `json:"size"`
	Data       json.RawMessage `json:"data"`
	Encoding   string          `json:"encoding"`
	Truncated  bool            `json:"truncated"`
	Code       int             `json:"code"`
	Reason     string          `json:"reason"`
	Initiator  string          `json:"initiator"`
	Dropped    uint64          `json:"dropped"`
}

func (o *tailOptions) query() url.Values {
	query := url.Values{"rate": {strconv.Itoa(o.Rate)}}
	for name, list := range map[string][]string{"user": o.User, "conn_id": o.Conn, "action": o.Action} {
		if len(list) > 0 {
			query[name] = list
		}
	}
	if o.Payload {
		query.Set("payload", "1")
	}
	return query
}

func (o *tailOptions) run(ctx context.Context, s *clientIO) error {
	m, err := o.manager(s.env)
	if err != nil {
		return err
	}
	t := &tail{manager: m, again: func() (*manager, error) { return o.manager(s.env) }, query: o.query(), asJSON: o.JSON, s: s}
	return t.follow(ctx)
}

// tail follows a gateway, across its restarts.
type tail struct {
	manager *manager
	again   func() (*manager, error) // finds the gateway anew
	query   url.Values
	asJSON  bool
	s       *clientIO

	begun  bool      // there has been a stream
	since  time.Time // when it broke; zero while there is one
	noted  string    // the last note about that
	errOut error     // of the output, which ends it
}

// follow returns nil once ctx ends. A gateway that cannot be asked at the
// beginning is an error, as is one that refuses; one that goes away later is
// waited for.
func (t *tail) follow(ctx context.Context) error {
	wait := firstRetry
	for {
		err := t.stream(ctx)
		refused, no := errors.AsType[*refusedError](err)
		switch {
		case ctx.Err() != nil:
			return nil
		case t.errOut != nil:
			return t.errOut
		case !t.begun, no && !refused.passing():
			return err
		case t.since.IsZero():
			t.since, wait = time.Now(), firstRetry
		}
		if text := err.Error(); text != t.noted {
			t.s.note("%s; trying again", text)
			t.noted = text
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait/2 + rand.N(wait/2)):
		}
		wait = min(2*wait, lastRetry)
		// The stream may have ended because the token is another one now, which the
		// file or the gateway's configuration has. What cannot be read was good before.
		if m, err := t.again(); err == nil {
			t.manager.client.CloseIdleConnections()
			t.manager = m
		}
	}
}

// stream prints what one request brings.
func (t *tail) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	response, err := t.manager.open(ctx, http.MethodGet, "/tapr/ws/conn/events", t.query, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if !t.since.IsZero() {
		t.s.note("the gateway is back after %v; what happened meanwhile is not shown", time.Since(t.since).Round(100*time.Millisecond))
	}
	t.begun, t.since, t.noted = true, time.Time{}, ""
	quiet := time.AfterFunc(quietFor, func() { cancel(errQuiet) })
	defer quiet.Stop()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxEventLine)
	for lines.Scan() {
		quiet.Reset(quietFor)
		if t.errOut = t.print(lines.Bytes()); t.errOut != nil {
			return t.errOut
		}
	}
	err = lines.Err()
	if errors.Is(context.Cause(ctx), errQuiet) {
		err = errQuiet
	}
	if err == nil {
		err = io.EOF
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the gateway has gone")
	}
	return err
}

var errQuiet = fmt.Errorf("the gateway has said nothing for %v", quietFor)

// print prints a line of the stream. Lines of a kind that is not known, heartbeats
// among them, are left out.
func (t *tail) print(line []byte) error {
	var e liveEvent
	if json.Unmarshal(line, &e) != nil {
		return nil
	}
	known := e.Dropped > 0 || e.Conn != ""
	switch {
	case !known:
		return nil
	case t.asJSON:
		_, err := fmt.Fprintln(t.s.out, terminal.PrintableJSON(line))
		return err
	}
	_, err := fmt.Fprintln(t.s.out, t.s.describe(&e))
	return err
}

var actionColors = map[string]string{"open": green, "message": cyan, "send": blue, "close": yellow, "ping": dim}

// describe is an event as a line for people.
func (s *clientIO) describe(e *liveEvent) string {
	if e.Dropped > 0 {
		text := fmt.Sprintf("… %s left out; --rate shows more", plural(int(e.Dropped), "event"))
		return s.paint(dim, strings.Join(terminal.Wrap(text, s.width, "", gap), "\n"))
	}
	clock := e.Time.Format("2006-01-02T15:04:05.000Z07:00")
	if s.outTerminal {
		clock = e.Time.Local().Format("15:04:05.000")
	}
	color := actionColors[e.Action]
	if e.Action == "close" && (e.Initiator == "gateway" || e.Initiator == "network") {
		color = red
	}
	head := s.paint(dim, clock) + " " + s.paint(color, terminal.Pad(terminal.Printable(e.Action), 7))
	if s.width > 0 && s.width < tailLine {
		return head + s.below(shownUser(e.User)) + s.below(terminal.Printable(e.Conn)) + s.below(e.detail())
	}
	return fmt.Sprintf("%s %s %s %s", head, terminal.Pad(shownUser(e.User), 12), s.paint(dim, terminal.Printable(e.Conn)), e.detail())
}

// tailLine is what an event takes in one line, but for its payload. On terminals
// that are narrower each part has lines of its own.
const tailLine = 80

// below is text in lines of its own.
func (s *clientIO) below(text string) string {
	return "\n" + strings.Join(terminal.Wrap(text, s.width, gap, gap), "\n")
}

// detail is what is particular to the event's action.
func (e *liveEvent) detail() string {
	switch e.Action {
	case "open":
		return "from " + terminal.Printable(e.RemoteAddr)
	case "close":
		text := fmt.Sprintf("%d by %s", e.Code, terminal.Printable(e.Initiator))
		if e.Reason != "" {
			text += ": " + terminal.Printable(e.Reason)
		}
		return text
	}
	text := fmt.Sprintf("%d B", e.Size)
	if e.Data == nil {
		return text
	}
	data := terminal.PrintableJSON(e.Data)
	var plain string
	if e.Encoding == "text" && json.Unmarshal(e.Data, &plain) == nil {
		data = terminal.Printable(plain)
	} else if e.Encoding != "" {
		data = e.Encoding + " " + strings.Trim(data, `"`)
	}
	if e.Truncated {
		data += "…"
	}
	return text + "  " + data
}
