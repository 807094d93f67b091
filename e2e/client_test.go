package e2e_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// visitor says who dials and how.
type visitor struct {
	user         string // X-Bfl-User; "" sends none
	cookie       string
	target       string // path and query; "" means /ws
	header       map[string]string
	subprotocols []string
	receiveSpace int // socket receive buffer in bytes; 0: the system's
	onPing       func()
}

// client is a WebSocket client whose TCP connection can be reached. Its methods
// fail the test when the connection does not do what they say.
type client struct {
	t        testing.TB
	ws       *websocket.Conn
	tcp      *net.TCPConn
	response *http.Response
}

// dial connects as user.
func (g *gateway) dial(t testing.TB, user string) *client {
	t.Helper()
	return g.connect(t, visitor{user: user})
}

// connect connects and fails the test if the gateway refuses.
func (g *gateway) connect(t testing.TB, v visitor) *client {
	t.Helper()
	c, response, err := g.tryConnect(t, v)
	if err != nil {
		status := 0
		if response != nil {
			status = response.StatusCode
		}
		t.Fatalf("connecting as %q: %v (status %d)", v.user, err, status)
	}
	t.Cleanup(func() { _ = c.ws.CloseNow() })
	return c
}

// tryConnect connects or says why not. The caller closes the connection.
func (g *gateway) tryConnect(t testing.TB, v visitor) (*client, *http.Response, error) {
	header := http.Header{}
	if v.user != "" {
		header.Set("X-Bfl-User", v.user)
	}
	if v.cookie != "" {
		header.Set("Cookie", v.cookie)
	}
	for name, value := range v.header {
		header.Set(name, value)
	}
	if v.target == "" {
		v.target = "/ws"
	}
	c := &client{t: t}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c.tcp = conn.(*net.TCPConn)
		if v.receiveSpace > 0 {
			err = c.tcp.SetReadBuffer(v.receiveSpace)
		}
		return conn, err
	}}
	defer transport.CloseIdleConnections()
	options := &websocket.DialOptions{
		HTTPClient:   &http.Client{Transport: transport},
		HTTPHeader:   header,
		Subprotocols: v.subprotocols,
	}
	if v.onPing != nil {
		options.OnPingReceived = func(context.Context, []byte) bool { v.onPing(); return true }
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, response, err := websocket.Dial(ctx, "ws://"+g.addr+v.target, options)
	if err != nil {
		return nil, response, err
	}
	ws.SetReadLimit(-1)
	c.ws, c.response = ws, response
	return c, response, nil
}

// write sends one message.
func (c *client) write(kind websocket.MessageType, message string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.ws.Write(ctx, kind, []byte(message))
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := c.write(websocket.MessageText, text); err != nil {
		c.t.Fatalf("sending: %v", err)
	}
}

func (c *client) sendBinary(data string) {
	c.t.Helper()
	if err := c.write(websocket.MessageBinary, data); err != nil {
		c.t.Fatalf("sending: %v", err)
	}
}

// read returns the next message.
func (c *client) read() (websocket.MessageType, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	kind, message, err := c.ws.Read(ctx)
	return kind, string(message), err
}

// receive requires the next message to be this text.
func (c *client) receive(want string) {
	c.t.Helper()
	kind, got, err := c.read()
	if err != nil {
		c.t.Fatalf("waiting for %.200q: %v", want, err)
	}
	if kind != websocket.MessageText || got != want {
		c.t.Fatalf("got %v %.200q, want text %.200q", kind, got, want)
	}
}

// receiveBinary requires the next message to be these bytes.
func (c *client) receiveBinary(want string) {
	c.t.Helper()
	kind, got, err := c.read()
	if err != nil {
		c.t.Fatalf("waiting for %.200q: %v", want, err)
	}
	if kind != websocket.MessageBinary || got != want {
		c.t.Fatalf("got %v %.200q, want binary %.200q", kind, got, want)
	}
}

// ended reads to the end of the connection and returns the gateway's close
// frame, or an error where there was none.
func (c *client) ended() (websocket.CloseError, error) {
	for {
		if _, _, err := c.read(); err != nil {
			var closed websocket.CloseError
			if errors.As(err, &closed) {
				return closed, nil
			}
			return closed, err
		}
	}
}

// closedWith requires the gateway to close the connection with this frame.
func (c *client) closedWith(code websocket.StatusCode, reason string) {
	c.t.Helper()
	got, err := c.ended()
	if err != nil {
		c.t.Fatalf("waiting for close %d: %v", code, err)
	}
	if got.Code != code || got.Reason != reason {
		c.t.Fatalf("closed with %d %q, want %d %q", got.Code, got.Reason, code, reason)
	}
}

// close performs the close handshake from the client's side.
func (c *client) close(code websocket.StatusCode, reason string) {
	c.t.Helper()
	if err := c.ws.Close(code, reason); err != nil {
		c.t.Fatalf("closing: %v", err)
	}
}

// hangUp ends TCP without a close frame.
func (c *client) hangUp() { _ = c.tcp.Close(); _ = c.ws.CloseNow() }

// reset ends TCP with RST.
func (c *client) reset() {
	_ = c.tcp.SetLinger(0)
	c.hangUp()
}

// local is the client's end of the TCP connection.
func (c *client) local() string { return c.tcp.LocalAddr().String() }

// soon is a deadline for socket calls.
func soon() time.Time { return time.Now().Add(patience) }
