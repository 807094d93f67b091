package admin

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func TestBodiesAreTakenUpToTheLimit(t *testing.T) {
	const limit = 100_000
	r := newRig(t, func(c *Config) { c.MaxBodyBytes = limit })
	conn := r.dial("alice", "")
	body := func(size int) (whole, payload string) {
		const before, after = `{"users":["alice"],"payload":"`, `"}`
		payload = strings.Repeat("x", size-len(before)-len(after))
		return before + payload + after, `"` + payload + `"`
	}
	conn.SetReadLimit(2 * limit)
	chunked := func(body string) reply {
		req, err := http.NewRequest("POST", "http://"+r.addr+sendPath, io.MultiReader(strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := r.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return readReply(t, resp)
	}
	for _, size := range []int{100, 8191, 8192, 8193, 65_536, 65_537, limit} {
		whole, payload := body(size)
		r.ok(sendPath, whole, success)
		r.expect(conn, websocket.MessageText, payload)
		if got := chunked(whole); got.body != success {
			t.Fatalf("chunked, %d bytes: %d %s", size, got.status, got.body)
		}
		r.expect(conn, websocket.MessageText, payload)
	}
	for _, size := range []int{limit + 1, 2 * limit, 10 * limit} {
		whole, _ := body(size)
		if got := r.do("POST", sendPath, whole); got.status != 413 || got.body != tooLargeBody {
			t.Errorf("%d bytes: %d %s", size, got.status, got.body)
		}
		if got := chunked(whole); got.status != 413 || got.body != tooLargeBody {
			t.Errorf("chunked, %d bytes: %d %s", size, got.status, got.body)
		}
	}
}

func TestAClientMayAskBeforeItSendsABody(t *testing.T) {
	r := newRig(t)
	w := r.wire().write(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", sendPath, len(oneSend)))
	if line, err := w.in.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	if line, err := w.in.ReadString('\n'); err != nil || line != "\r\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	if got := w.write(oneSend).read("POST"); got.body != success {
		t.Fatalf("answered %d %s", got.status, got.body)
	}
}

func TestABodyThatEndsEarlyIsNotTaken(t *testing.T) {
	r := newRig(t)
	conn := r.dial("alice", "")
	for _, c := range []struct{ head, part, want string }{
		{"Content-Length: 100", `{"payload":1,"all":true}`, malformed}, // within what is read before the handler
		{"Content-Length: 20000", `{"payload":"` + strings.Repeat("x", 10_000), `{"code":400,"message":"the request body ends before its Content-Length"}`},
		{"Transfer-Encoding: chunked", "18\r\n" + `{"payload":1`, malformed},
	} {
		w := r.wire().write("POST " + sendPath + " HTTP/1.1\r\nHost: localhost\r\n" + c.head + "\r\n\r\n" + c.part)
		if err := w.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := w.read("POST"); got.status != 400 || got.body != c.want || !got.close {
			t.Errorf("%s: %d %s, close %v", c.head, got.status, got.body, got.close)
		}
	}
	r.ok(sendPath, `{"payload":2,"all":true}`, success)
	r.expect(conn, websocket.MessageText, "2")
}

func TestASilentCallerIsNotWaitedForForEver(t *testing.T) {
	r := newRig(t, func(c *Config) { c.readTimeout = 50 * time.Millisecond })
	for _, start := range []string{
		"POST " + sendPath + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
		"POST " + sendPath + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat(" ", 10_000),
		"POST " + sendPath + " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n18\r\n{",
	} {
		w := r.wire().write(start)
		if got := w.read("POST"); got.status != 408 || got.body != `{"code":408,"message":"the request did not arrive in time"}` || !got.close {
			t.Errorf("%.60q: %d %s, close %v", start, got.status, got.body, got.close)
		}
		w.ended()
	}
}
