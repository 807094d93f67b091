package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"strconv"
	"time"

	"ws-gateway/cmd/ws-gateway/api"
	"ws-gateway/cmd/ws-gateway/internal/terminal"
)

const (
	// quietFor is how long a stream may be silent. A gateway sends a line every ten
	// seconds.
	quietFor = 30 * time.Second
	// maxEventLine bounds a line. The gateway cuts payloads.
	maxEventLine = 1 << 20

	firstRetry = 250 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// tailOptions are the options of tail.
type tailOptions struct {
	User    []string `sep:"none" placeholder:"NAME" help:"Only events of this user. Repeatable."`
	Conn    []string `sep:"none" placeholder:"ID" help:"Only events of this connection. Repeatable."`
	Group   []string `sep:"none" placeholder:"NAME" help:"Only events of connections that are in this group when they happen. Repeatable."`
	Action  []string `oneof:"open,message,ping,send,close,away,resumed" placeholder:"ACTION" help:"Only these: open, message, ping (a client's ping message), send, close, away, resumed. Default: all but ping. Repeatable."`
	Payload bool     `help:"Show what is in the messages, cut at 1 KiB."`
	Rate    int      `default:"100" min:"1" max:"1000" help:"Events a second, at most; of what is left out the number is shown."`
	JSON    bool     `name:"json" help:"Print each event as a line of JSON, as the gateway sends it."`
	readScope
	gatewayOptions
}

func (*tailOptions) runsUntilSignal() {}

func (o *tailOptions) query() url.Values {
	query := url.Values{"rate": {strconv.Itoa(o.Rate)}}
	for name, list := range map[string][]string{"user": o.User, "conn_id": o.Conn, "group": o.Group, "action": o.Action} {
		if len(list) > 0 {
			query[name] = list
		}
	}
	if o.Payload {
		query.Set("payload", "1")
	}
	o.addTo(query)
	return query
}

func (o *tailOptions) run(ctx context.Context, s *surroundings) error {
	g, err := o.gateway(s)
	if err != nil {
		return err
	}
	t := &tail{gateway: g, again: func() (*gateway, error) { return o.gateway(s) }, query: o.query(), asJSON: o.JSON, s: s}
	return t.follow(ctx)
}

// tail follows a gateway, across its restarts.
type tail struct {
	gateway *gateway
	again   func() (*gateway, error) // finds the gateway anew
	query   url.Values
	asJSON  bool
	s       *surroundings

	begun  bool      // there has been a stream
	since  time.Time // when the stream broke; zero while there is one
	noted  string    // the last note about a broken one
	errOut error     // of the output; it ends the command
}

// follow returns nil once ctx ends. It is an error if the gateway refuses, or cannot be
// asked at the beginning; if it goes away later, follow waits for it.
func (t *tail) follow(ctx context.Context) error {
	wait := firstRetry
	for {
		err := t.stream(ctx)
		refusal, refused := errors.AsType[*api.Refusal](err)
		switch {
		case ctx.Err() != nil:
			return nil
		case t.errOut != nil:
			return t.errOut
		case !t.begun, refused && !refusal.Temporary():
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
		// The stream may have ended because the gateway has another token now, which the
		// file or its configuration has. If neither can be read, the old one may do.
		if g, err := t.again(); err == nil {
			t.gateway.CloseIdle()
			t.gateway = g
		}
	}
}

// stream prints the answer to one request.
func (t *tail) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	response, err := t.gateway.Events(ctx, t.query)
	if err != nil {
		return t.gateway.advise(err)
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

// print prints a line of the stream. It leaves out lines of unknown kinds, heartbeats
// among them.
func (t *tail) print(line []byte) error {
	var e event
	if json.Unmarshal(line, &e) != nil {
		return nil
	}
	known := e.Dropped > 0 || e.Conn != "" || e.Missing != nil
	switch {
	case !known:
		return nil
	case e.Missing != nil && !t.asJSON:
		t.s.noteMissing(e.Missing)
		return nil
	case t.asJSON:
		_, err := fmt.Fprintln(t.s.out, terminal.PrintableJSON(line))
		return err
	}
	_, err := fmt.Fprintln(t.s.out, t.s.describe(&e))
	return err
}
