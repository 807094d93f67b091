package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ws-gateway/e2e/described"
)

// Visitor says who dials and how.
type Visitor struct {
	User         string // X-Bfl-User; "" sends none
	Cookie       string
	Target       string // path and query; "" means /ws
	Header       map[string]string
	Subprotocols []string
	ReceiveSpace int // socket receive buffer in bytes; 0: the system's
	OnPing       func()
}

// Client is a WebSocket client whose TCP connection can be reached. Its methods
// fail the test when the connection does not do what they say.
type Client struct {
	T        testing.TB
	WS       *websocket.Conn
	TCP      *net.TCPConn
	Response *http.Response
}

// Dial connects as user.
func (g *Gateway) Dial(t testing.TB, user string) *Client {
	t.Helper()
	return g.Connect(t, Visitor{User: user})
}

// Connect connects and fails the test if the gateway refuses.
func (g *Gateway) Connect(t testing.TB, v Visitor) *Client {
	t.Helper()
	c, response, err := g.TryConnect(t, v)
	if err != nil {
		status := 0
		if response != nil {
			status = response.StatusCode
		}
		t.Fatalf("connecting as %q: %v (status %d)", v.User, err, status)
	}
	t.Cleanup(func() { _ = c.WS.CloseNow() })
	return c
}

// TryConnect connects or says why not. The caller closes the connection.
func (g *Gateway) TryConnect(t testing.TB, v Visitor) (*Client, *http.Response, error) {
	header := http.Header{}
	if v.User != "" {
		header.Set("X-Bfl-User", v.User)
	}
	if v.Cookie != "" {
		header.Set("Cookie", v.Cookie)
	}
	for name, value := range v.Header {
		header.Set(name, value)
	}
	if v.Target == "" {
		v.Target = "/ws"
	}
	c := &Client{T: t}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c.TCP = conn.(*net.TCPConn)
		if v.ReceiveSpace > 0 {
			err = c.TCP.SetReadBuffer(v.ReceiveSpace)
		}
		return conn, err
	}}
	defer transport.CloseIdleConnections()
	options := &websocket.DialOptions{
		HTTPClient:   &http.Client{Transport: transport},
		HTTPHeader:   header,
		Subprotocols: v.Subprotocols,
	}
	if v.OnPing != nil {
		options.OnPingReceived = func(context.Context, []byte) bool { v.OnPing(); return true }
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	ws, response, err := websocket.Dial(ctx, "ws://"+g.Addr+v.Target, options)
	if err != nil {
		return nil, response, err
	}
	ws.SetReadLimit(-1)
	c.WS, c.Response = ws, response
	return c, response, nil
}

// Write sends one message.
func (c *Client) Write(kind websocket.MessageType, message string) error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	return c.WS.Write(ctx, kind, []byte(message))
}

func (c *Client) Send(text string) {
	c.T.Helper()
	if err := c.Write(websocket.MessageText, text); err != nil {
		c.T.Fatalf("sending: %v", err)
	}
}

func (c *Client) SendBinary(data string) {
	c.T.Helper()
	if err := c.Write(websocket.MessageBinary, data); err != nil {
		c.T.Fatalf("sending: %v", err)
	}
}

// Read returns the next message.
func (c *Client) Read() (websocket.MessageType, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	kind, message, err := c.WS.Read(ctx)
	return kind, string(message), err
}

// Receive requires the next message to be this text.
func (c *Client) Receive(want string) {
	c.T.Helper()
	kind, got, err := c.Read()
	if err != nil {
		c.T.Fatalf("waiting for %.200q: %v", want, err)
	}
	if kind != websocket.MessageText || got != want {
		c.T.Fatalf("got %v %.200q, want text %.200q", kind, got, want)
	}
}

// ReceiveBinary requires the next message to be these bytes.
func (c *Client) ReceiveBinary(want string) {
	c.T.Helper()
	kind, got, err := c.Read()
	if err != nil {
		c.T.Fatalf("waiting for %.200q: %v", want, err)
	}
	if kind != websocket.MessageBinary || got != want {
		c.T.Fatalf("got %v %.200q, want binary %.200q", kind, got, want)
	}
}

// Ended reads to the end of the connection and returns the gateway's close
// frame, or an error if there was none, or none within Patience.
func (c *Client) Ended() (websocket.CloseError, error) {
	for until := Soon(); ; {
		_, _, err := c.Read()
		if err == nil && time.Now().Before(until) {
			continue
		}
		var closed websocket.CloseError
		switch {
		case err == nil:
			return closed, fmt.Errorf("messages for %v, and no end", Patience)
		case !errors.As(err, &closed):
			return closed, err
		}
		if err := described.Close(int(closed.Code), closed.Reason); err != nil {
			c.T.Errorf("docs/asyncapi.yaml: closed with %d %q: %v", closed.Code, closed.Reason, err)
		}
		return closed, nil
	}
}

// ClosedWith requires the gateway to close the connection with this frame.
func (c *Client) ClosedWith(code websocket.StatusCode, reason string) {
	c.T.Helper()
	got, err := c.Ended()
	if err != nil {
		c.T.Fatalf("waiting for close %d: %v", code, err)
	}
	if got.Code != code || got.Reason != reason {
		c.T.Fatalf("closed with %d %q, want %d %q", got.Code, got.Reason, code, reason)
	}
}

// Close performs the close handshake from the client's side.
func (c *Client) Close(code websocket.StatusCode, reason string) {
	c.T.Helper()
	if err := c.WS.Close(code, reason); err != nil {
		c.T.Fatalf("closing: %v", err)
	}
}

// HangUp ends TCP without a close frame.
func (c *Client) HangUp() { _ = c.TCP.Close(); _ = c.WS.CloseNow() }

// Reset ends TCP with RST.
func (c *Client) Reset() {
	_ = c.TCP.SetLinger(0)
	c.HangUp()
}

// Local is the client's end of the TCP connection.
func (c *Client) Local() string { return c.TCP.LocalAddr().String() }

// Soon is a deadline for socket calls.
func Soon() time.Time { return time.Now().Add(Patience) }
