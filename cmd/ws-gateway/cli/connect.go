package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/coder/websocket"
	"github.com/mattn/go-isatty"

	"ws-gateway/cmd/ws-gateway/api"
	"ws-gateway/cmd/ws-gateway/internal/address"
	"ws-gateway/cmd/ws-gateway/internal/terminal"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/cmd/ws-gateway/settings"
	"ws-gateway/httptoken"
)

// connectOptions are the options of connect.
type connectOptions struct {
	URL         string        `arg:"" optional:"" default:"ws://127.0.0.1:40010/ws" placeholder:"URL" help:"Where to connect. Default: ws://127.0.0.1:40010/ws."`
	Header      []string      `short:"H" sep:"none" placeholder:"'NAME: VALUE'" help:"Header of the handshake. Repeatable."`
	User        string        `placeholder:"NAME" help:"The same as -H 'X-Bfl-User: NAME'."`
	Subprotocol []string      `placeholder:"NAME" help:"Subprotocol to offer. Repeatable."`
	Binary      bool          `help:"Send lines as binary messages."`
	Ping        time.Duration `default:"30s" min:"0s" help:"How often to send the ping message that keeps the connection; 0s sends none."`
	Wait        time.Duration `default:"1s" min:"0s" help:"Time to wait for answers after the end of standard input, unless that is a terminal."`
	Timeout     time.Duration `default:"10s" min:"10ms" help:"Time for the handshake, and for a message to leave."`
	Resume      bool          `help:"Go on with the same session if the connection is lost, as far as the gateway can (--resume-for): no message is lost or doubled."`
	Cut         time.Duration `min:"0s" placeholder:"DURATION" help:"To try --resume out: cut the line, without a word, this long after each connection was made."`
	Away        time.Duration `default:"1s" min:"0s" help:"How long to stay away after a cut."`
	Verbose     bool          `short:"v" help:"Show the answers to pings and the headers of the handshake's answer."`
}

func (*connectOptions) runsUntilSignal() {}

// AfterApply is called by kong when the options have their values.
func (o *connectOptions) AfterApply(line *kong.Context) error {
	if o.Cut == 0 && settings.Given(line)["away"] {
		return usagef("--away is for --cut: without it the line is not cut")
	}
	return nil
}

func (o *connectOptions) run(ctx context.Context, s *surroundings) error {
	header, err := o.header()
	if err != nil {
		return err
	}
	target, err := url.Parse(o.URL)
	if err != nil || target.Host == "" || !address.IsPort(target.Port()) || !strings.Contains(" ws wss http https ", " "+target.Scheme+" ") {
		return usagef("%q is no URL to connect to: write ws://HOST:PORT/ws or wss://HOST/ws", o.URL)
	}
	if o.Cut > 0 && !o.Resume {
		return usagef("--cut is for --resume: without it the first cut would be the end")
	}
	roam := &roaming{
		target: target, subprotocols: o.Subprotocol, timeout: o.Timeout, cut: o.Cut, away: o.Away, lastTry: lastTry,
		dial: func(ctx context.Context, subprotocols []string) (*websocket.Conn, *http.Response, error) {
			return o.dial(ctx, header, subprotocols)
		},
	}
	offer := o.Subprotocol
	if o.Resume {
		offer = (*session)(nil).offer(offer)
	}
	d := roam.connect(ctx, offer)
	if d.err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return refusedHandshake(target, d.response, d.err)
	}
	talk := &talk{
		s: s, ws: d.ws, kind: websocket.MessageText, timeout: o.Timeout, verbose: o.Verbose,
		interactive: isatty.IsTerminal(s.in.Fd()), wait: o.Wait,
	}
	if o.Binary {
		talk.kind = websocket.MessageBinary
	}
	if talk.interactive || o.Verbose {
		talk.greet(target, d.response)
	}
	if o.Resume {
		resumes, err := roam.start(d)
		switch {
		case err != nil:
			d.ws.CloseNow()
			return err
		case resumes:
			talk.roam = roam
			s.note("connection %s can be resumed within %v", roam.session.id, roam.session.keptFor)
		default:
			s.note("this gateway cannot resume: its --resume-for is 0s, or it is older")
		}
	}
	return talk.run(ctx, o.Ping)
}

// header is the header of the handshake: what -H and --user say.
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

func (o *connectOptions) dial(ctx context.Context, header http.Header, subprotocols []string) (*websocket.Conn, *http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	c, response, err := websocket.Dial(ctx, o.URL, &websocket.DialOptions{HTTPHeader: header, Host: header.Get("Host"), Subprotocols: subprotocols})
	if err == nil {
		c.SetReadLimit(maxMessage)
	}
	return c, response, err
}

// refusedError means that the server has refused the handshake, or closed the connection.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }

// refusedHandshake says in a line why there is no connection.
func refusedHandshake(target *url.URL, response *http.Response, err error) error {
	if response == nil || response.StatusCode == http.StatusSwitchingProtocols {
		if root := api.Root(err); root != err {
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
	return &refusedError{fmt.Sprintf("%s refuses the handshake: %d: %s%s", target.Host, response.StatusCode, api.Said(response.Body), advice)}
}
