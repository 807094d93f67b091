package callback

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"ws-gateway/forward/internal/rawapp"
)

func testClient(t *testing.T, url string) *Client {
	t.Helper()
	to, err := ParseTarget(url)
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{Target: &to, Dial: to.Dialer()}
	t.Cleanup(c.HangUp)
	return c
}

// serve is rawapp.Serve. The app answers each connection's first request with 200 before
// it calls serve, if used says so.
func serve(t *testing.T, used bool, serve func(n int, c net.Conn)) (url string) {
	t.Helper()
	return rawapp.Serve(t, func(n int, c net.Conn) {
		if used {
			r := bufio.NewReader(c)
			_, length := rawapp.ReadHead(r)
			_, _ = io.CopyN(io.Discard, r, int64(length))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
		serve(n, c)
	})
}

// clientOf is a client of what serve serves; its first request has been answered, if used
// says so.
func clientOf(t *testing.T, used bool, url string) *Client {
	t.Helper()
	c := testClient(t, url)
	if used {
		if status, err := c.exchange(t, open()); status != 200 || err != nil || !c.Connected() {
			t.Fatalf("the first request: status %d, %v", status, err)
		}
	}
	return c
}

// how says in a message what used means.
func how(used bool) string {
	if used {
		return "on a used connection"
	}
	return "on a new connection"
}

// bothWays are a new connection and one that has carried a request before, on which a
// request is sent in another way.
var bothWays = [...]bool{false, true}

// longWait is for what must happen, however busy the machine.
const longWait = 10 * time.Minute

// open is the POST of an open event.
func open() *Request {
	return &Request{ID: []byte("c1-42"), Attempt: 1, Cookie: "a=b", Body: []byte(`{"data":{},"action":"open","user_name":"alice","conn_id":"c1"}`)}
}

// exchange connects if need be and makes one attempt.
func (c *Client) exchange(t *testing.T, p *Request) (status int, err error) {
	t.Helper()
	if !c.Connected() {
		if err := c.Connect(context.Background(), time.Now().Add(longWait)); err != nil {
			t.Fatal(err)
		}
	}
	status, _, err = c.Post(p, time.Now().Add(time.Hour)) // nothing here waits for its end
	return status, err
}

func TestARequestIsOnTheWireAsTheContractHasIt(t *testing.T) {
	for _, size := range []int{0, maxJoined * 2} {
		data := `"` + strings.Repeat("x", size) + `"`
		for _, cookie := range []string{
			"", "a=b", `a="b c"; x=1;;y`, "a=1; a=2;a=3 ;  b", "=; =x; ;", "sid=caf\xe9; \u00e9=\t1", strings.Repeat("k=v; ", 4000),
		} {
			var head, body string
			url := rawapp.Serve(t, func(_ int, c net.Conn) {
				r := bufio.NewReader(c)
				var length int
				head, length = rawapp.ReadHead(r)
				b := make([]byte, length)
				_, _ = io.ReadFull(r, b)
				body = string(b)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			})
			c := testClient(t, url+"?a=b%20c")
			sent := `{"data":` + data + `,"action":"message","user_name":"alice","conn_id":"c1"}`
			p := &Request{ID: []byte("c1-42"), Attempt: 1, Cookie: cookie, Body: []byte(sent)}
			if status, err := c.exchange(t, p); status != 200 || err != nil {
				t.Fatalf("status %d, %v", status, err)
			}
			host := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/hook")
			want := "POST /hook?a=b%20c HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: ws-gateway\r\nContent-Type: application/json\r\n"
			if cookie != "" {
				want += "Cookie: " + cookie + "\r\n"
			}
			want += "X-Request-Id: c1-42\r\nX-Attempt: 1\r\nContent-Length: "
			if !strings.HasPrefix(head, want) {
				t.Errorf("cookie %q: head is\n%q, want\n%q", cookie, head, want)
			}
			if body != sent {
				t.Errorf("the body arrives as %.100q", body)
			}
		}
	}
}

func FuzzNoValueEndsItsHeaderLine(f *testing.F) {
	f.Add("a=b\r\nX-Evil: 1", []byte("id\n\n\x00"))
	f.Fuzz(func(t *testing.T, cookie string, id []byte) {
		for _, line := range []string{string(appendField(nil, "Cookie: ", cookie)), string(appendField(nil, "X-Request-Id: ", id))} {
			body, ended := strings.CutSuffix(line, "\r\n")
			if !ended || strings.ContainsAny(body, "\r\n\x00") {
				t.Errorf("%q", line)
			}
		}
		if !strings.ContainsAny(cookie, "\r\n\x00") && string(appendField(nil, "", cookie)) != cookie+"\r\n" {
			t.Errorf("%q was changed", cookie)
		}
	})
}

func TestTheStatusDecidesWhateverBecomesOfTheRest(t *testing.T) {
	big := strings.Repeat("x", MaxBody+1)
	for _, c := range []struct {
		name, answer string
		status       int
		reusable     bool
	}{
		{"no body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, true},
		{"a body", "HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello", 201, true},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, true},
		{"chunks and a trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n5\r\nhello\r\n0\r\nX-A: b\r\n\r\n", 200, true},
		{"204", "HTTP/1.1 204 No Content\r\n\r\n", 204, true},
		{"no reason phrase", "HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n", 500, true},
		{"interim answers", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, true},
		{"close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 200, false},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nok", 200, false},
		{"a body without length", "HTTP/1.1 200 OK\r\n\r\nok", 200, false},
		{"a redirect", "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 302, true},
		{"switching protocols", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", 101, false},
		{"a body over the limit", "HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n" + big, 200, false},
		{"a body of a petabyte", "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000\r\n\r\nx", 200, false},
		{"chunks over the limit", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n" + big + "\r\n0\r\n\r\n", 200, false},
		{"a body cut short", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", 200, false},
		{"more than Content-Length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, false},
		{"a head over the limit", "HTTP/1.1 503 Busy\r\nX-A: " + strings.Repeat("a", maxHead) + "\r\n\r\n", 503, false},
		{"a malformed head", "HTTP/1.1 404 Not Found\r\n\x00: b\r\n\r\n", 404, false},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 200, false},
		{"bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 5\nX-A: b\n\nhello", 200, true},
		{"bare line feeds, no field", "HTTP/1.1 204 No Content\n\n", 204, true},
		{"some bare line feeds", "HTTP/1.1 200 OK\r\nContent-Length: 5\n\r\nhello", 200, true},
		{"a bare line feed at the end", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n", 200, true},
		{"interim answers with bare line feeds", "HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\nContent-Length: 0\n\n", 200, true},
		{"empty lines first", "\n\r\nHTTP/1.1 200 OK\nContent-Length: 0\n\n", 200, true},
		{"more behind bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 2\n\nHTTP/1.1 200 OK\nContent-Length: 0\n\n", 200, false},
		{"chunks with bare line feeds", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n", 200, false},
		{"a bare line feed behind the last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\n", 200, false},
		{"a trailer with bare line feeds", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A: b\n\n", 200, false},
		{"a carriage return in a line", "HTTP/1.1 200 OK\r\nX-A: b\rc\r\nContent-Length: 0\r\n\r\n", 200, false},
		{"a NUL in a value", "HTTP/1.1 200 OK\r\nX-A: b\x00c\r\nContent-Length: 0\r\n\r\n", 200, false},
		{"a folded line", "HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n", 200, true},
		{"a folded line with bare line feeds", "HTTP/1.1 200 OK\nX-A: b\n c\nContent-Length: 0\n\n", 200, true},
		{"a signed length", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", 200, false},
		{"a list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", 200, false},
		{"chunked twice", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, false},
		{"chunked, chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 200, false},
		{"204 with a body", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", 204, false},
		{"HTTP/1.0 kept alive without length", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nok", 200, false},
		{"fields without end", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: b\r\n", 5_000), 200, false},
		{"fields with bare line feeds without end", "HTTP/1.1 503 Busy\n" + strings.Repeat("X-A: b\n", 5_000), 503, false},
		{"short fields with bare line feeds", "HTTP/1.1 200 OK\n" + strings.Repeat("A:\n", 2_500) + "Content-Length: 0\n\n", 200, true},
		{"a head cut short", "HTTP/1.1 200 OK\r\nContent-", 200, false},
	} {
		for _, used := range bothWays {
			url := serve(t, used, func(_ int, conn net.Conn) {
				r := bufio.NewReader(conn)
				_, length := rawapp.ReadHead(r)
				_, _ = io.CopyN(io.Discard, r, int64(length))
				_, _ = io.WriteString(conn, c.answer)
				_, _ = r.ReadByte() // until the other side ends it
			})
			client := clientOf(t, used, url)
			status, err := client.exchange(t, open())
			if status != c.status || err != nil {
				t.Errorf("%s %s: status %d, %v; want %d", c.name, how(used), status, err, c.status)
			}
			if client.Connected() != c.reusable {
				t.Errorf("%s %s: the connection is kept: %v", c.name, how(used), client.Connected())
			}
			client.HangUp()
		}
	}
}

func TestWhatIsNoAnswerIsAnError(t *testing.T) {
	for name, answer := range map[string]string{
		"nothing": "", "part of a status line": "HTTP/1.1 20", "another protocol": "SSH-2.0-OpenSSH_9.6\r\n",
		"no digits": "HTTP/1.1 abc OK\r\n\r\n", "no number": "HTTP/1.1 OK\r\n", "a long status": "HTTP/1.1 2000 OK\r\n\r\n",
		"a low status": "HTTP/1.1 042 OK\r\n\r\n", "HTTP/2": "HTTP/2 200\r\n\r\n",
		"carriage returns alone": "HTTP/1.1 200 OK\rContent-Length: 0\r\r", "empty lines without end": strings.Repeat("\r\n", 10_000), "a status line without end": "HTTP/1.1 200 " + strings.Repeat("O", 20_000),
		"NUL": "HTTP/1.1\x00200 OK\r\n\r\n", "interim answers without end": strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 100),
	} {
		for _, used := range bothWays {
			url := serve(t, used, func(_ int, conn net.Conn) {
				r := bufio.NewReader(conn)
				_, length := rawapp.ReadHead(r)
				_, _ = io.CopyN(io.Discard, r, int64(length))
				_, _ = io.WriteString(conn, answer)
				if ended := name == "nothing" || name == "part of a status line"; !ended {
					_, _ = r.ReadByte() // until the other side ends it
				}
			})
			c := clientOf(t, used, url)
			status, err := c.exchange(t, open())
			var dial *DialError
			if err == nil || IsTimeout(err) || errors.As(err, &dial) || errors.Is(err, ErrInterrupted) {
				t.Errorf("%s %s: status %d, %v", name, how(used), status, err)
			}
			if errors.Is(err, ErrNoAnswer) != (answer == "") {
				t.Errorf("%s %s: %v", name, how(used), err)
			}
			if c.Connected() {
				t.Errorf("%s %s: the connection is kept", name, how(used))
			}
			if c.Reused() != used {
				t.Errorf("%s %s: it says reused: %v", name, how(used), c.Reused())
			}
		}
	}
}

func TestAnAnswerBeforeTheRequestIsReadCounts(t *testing.T) {
	for _, used := range bothWays {
		for _, size := range []int{100, maxJoined, 16 << 20} {
			url := serve(t, used, func(_ int, c net.Conn) {
				r := bufio.NewReaderSize(c, 16)
				rawapp.ReadHead(r)
				_, _ = io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			}) // closed with most of the body unread: the other side's write fails if the body is large
			c := clientOf(t, used, url)
			p := &Request{ID: []byte("c1-42"), Attempt: 1, Body: make([]byte, size)}
			if status, err := c.exchange(t, p); status != 413 || err != nil {
				t.Errorf("%d bytes %s: status %d, %v", size, how(used), status, err)
			}
			if c.Connected() {
				t.Errorf("%d bytes %s: the connection is kept", size, how(used))
			}
		}
	}
}

func TestAHangingAppTimesOut(t *testing.T) {
	for name, part := range map[string]string{"silent": "", "in the head": "HTTP/1.1 200"} {
		for _, used := range bothWays {
			url := serve(t, used, func(_ int, c net.Conn) {
				r := bufio.NewReader(c)
				_, length := rawapp.ReadHead(r)
				_, _ = io.CopyN(io.Discard, r, int64(length))
				_, _ = io.WriteString(c, part)
				_, _ = r.ReadByte()
			})
			c := clientOf(t, used, url)
			if !used {
				if err := c.Connect(context.Background(), time.Now().Add(longWait)); err != nil {
					t.Fatal(err)
				}
			}
			status, _, err := c.Post(open(), time.Now().Add(20*time.Millisecond))
			if !IsTimeout(err) {
				t.Errorf("%s %s: status %d, %v", name, how(used), status, err)
			}
			if c.Connected() {
				t.Errorf("%s %s: the connection is kept", name, how(used))
			}
		}
	}
}

func TestAnInterruptedClientStaysInterrupted(t *testing.T) {
	for _, used := range bothWays {
		received := make(chan struct{})
		url := serve(t, used, func(n int, c net.Conn) {
			if n > 0 {
				return
			}
			rawapp.ReadHead(bufio.NewReader(c))
			close(received)
			_, _ = io.Copy(io.Discard, c)
		})
		c := clientOf(t, used, url)
		go func() {
			<-received
			c.Interrupt()
		}()
		if _, err := c.exchange(t, open()); err == nil || !c.Interrupted() {
			t.Errorf("%s: %v", how(used), err)
		}
		if err := c.Connect(context.Background(), time.Now().Add(longWait)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Post(open(), time.Now().Add(longWait)); !errors.Is(err, ErrInterrupted) {
			t.Errorf("afterwards, %s: %v", how(used), err)
		}
	}
}

func TestNothingIsSentOnAConnectionOnWhichSomethingHasCome(t *testing.T) {
	for name, unasked := range map[string]string{"bytes": "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "the end": ""} {
		for _, size := range []int{0, 2 * maxJoined} {
			spoken, seen := make(chan struct{}), make(chan int64, 1)
			answered, goOn := context.WithCancel(t.Context())
			url := serve(t, true, func(_ int, c net.Conn) {
				<-answered.Done()
				_, _ = io.WriteString(c, unasked)
				if unasked == "" {
					_ = c.(*net.TCPConn).CloseWrite()
				}
				close(spoken)
				n, _ := io.Copy(io.Discard, c)
				seen <- n
			})
			c := clientOf(t, true, url)
			goOn()
			<-spoken
			for !c.unasked.has() { // it is on its way through the kernel
			}
			if status, err := c.exchange(t, &Request{ID: []byte("c1-43"), Attempt: 1, Body: make([]byte, size)}); err != ErrUnasked || c.Connected() {
				t.Errorf("%s, %d bytes: status %d, %v, connected: %v", name, size, status, err, c.Connected())
			}
			if n := <-seen; n > 0 {
				t.Errorf("%s, %d bytes: %d were sent", name, size, n)
			}
		}
	}
}
