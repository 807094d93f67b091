package main

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
	"github.com/mattn/go-isatty"

	"ws-gateway/cmd/ws-gateway/internal/terminal"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/httptoken"
)

const (
	clientPing  = `{"event":"ping","data":{}}`
	gatewayPong = `{"event":"pong"}`

	maxLine    = 16 << 20 // of standard input
	maxMessage = 64 << 20 // from the server
)

// connectOptions are what connect has.
type connectOptions struct {
	URL         string        `arg:"" optional:"" default:"ws://127.0.0.1:40010/ws" placeholder:"URL" help:"Where to connect. Default: ws://127.0.0.1:40010/ws."`
	Header      []string      `short:"H" sep:"none" placeholder:"'NAME: VALUE'" help:"Header of the handshake. Repeatable."`
	User        string        `placeholder:"NAME" help:"The same as -H 'X-Bfl-User: NAME'."`
	Subprotocol []string      `placeholder:"NAME" help:"Subprotocol to offer. Repeatable."`
	Binary      bool          `help:"Send lines as binary messages."`
	Ping        time.Duration `default:"30s" min:"0s" help:"How often to send the ping message that keeps the connection; 0s sends none."`
	Wait        time.Duration `default:"1s" min:"0s" help:"Time to wait for answers after the end of standard input, unless that is a terminal."`
	Timeout     time.Duration `default:"10s" min:"10ms" help:"Time for the handshake, and for a message to leave."`
	Verbose     bool          `short:"v" help:"Show the answers to pings and the headers of the handshake's answer."`
}

// endsBySignal: it closes the connection then.
func (*connectOptions) endsBySignal() {}

func (o *connectOptions) run(ctx context.Context, s *clientIO) error {
	header, err := o.header()
	if err != nil {
		return err
	}
	target, err := url.Parse(o.URL)
	if err != nil || target.Host == "" || !isPort(target.Port()) || !strings.Contains(" ws wss http https ", " "+target.Scheme+" ") {
		return usagef("%q is no URL to connect to: write ws://HOST:PORT/ws or wss://HOST/ws", o.URL)
	}
	c, response, err := o.dial(ctx, header)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return refusedHandshake(target, response, err)
	}
	talk := &talk{
		s: s, ws: c, kind: websocket.MessageText, timeout: o.Timeout, verbose: o.Verbose,
		interactive: isatty.IsTerminal(s.in.Fd()), wait: o.Wait,
	}
	if o.Binary {
		talk.kind = websocket.MessageBinary
	}
	if talk.interactive || o.Verbose {
		talk.greet(target, response)
	}
	return talk.run(ctx, o.Ping)
}

// header is what -H and --user add up to.
func (o *connectOptions) header() (http.Header, error) {
	header := http.Header{}
	for _, line := range o.Header {
		name, text, ok := strings.Cut(line, ":")
		text = strings.TrimSpace(text)
		if !ok || !httptoken.Is(name) || !isHeaderText(text) {
			return nil, usagef("--header must be 'Name: value'")
		}
		header.Add(name, text)
	}
	if header.Get("User-Agent") == "" {
		header.Set("User-Agent", "ws-gateway/"+program.Version())
	}
	if o.User != "" {
		if header.Get("X-Bfl-User") != "" {
			return nil, usagef("--user and -H X-Bfl-User: only one of them can be sent")
		}
		header.Set("X-Bfl-User", o.User)
	}
	if !isHeaderText(o.User) {
		return nil, usagef("--user must be without control characters, as it is sent in a header")
	}
	return header, nil
}

func isHeaderText(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

func (o *connectOptions) dial(ctx context.Context, header http.Header) (*websocket.Conn, *http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	c, response, err := websocket.Dial(ctx, o.URL, &websocket.DialOptions{HTTPHeader: header, Host: header.Get("Host"), Subprotocols: o.Subprotocol})
	if err == nil {
		c.SetReadLimit(maxMessage)
	}
	return c, response, err
}

// refusedHandshake says in a line why there is no connection.
func refusedHandshake(target *url.URL, response *http.Response, err error) error {
	if response == nil || response.StatusCode == http.StatusSwitchingProtocols {
		if root := rootOf(err); root != err {
			return fmt.Errorf("cannot connect to %s: %w", target.Host, root)
		}
		return fmt.Errorf("cannot connect to %s: %w", target.Host, err)
	}
	advice := ""
	switch status := response.StatusCode; {
	case status == http.StatusUnauthorized:
		advice = "; name the user with --user, or sign in as a browser would with -H 'Cookie: …'"
	case status == http.StatusNotFound, status == http.StatusForbidden && target.Path != "/ws":
		advice = "; a gateway's clients connect at /ws unless its --path says otherwise"
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		if after := response.Header.Get("Retry-After"); after != "" {
			advice = "; try again in " + terminal.Printable(after) + " s"
		}
	}
	return &refusedError{fmt.Sprintf("%s refuses the handshake: %d: %s%s", target.Host, response.StatusCode, firstLine(response.Body), advice), response.StatusCode}
}

// talk is a connection and somebody who uses it.
type talk struct {
	s           *clientIO
	ws          *websocket.Conn
	kind        websocket.MessageType // of what is sent
	timeout     time.Duration
	wait        time.Duration
	verbose     bool
	interactive bool
	unanswered  int // pings of our own
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

// run talks until one of them has enough.
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

// read hands on what comes; its channel is closed behind the end.
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

// broken is called when a message did not leave: what the server said last
// explains more.
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

// leave closes the connection as somebody who is done.
func (t *talk) leave() error {
	err := t.ws.Close(websocket.StatusNormalClosure, "")
	if t.verbose && err == nil {
		t.s.note("closed")
	}
	return nil // whether the server has answered matters to nobody
}

// ended says how the server, or the network, ended it.
func (t *talk) ended(err error) error {
	closed, told := errors.AsType[websocket.CloseError](err)
	switch {
	case !told && errors.Is(err, io.EOF):
		return errors.New("the connection is broken: the server has gone without a word")
	case !told:
		return fmt.Errorf("the connection is broken: %w", rootOf(err))
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

// show prints a message: on a terminal with the time and its kind, elsewhere as
// one line. Binary ones are base64.
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

// messageText is a message in one line.
func messageText(a arrival) string {
	switch {
	case a.kind == websocket.MessageBinary:
		return base64.StdEncoding.EncodeToString(a.data)
	case utf8.Valid(a.data) && json.Valid(a.data):
		return terminal.PrintableJSON(a.data)
	}
	return terminal.Printable(string(a.data))
}

// typed is a line of standard input, without its end; err says that there are no more.
type typed struct {
	text []byte
	err  error
}

// readLines ends with its input, or with the process: what waits for a terminal
// cannot be interrupted.
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
