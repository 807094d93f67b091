package netpoll

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"ws-gateway/netpoll/wire"
)

func TestTheClientPathIsMatchedExactly(t *testing.T) {
	for _, c := range []struct {
		path, want string
		on         bool
	}{
		{"/ws", "/ws", true}, {"/ws/", "/ws", true}, {"/ws//", "/ws", false}, {"/WS", "/ws", false}, {"/w", "/ws", false},
		{"/wsx", "/ws", false}, {"/xs/", "/ws", false}, {"//ws", "/ws", false}, {"/%77s", "/ws", false}, {"/a/../ws", "/ws", false}, {"http://x/ws", "/ws", false},
		{"", "/ws", false}, {"/", "/ws", false}, {"/", "/", true}, {"//", "/", false}, {"/a/b/", "/a/b", true},
		{"/ws/", "/ws/", true}, {"/ws", "/ws/", false}, {"/ws//", "/ws/", false}, {"/", "", false},
	} {
		if got := onPath([]byte(c.path), c.want); got != c.on {
			t.Errorf("%q on %q: %v", c.path, c.want, got)
		}
	}
}

// One loop answers one after the other, and keeps its buffers.
func TestARefusedHandshakeLeavesNoTraceInTheNext(t *testing.T) {
	verdicts := make(chan Verdict, 1)
	h := newRecorder()
	h.upgrade = func(*wire.Request) Verdict { return <-verdicts }
	_, addr := startServer(t, Config{Handler: h, Loops: 1})
	ask := func(v Verdict) (*http.Response, string) {
		verdicts <- v
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, strings.Replace(testHandshake, "\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n\r\n", 1))
		resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: "GET"})
		if err != nil {
			t.Fatal(err)
		}
		if v.Status == 0 {
			return resp, ""
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	for range 2 {
		resp, _ := ask(Verdict{Subprotocol: "chat"})
		if resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Protocol") != "chat" {
			t.Errorf("accepted with %d %v", resp.StatusCode, resp.Header)
		}
		resp, body := ask(Verdict{Status: 503, Reason: "draining", RetryAfter: 5 * time.Second, Subprotocol: "chat"})
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "5" || resp.Header.Get("Sec-WebSocket-Protocol") != "" || !resp.Close || body != "draining\n" {
			t.Errorf("refused with %d %v %q", resp.StatusCode, resp.Header, body)
		}
		content := bytes.Repeat([]byte("x"), 50_000) // more than is sent at once
		if resp, body = ask(Verdict{Status: 403, Body: &Body{Content: content}}); resp.StatusCode != 403 || resp.Header.Get("Retry-After") != "" || body != string(content) {
			t.Errorf("refused with %d %v and %d bytes", resp.StatusCode, resp.Header, len(body))
		}
		resp, _ = ask(Verdict{})
		if resp.StatusCode != 101 || resp.Header.Get("Retry-After") != "" || resp.Header.Get("Sec-WebSocket-Protocol") != "" {
			t.Errorf("accepted with %d %v", resp.StatusCode, resp.Header)
		}
	}
}
