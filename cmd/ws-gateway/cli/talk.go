package cli

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// talk is a connection, the lines that are sent and the messages that come.
type talk struct {
	s           *surroundings
	ws          *websocket.Conn
	kind        websocket.MessageType // of what is sent
	timeout     time.Duration         // for a message to leave
	wait        time.Duration         // for answers, after the last line
	verbose     bool
	interactive bool
	unanswered  int // of the pings that we have sent
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

// run talks until the user or the server ends it.
func (t *talk) run(ctx context.Context, pingEvery time.Duration) error {
	arrivals, lines := make(chan arrival), make(chan typed)
	over := make(chan struct{})
	defer func() {
		close(over)
		t.ws.CloseNow()
		for range arrivals { // until its goroutine is done
		}
	}()
	go t.read(arrivals, over)
	go readLines(t.s.in, lines, over)
	var pings <-chan time.Time
	if pingEvery > 0 {
		ticker := time.NewTicker(pingEvery)
		defer ticker.Stop()
		pings = ticker.C
	}
	var enough <-chan time.Time
	for {
		select {
		case a := <-arrivals:
			if a.err != nil {
				return t.ended(a.err)
			}
			if err := t.show(a); err != nil {
				return err
			}
		case l := <-lines:
			switch {
			case l.err == nil:
				if err := t.write(t.kind, l.text); err != nil {
					return t.broken(arrivals, err)
				}
			case !errors.Is(l.err, io.EOF):
				return fmt.Errorf("reading standard input: %w", l.err)
			case t.interactive:
				return t.leave()
			default:
				lines, enough = nil, time.After(t.wait)
			}
		case <-pings:
			t.unanswered++
			if err := t.write(websocket.MessageText, []byte(clientPing)); err != nil {
				return t.broken(arrivals, err)
			}
		case <-enough:
			return t.leave()
		case <-ctx.Done():
			return t.leave()
		}
	}
}

// read passes on what comes, the end too, and then closes the channel.
func (t *talk) read(arrivals chan<- arrival, over <-chan struct{}) {
	defer close(arrivals)
	for {
		kind, data, err := t.ws.Read(context.Background())
		select {
		case arrivals <- arrival{kind, data, err}:
		case <-over:
			return
		}
		if err != nil {
			return
		}
	}
}

func (t *talk) write(kind websocket.MessageType, data []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), t.timeout)
	defer cancel()
	return t.ws.Write(ctx, kind, data)
}

// broken is for a message that could not be sent: what the server has said last explains
// more than the error.
func (t *talk) broken(arrivals <-chan arrival, failure error) error {
	t.ws.CloseNow()
	for a := range arrivals {
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

// leave closes the connection because the user is done.
func (t *talk) leave() error {
	err := t.ws.Close(websocket.StatusNormalClosure, "")
	if t.verbose && err == nil {
		t.s.note("closed")
	}
	return nil // even if the server has not answered
}

// ended says how the server, or the network, has ended the connection.
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
		return nil
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
