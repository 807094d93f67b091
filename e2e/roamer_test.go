package e2e_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"ws-gateway/e2e/described"
	"ws-gateway/e2e/harness"
)

const (
	resumeProtocol = "ws-gateway.resume.v1"
	recordMark     = "\x1e" // begins messages about the session
)

// greeting is the first message of a transport.
type greeting struct {
	Resumed  bool   `json:"resumed"`
	ID       string `json:"id"`
	Token    string `json:"token"`
	For      int    `json:"for"`
	Received uint64 `json:"received"`
	Protocol string `json:"protocol"`
}

// roamer is a client whose session survives its connections.
type roamer struct {
	t      *testing.T
	g      *gateway
	addr   string   // to dial; "": the gateway's own
	lines  []string // further lines of the handshake
	offers []string // subprotocols beside the session's

	*raw
	greeting
	got      []string // the app's messages, frame kind first: "text …", "binary …"
	said     []string // frames of all own messages
	has      uint64   // how many of these the gateway has
	farewell string   // the close frame's payload; "" before there is one
}

// roam connects as user with a new session.
func (g *gateway) roam(t *testing.T, user string) *roamer {
	t.Helper()
	c := &roamer{t: t, g: g, lines: []string{"X-Bfl-User: " + user}}
	c.connect()
	if c.Resumed || c.Token == "" || c.ID == "" {
		t.Fatalf("a new session's greeting is %+v", c.greeting)
	}
	return c
}

// offer is the client's Sec-WebSocket-Protocol.
func (c *roamer) offer() string {
	names := append(c.offers[:len(c.offers):len(c.offers)], resumeProtocol)
	if c.Token != "" {
		names = append(names, fmt.Sprintf("%s.%s.%d", resumeProtocol, c.Token, len(c.got)))
	}
	return strings.Join(names, ", ")
}

// tryConnect connects, with the token if there is one, and reads the greeting. If the
// session goes on it sends what the gateway does not have.
func (c *roamer) tryConnect() error {
	addr := c.addr
	if addr == "" {
		addr = c.g.Addr
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	c.t.Cleanup(func() { conn.Close() })
	c.raw = &raw{t: c.t, TCPConn: conn.(*net.TCPConn), in: bufio.NewReader(conn)}
	if err := c.SetDeadline(harness.Soon()); err != nil {
		return err
	}
	lines := append(c.lines[:len(c.lines):len(c.lines)], "Sec-WebSocket-Protocol: "+c.offer())
	if _, err := io.WriteString(c.raw, c.g.handshake(lines...)+"\r\n"); err != nil {
		return err
	}
	response, body, err := c.tryResponse()
	if err != nil {
		return err
	}
	if response.StatusCode != 101 {
		return fmt.Errorf("status %d: %s", response.StatusCode, strings.TrimSpace(body))
	}
	if p := response.Header.Get("Sec-WebSocket-Protocol"); p != resumeProtocol {
		return fmt.Errorf("subprotocol %q", p)
	}
	first, payload, err := c.next()
	switch {
	case err != nil:
		return err
	case first == fin|opClose:
		c.farewell = payload
		return io.EOF
	case first != fin|opText || !strings.HasPrefix(payload, recordMark+"{"):
		return fmt.Errorf("the first frame is %#x %q", first, payload)
	}
	if err := described.Session(payload); err != nil {
		return fmt.Errorf("docs/asyncapi.yaml: %w", err)
	}
	was := c.greeting
	c.greeting = greeting{}
	if err := json.Unmarshal([]byte(payload[1:]), &c.greeting); err != nil {
		return err
	}
	if !c.Resumed {
		c.got, c.said, c.has = nil, nil, 0
		return nil
	}
	if c.ID != was.ID || c.Token == was.Token {
		return fmt.Errorf("greeting %+v after %+v", c.greeting, was)
	}
	c.has = c.Received
	for _, frame := range c.said[c.has:] {
		if _, err := io.WriteString(c.raw, frame); err != nil {
			return err
		}
	}
	return nil
}

func (c *roamer) connect() {
	c.t.Helper()
	if err := c.tryConnect(); err != nil {
		c.t.Fatalf("connecting: %v", err)
	}
}

// resume connects again and requires the session to go on.
func (c *roamer) resume() {
	c.t.Helper()
	c.connect()
	if !c.Resumed {
		c.t.Fatalf("the session was not resumed: %+v", c.greeting)
	}
}

// begin connects again and requires a new session.
func (c *roamer) begin() {
	c.t.Helper()
	was := c.ID
	c.connect()
	if c.Resumed || c.ID == was {
		c.t.Fatalf("the session was resumed: %+v", c.greeting)
	}
}

// cut loses the connection without a word, as a network does.
func (c *roamer) cut() {
	_ = c.SetLinger(0)
	c.Close()
}

// trySay sends a message, now or after the next resume.
func (c *roamer) trySay(kind byte, message string) error {
	if kind == opText && strings.HasPrefix(message, recordMark) {
		message = recordMark + message
	}
	c.said = append(c.said, frame(fin|kind, message))
	_, err := io.WriteString(c.raw, c.said[len(c.said)-1])
	return err
}

func (c *roamer) send(text string) {
	c.t.Helper()
	if err := c.trySay(opText, text); err != nil {
		c.t.Fatalf("sending: %v", err)
	}
}

// acknowledge says how many messages have arrived.
func (c *roamer) acknowledge() error {
	_, err := io.WriteString(c.raw, frame(fin|opText, recordMark+strconv.Itoa(len(c.got))))
	return err
}

// step takes one frame. acked says that it was an acknowledgement.
func (c *roamer) step() (acked bool, err error) {
	first, payload, err := c.next()
	if err != nil {
		return false, err
	}
	switch first {
	case fin | opText:
		if rest, ok := strings.CutPrefix(payload, recordMark); ok && !strings.HasPrefix(rest, recordMark) {
			if err := described.Session(payload); err != nil {
				return false, fmt.Errorf("docs/asyncapi.yaml: %w", err)
			}
			n, err := strconv.ParseUint(rest, 10, 64)
			if err != nil || n > uint64(len(c.said)) || n < c.has {
				return false, fmt.Errorf("acknowledgement %q of %d messages, after %d", rest, len(c.said), c.has)
			}
			c.has = n
			return true, nil
		} else if ok {
			payload = rest
		}
		c.got = append(c.got, "text "+payload)
	case fin | opBinary:
		c.got = append(c.got, "binary "+payload)
	case fin | opClose:
		c.farewell = payload
		return false, io.EOF
	case fin | opPing:
		_, err = io.WriteString(c.raw, frame(fin|opPong, payload))
	case fin | opPong:
	default:
		return false, fmt.Errorf("frame %#x %.100q", first, payload)
	}
	return false, err
}

// await takes frames until there are n messages of the app.
func (c *roamer) await(n int) {
	c.t.Helper()
	for len(c.got) < n {
		if _, err := c.step(); err != nil {
			c.t.Fatalf("waiting for message %d, after %q: %v", n, c.got, err)
		}
	}
}

// settle acknowledges, and takes frames until that is answered: then both sides have
// what was sent before.
func (c *roamer) settle() error {
	if err := c.acknowledge(); err != nil {
		return err
	}
	for {
		if acked, err := c.step(); acked || err != nil {
			return err
		}
	}
}

// settled is settle, and requires the gateway to have everything.
func (c *roamer) settled() {
	c.t.Helper()
	if err := c.settle(); err != nil || c.has != uint64(len(c.said)) {
		c.t.Fatalf("the gateway has %d of %d messages: %v", c.has, len(c.said), err)
	}
}

// expectGot requires the app's messages to be these, all of them.
func (c *roamer) expectGot(want ...string) {
	c.t.Helper()
	c.await(len(want))
	if got, want := strings.Join(c.got, "\n"), strings.Join(want, "\n"); got != want {
		c.t.Fatalf("got %.300q, want %.300q", got, want)
	}
}

var errNotEnded = errors.New("no close frame")

// ended takes frames to the end and returns the close frame's payload.
func (c *roamer) ended() (string, error) {
	for {
		if _, err := c.step(); err != nil {
			if c.farewell == "" {
				return "", errors.Join(errNotEnded, err)
			}
			return c.farewell, nil
		}
	}
}

// awaitAway waits until so many connections are away, no more and no less.
func (g *gateway) awaitAway(t *testing.T, n float64) {
	t.Helper()
	g.expectMetric(t, "ws_gateway_connections_away", n)
}

// refusesSoon requires the client's attempts to resume to be refused in the end.
func (g *gateway) refusesSoon(t *testing.T, c *roamer, want string) {
	t.Helper()
	harness.Poll(t, want, func() bool {
		err := c.tryConnect()
		if err == nil {
			c.cut()
		}
		return err != nil && strings.HasPrefix(err.Error(), want)
	})
}

// data is the "data" of an answer.
func (a answer) data(t *testing.T) string {
	t.Helper()
	return string(a.parse(t).Data)
}
