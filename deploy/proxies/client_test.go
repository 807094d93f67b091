//go:build proxies

package proxies

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// client is a WebSocket client made by hand, which says what no library would.
type client struct {
	t testing.TB
	*net.TCPConn
	in *bufio.Reader
}

// clientAddr is where clients come from, so that they can be told from proxies.
const clientAddr = "127.0.0.5"

func dial(t testing.TB, addr string) *client {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(clientAddr)}, Timeout: patience}
	conn, err := dialer.Dial("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &client{t: t, TCPConn: conn.(*net.TCPConn), in: bufio.NewReader(conn)}
}

// site is the name under which clients know the proxy.
const siteName = "chat.example.org"

// upgrade is an opening handshake without the empty line at its end.
func upgrade(target string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: " + siteName + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
}

// ask sends a request and returns the answer's status and body; 0 where the
// connection ended without an answer.
func ask(t testing.TB, addr, request string) (c *client, status int, body string) {
	t.Helper()
	c = dial(t, addr)
	_, _ = io.WriteString(c, request) // an answer may come before all of it is taken
	response, err := http.ReadResponse(c.in, nil)
	switch {
	case err != nil && timedOut(err):
		t.Fatalf("no answer to %.200q", request)
	case err != nil:
		return c, 0, ""
	case response.StatusCode == http.StatusSwitchingProtocols:
		return c, response.StatusCode, ""
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<20)) // may be cut short
	return c, response.StatusCode, string(text)
}

func timedOut(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

var lastTarget atomic.Int64

// target is one that no other handshake has.
func target() string { return fmt.Sprintf("/ws?n=%d", lastTarget.Add(1)) }

// connect upgrades with further header lines, and fails the test if that fails.
func connect(t testing.TB, addr, target, lines string) *client {
	t.Helper()
	c, status, body := ask(t, addr, upgrade(target)+lines+"\r\n")
	if status != http.StatusSwitchingProtocols {
		t.Fatalf("the handshake was answered %d %.200q", status, body)
	}
	return c
}

// say sends a text message of at most 125 bytes, with a mask of zeros.
func (c *client) say(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, string([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0})+text); err != nil {
		c.t.Fatal(err)
	}
}

// hear returns the next frame.
func (c *client) hear() (first byte, payload string, err error) {
	var head [2]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return 0, "", err
	}
	if head[1] > 125 {
		return 0, "", fmt.Errorf("a frame that begins with % x", head)
	}
	body := make([]byte, head[1])
	_, err = io.ReadFull(c.in, body)
	return head[0], string(body), err
}

// expect requires the next frame to be this text.
func (c *client) expect(text string) {
	c.t.Helper()
	if first, got, err := c.hear(); err != nil || first != 0x81 || got != text {
		c.t.Fatalf("got frame %#x %q, error %v, want %q", first, got, err, text)
	}
}

// awaitEnd reads until the connection ends.
func (c *client) awaitEnd() {
	c.t.Helper()
	if _, err := io.Copy(io.Discard, c.in); err != nil && timedOut(err) {
		c.t.Fatal("the connection does not end")
	}
}

// lines joins header lines.
func lines(all ...string) string { return strings.Join(all, "\r\n") + "\r\n" }
