package cli

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"ws-gateway/cmd/ws-gateway/api"
	"ws-gateway/cmd/ws-gateway/internal/terminal"
)

const (
	clientPing  = `{"event":"ping","data":{}}`
	gatewayPong = `{"event":"pong"}`

	maxLine    = 16 << 20 // of standard input
	maxMessage = 64 << 20 // from the server
)

// talk is a connection, the lines that are sent and the messages that come. With --resume
// it is a session, of one connection after the other.
type talk struct {
	s           *surroundings
	ws          *websocket.Conn       // nil while the session has no connection
	arrivals    chan arrival          // from ws
	kind        websocket.MessageType // of what is sent
	timeout     time.Duration         // for a message to leave
	wait        time.Duration         // for answers, after the last line
	verbose     bool
	interactive bool
	unanswered  int      // of the pings that we have sent
	roam        *roaming // nil: the end of the connection is the end
}

// arrival is a message, or the end of the connection.
type arrival struct {
	kind websocket.MessageType
	data []byte
	err  error
}

func (t *talk) greet(target *url.URL, response *http.Response) {
	text := "connected to " + target.String()
	if chosen := t.ws.Subprotocol(); chosen != "" {
		text += ", subprotocol " + chosen
	}
	if t.interactive {
		text += "; each line is a message, Ctrl-D ends"
	}
	t.s.note("%s", text)
	if !t.verbose {
		return
	}
	for name, values := range response.Header {
		t.s.note("  %s: %s", name, strings.Join(values, ", "))
	}
}

// errOver ends a talk that has ended well.
var errOver = errors.New("over")

// run talks until the user or the server ends it.
func (t *talk) run(ctx context.Context, pingEvery time.Duration) error {
	lines, over := make(chan typed), make(chan struct{})
	defer t.hangUp()
	defer close(over)
	go readLines(t.s.in, lines, over)
	t.listen()
	var pings <-chan time.Time
	if pingEvery > 0 {
		ticker := time.NewTicker(pingEvery)
		defer ticker.Stop()
		pings = ticker.C
	}
	var due <-chan time.Time // the end after the last line
	for {
		var err error
		select {
		case a := <-t.arrivals:
			err = t.arrived(ctx, a)
		case l := <-t.wanted(lines):
			switch {
			case l.err == nil:
				err = t.say(ctx, l.text)
			case !errors.Is(l.err, io.EOF):
				return fmt.Errorf("reading standard input: %w", l.err)
			case t.interactive:
				return t.leave()
			default:
				lines, due = nil, time.After(t.wait)
			}
		case <-pings:
			err = t.ping(ctx)
		case <-t.timers().ackDue:
			err = t.acknowledge(ctx)
		case <-t.timers().deadAt:
			err = t.lose(ctx, errors.New("no answer"))
		case <-t.timers().cutDue:
			t.s.note("cut; back in %v", t.roam.away)
			t.goAway(ctx, t.roam.away)
		case d := <-t.timers().returns:
			err = t.returned(ctx, d)
		case <-due:
			return t.leave()
		case <-ctx.Done():
			if err := t.leave(); err != nil {
				t.s.note("%v", err)
			}
			return nil
		}
		if errors.Is(err, errOver) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// timers are those of a session; without one they never fire.
func (t *talk) timers() *roaming {
	if t.roam == nil {
		return new(roaming)
	}
	return t.roam
}

// wanted is lines, unless too much waits to be sent already.
func (t *talk) wanted(lines <-chan typed) <-chan typed {
	if t.roam != nil && t.roam.session.full() {
		return nil
	}
	return lines
}

// listen passes on what comes on the connection, the end too, and then closes the channel.
func (t *talk) listen() {
	t.arrivals = make(chan arrival)
	go func(ws *websocket.Conn, arrivals chan<- arrival) {
		defer close(arrivals)
		for {
			kind, data, err := ws.Read(context.Background())
			arrivals <- arrival{kind, data, err}
			if err != nil {
				return
			}
		}
	}(t.ws, t.arrivals)
}

// hangUp ends the connection, and what goes on in goroutines. What has come and was not
// taken is dropped.
func (t *talk) hangUp() {
	if t.ws != nil {
		t.ws.CloseNow()
		for range t.arrivals { // until its goroutine is done
		}
		t.ws, t.arrivals = nil, nil
	}
	if t.roam != nil {
		t.roam.stay()
	}
}

// arrived takes a message, or the end of the connection.
func (t *talk) arrived(ctx context.Context, a arrival) error {
	if a.err != nil {
		if t.roam == nil {
			return t.ended(a.err)
		}
		return t.lose(ctx, a.err)
	}
	if t.roam == nil {
		return t.show(a)
	}
	t.roam.deadAt = nil
	isMessage, err := t.roam.session.take(&a)
	if err != nil || !isMessage {
		return err
	}
	if err := t.passed(ctx, len(a.data)); err != nil {
		return err
	}
	return t.show(a)
}

// say sends a line.
func (t *talk) say(ctx context.Context, line []byte) error {
	if t.roam != nil {
		t.roam.session.keep(message{t.kind, line})
		return t.sendKept(ctx)
	}
	if err := t.write(t.kind, line); err != nil {
		return t.broken(err)
	}
	return nil
}

func (t *talk) ping(ctx context.Context) error {
	if t.roam != nil {
		return t.acknowledge(ctx) // which keeps the connection, and is answered
	}
	t.unanswered++
	if err := t.write(websocket.MessageText, []byte(clientPing)); err != nil {
		return t.broken(err)
	}
	return nil
}

func (t *talk) write(kind websocket.MessageType, data []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), t.timeout)
	defer cancel()
	return t.ws.Write(ctx, kind, data)
}

// broken is for a message that could not be sent: what the server has said last explains
// more than the error.
func (t *talk) broken(failure error) error {
	t.ws.CloseNow()
	for a := range t.arrivals {
		if a.err == nil {
			if err := t.show(a); err != nil {
				return err
			}
		} else if _, told := errors.AsType[websocket.CloseError](a.err); told {
			return t.ended(a.err)
		}
	}
	return fmt.Errorf("the connection is broken: %w", failure)
}

// leave closes the connection because the user is done. It is an error if that cannot be
// done from away, and a message may be lost by it.
func (t *talk) leave() error {
	if t.ws == nil {
		if err := t.comeBack(); err != nil {
			return err
		}
	}
	err := net.ErrClosed
	if t.ws != nil {
		err = t.ws.Close(websocket.StatusNormalClosure, "") // after all that was sent
	}
	switch {
	case err == nil && t.verbose:
		t.s.note("closed")
	case err != nil && t.waiting() > 0:
		t.s.note("%s may not have arrived", terminal.Plural(t.waiting(), "message"))
	}
	return nil // even if the server has not answered
}

// ended says how the server, or the network, has ended the connection. It is errOver if it
// has ended well.
func (t *talk) ended(err error) error {
	closed, told := errors.AsType[websocket.CloseError](err)
	switch {
	case !told && errors.Is(err, io.EOF):
		return errors.New("the connection is broken: the server has gone without a word")
	case !told:
		return fmt.Errorf("the connection is broken: %w", api.Root(err))
	}
	text := fmt.Sprintf("closed by the server: %d", closed.Code)
	if closed.Reason != "" {
		text += " " + closed.Reason
	}
	if closed.Code == websocket.StatusNormalClosure {
		t.s.note("%s", text)
		return errOver
	}
	return &refusedError{text: text}
}

// show prints a message in one line, on a terminal with its time and kind.
func (t *talk) show(a arrival) error {
	if t.unanswered > 0 && string(a.data) == gatewayPong {
		t.unanswered--
		if !t.verbose {
			return nil
		}
	}
	text, kind := messageText(a), "text"
	if a.kind == websocket.MessageBinary {
		kind = fmt.Sprintf("binary, %d B:", len(a.data))
	}
	if t.s.outTerminal {
		text = t.s.paint(dim, time.Now().Format("15:04:05.000")+" "+kind) + " " + text
	}
	_, err := fmt.Fprintln(t.s.out, text)
	return err
}

// messageText is a message in one line: binary ones as base64.
func messageText(a arrival) string {
	switch {
	case a.kind == websocket.MessageBinary:
		return base64.StdEncoding.EncodeToString(a.data)
	case utf8.Valid(a.data) && json.Valid(a.data):
		return terminal.PrintableJSON(a.data)
	}
	return terminal.Printable(string(a.data))
}

// typed is a line of standard input without its line break, or why there are no more.
type typed struct {
	text []byte
	err  error
}

// readLines ends with its input, or with the process: a read from a terminal cannot be
// interrupted.
func readLines(in *os.File, lines chan<- typed, over <-chan struct{}) {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, maxLine)
	for {
		l := typed{err: io.EOF}
		if scanner.Scan() {
			l = typed{text: append([]byte(nil), scanner.Bytes()...)}
		} else if err := scanner.Err(); err != nil {
			l.err = err
		}
		select {
		case lines <- l:
		case <-over:
			return
		}
		if l.err != nil {
			return
		}
	}
}
