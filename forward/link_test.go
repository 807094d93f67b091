package forward

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// rawApp accepts connections on a real socket and does with each, in turn, what
// the test says.
func rawApp(t *testing.T, serve func(n int, c net.Conn)) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(longWait))
			serve(n, c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return "http://" + ln.Addr().String() + "/hook"
}

func testLink(t *testing.T, url string) *link {
	t.Helper()
	to, err := parseTarget(url)
	if err != nil {
		t.Fatal(err)
	}
	l := &link{target: &to, dial: to.dialer()}
	t.Cleanup(l.hangUp)
	return l
}

// exchange connects if need be and makes one attempt.
func (l *link) exchange(t *testing.T, e *event) (status int, err error) {
	t.Helper()
	if !l.connected() {
		if err := l.connect(context.Background(), time.Now().Add(longWait)); err != nil {
			t.Fatal(err)
		}
	}
	e.attempts++
	status, _, err = l.postEvent(e, time.Now().Add(time.Hour)) // nothing here waits for its end
	return status, err
}

func (l *link) postEvent(e *event, deadline time.Time) (status int, retryAfter time.Duration, err error) {
	p := e.parcel()
	return l.post(&p, deadline)
}

// readHeadBytes reads a request's head as it is on the wire.
func readHeadBytes(r *bufio.Reader) (head string, length int) {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return b.String(), 0
		}
		b.WriteString(line)
		if line == "\r\n" {
			break
		}
	}
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(b.String())))
	if err != nil {
		return b.String(), 0
	}
	return b.String(), int(req.ContentLength)
}

func TestARequestIsOnTheWireAsTheContractHasIt(t *testing.T) {
	for _, size := range []int{0, maxJoined * 2} {
		data := `"` + strings.Repeat("x", size) + `"`
		for _, cookie := range []string{
			"", "a=b", `a="b c"; x=1;;y`, "a=1; a=2;a=3 ;  b", "=; =x; ;", "sid=caf\xe9; \u00e9=\t1", strings.Repeat("k=v; ", 4000),
		} {
			var head, body string
			url := rawApp(t, func(_ int, c net.Conn) {
				r := bufio.NewReader(c)
				var length int
				head, length = readHeadBytes(r)
				b := make([]byte, length)
				_, _ = io.ReadFull(r, b)
				body = string(b)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			})
			l := testLink(t, url+"?a=b%20c")
			src := alice
			src.Headers = cookie
			pool := eventPool{levels: MaxJSONDepth}
			e := pool.message(&src, []byte(data), false)
			if status, err := l.exchange(t, e); status != 200 || err != nil {
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
			if body != `{"data":`+data+`,"action":"message","user_name":"alice","conn_id":"c1"}` {
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
	big := strings.Repeat("x", maxAnswerBody+1)
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
		{"a head over the limit", "HTTP/1.1 503 Busy\r\nX-A: " + strings.Repeat("a", maxAnswerHead) + "\r\n\r\n", 503, false},
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
		url := rawApp(t, func(_ int, conn net.Conn) {
			r := bufio.NewReader(conn)
			_, length := readHeadBytes(r)
			_, _ = io.CopyN(io.Discard, r, int64(length))
			_, _ = io.WriteString(conn, c.answer)
			_, _ = r.ReadByte() // until the other side ends it
		})
		l := testLink(t, url)
		pool := eventPool{levels: MaxJSONDepth}
		status, err := l.exchange(t, pool.open(&alice, &Request{}))
		if status != c.status || err != nil {
			t.Errorf("%s: status %d, %v; want %d", c.name, status, err, c.status)
		}
		if l.connected() != c.reusable {
			t.Errorf("%s: the connection is kept: %v", c.name, l.connected())
		}
		l.hangUp()
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
		url := rawApp(t, func(_ int, conn net.Conn) {
			r := bufio.NewReader(conn)
			_, length := readHeadBytes(r)
			_, _ = io.CopyN(io.Discard, r, int64(length))
			_, _ = io.WriteString(conn, answer)
			if ended := name == "nothing" || name == "part of a status line"; !ended {
				_, _ = r.ReadByte() // until the other side ends it
			}
		})
		l := testLink(t, url)
		pool := eventPool{levels: MaxJSONDepth}
		status, err := l.exchange(t, pool.open(&alice, &Request{}))
		if err == nil || classify(status, err) != Broken {
			t.Errorf("%s: status %d, %v", name, status, err)
		}
		if errors.Is(err, errNoAnswer) != (answer == "") {
			t.Errorf("%s: %v", name, err)
		}
		if l.connected() {
			t.Errorf("%s: the connection is kept", name)
		}
	}
}

func TestAnAnswerBeforeTheRequestIsReadCounts(t *testing.T) {
	url := rawApp(t, func(_ int, c net.Conn) {
		r := bufio.NewReader(c)
		readHeadBytes(r)
		_, _ = io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
	}) // closed with most of the body unread: the other side's write fails
	l := testLink(t, url)
	pool := eventPool{levels: MaxJSONDepth}
	e := pool.message(&alice, make([]byte, 4<<20), true)
	if status, err := l.exchange(t, e); status != 413 || err != nil {
		t.Errorf("status %d, %v", status, err)
	}
	if l.connected() {
		t.Error("the connection is kept")
	}
}

func TestAHangingAppTimesOut(t *testing.T) {
	for name, part := range map[string]string{"silent": "", "in the head": "HTTP/1.1 200"} {
		url := rawApp(t, func(_ int, c net.Conn) {
			r := bufio.NewReader(c)
			_, length := readHeadBytes(r)
			_, _ = io.CopyN(io.Discard, r, int64(length))
			_, _ = io.WriteString(c, part)
			_, _ = r.ReadByte()
		})
		l := testLink(t, url)
		if err := l.connect(context.Background(), time.Now().Add(longWait)); err != nil {
			t.Fatal(err)
		}
		pool := eventPool{levels: MaxJSONDepth}
		status, _, err := l.postEvent(pool.open(&alice, &Request{}), time.Now().Add(20*time.Millisecond))
		if got := classify(status, err); got != TimedOut {
			t.Errorf("%s: %v (%v)", name, got, err)
		}
	}
}

func TestAnInterruptedLinkStaysInterrupted(t *testing.T) {
	received := make(chan struct{})
	url := rawApp(t, func(n int, c net.Conn) {
		r := bufio.NewReader(c)
		readHeadBytes(r)
		if n == 0 {
			close(received)
		}
		_, _ = io.Copy(io.Discard, r)
	})
	l := testLink(t, url)
	go func() {
		<-received
		l.interrupt()
	}()
	pool := eventPool{levels: MaxJSONDepth}
	if _, err := l.exchange(t, pool.open(&alice, &Request{})); err == nil || !l.wasCut() {
		t.Errorf("%v", err)
	}
	if err := l.connect(context.Background(), time.Now().Add(longWait)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.postEvent(pool.open(&alice, &Request{}), time.Now().Add(longWait)); !errors.Is(err, errCutOff) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestCallbackURLs(t *testing.T) {
	for raw, want := range map[string]target{
		"http://127.0.0.1:8888/ws/message":  {"tcp", "127.0.0.1:8888", false, "127.0.0.1", "POST /ws/message HTTP/1.1\r\nHost: 127.0.0.1:8888\r\n", "http://127.0.0.1:8888/ws/message"},
		"http://app":                        {"tcp", "app:80", false, "app", "POST / HTTP/1.1\r\nHost: app\r\n", "http://app"},
		"HTTP://app/a%2Fb?token=x":          {"tcp", "app:80", false, "app", "POST /a%2Fb?token=x HTTP/1.1\r\nHost: app\r\n", "http://app/a%2Fb"},
		"http://[::1]:3010/a b":             {"tcp", "[::1]:3010", false, "::1", "POST /a%20b HTTP/1.1\r\nHost: [::1]:3010\r\n", "http://[::1]:3010/a%20b"},
		"http://[fe80::1%25eth0]:3010/":     {"tcp", "[fe80::1%eth0]:3010", false, "fe80::1%eth0", "POST / HTTP/1.1\r\nHost: [fe80::1]:3010\r\n", "http://[fe80::1%eth0]:3010/"},
		"http://[fe80::1%25eth0]/":          {"tcp", "[fe80::1%eth0]:80", false, "fe80::1%eth0", "POST / HTTP/1.1\r\nHost: [fe80::1]\r\n", "http://[fe80::1%eth0]/"},
		"https://app/x":                     {"tcp", "app:443", true, "app", "POST /x HTTP/1.1\r\nHost: app\r\n", "https://app/x"},
		"https://app:8443":                  {"tcp", "app:8443", true, "app", "POST / HTTP/1.1\r\nHost: app:8443\r\n", "https://app:8443"},
		"http://app/?a b=\"c\"&é=<%20>%zz%": {"tcp", "app:80", false, "app", "POST /?a%20b=%22c%22&%C3%A9=%3C%20%3E%25zz%25 HTTP/1.1\r\nHost: app\r\n", "http://app/"},
		"http://app/é \"{|}\\^`/x?":         {"tcp", "app:80", false, "app", "POST /%C3%A9%20%22%7B%7C%7D%5C%5E%60/x? HTTP/1.1\r\nHost: app\r\n", "http://app/%C3%A9%20%22%7B%7C%7D%5C%5E%60/x"},
		"unix:/a:/p q?x y":                  {"unix", "/a", false, "", "POST /p%20q?x%20y HTTP/1.1\r\nHost: localhost\r\n", "unix:/a:/p%20q"},
		"unix:/run/app.sock":                {"unix", "/run/app.sock", false, "", "POST / HTTP/1.1\r\nHost: localhost\r\n", "unix:/run/app.sock:/"},
		"unix:/run/a b.sock:/ws/m?t=x:y":    {"unix", "/run/a b.sock", false, "", "POST /ws/m?t=x:y HTTP/1.1\r\nHost: localhost\r\n", "unix:/run/a b.sock:/ws/m"},
	} {
		got, err := parseTarget(raw)
		want.head += "User-Agent: ws-gateway\r\nContent-Type: application/json\r\n"
		if err != nil || got != want || CheckURL(raw) != nil {
			t.Errorf("%s: %+v, %v", raw, got, err)
		}
	}
}

func TestCallbackURLsThatAreRefused(t *testing.T) {
	for raw, reason := range map[string]string{
		"":                                  "missing",
		"127.0.0.1:8888/hook":               "callback URL",
		"/hook":                             "no scheme",
		"ftp://app/hook":                    "scheme ftp is not supported",
		"unix:":                             "does not begin with /",
		"unix:run/app.sock":                 "does not begin with /",
		"unix:/run/app.sock:ws":             "not a path",
		"unix:/run/app.sock:/a#b":           "not a path",
		"unix:/a:/b\r\nX: ":                 "not a path",
		"unix:/" + strings.Repeat("x", 107): "over 107 bytes",
		"http:///hook":                      "no host",
		"http:hook":                         "no host",
		"http://u:p@app/":                   "user and password",
		"http://app/#top":                   "fragment",
		"http://app:port/":                  "invalid port",
		"http://bücher.example/":            "Host header",
		"http://app/\r\nX-Evil: ":           "invalid control character",
		"http://app/?u:p\t":                 "invalid control character",
		"http://app/?u:p\x00":               "invalid control character",
		"http://app/u:p\x7f":                "invalid control character",
		"http://app/%zz":                    "invalid URL escape",
	} {
		_, err := parseTarget(raw)
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: %v, want %q", raw, err, reason)
		}
		if err != nil && strings.Contains(err.Error(), "u:p") {
			t.Errorf("the password is shown: %v", err)
		}
	}
}

func TestWhatComesUnaskedIsNoAnswerToTheNextEvent(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	delivered, strayed := make(chan struct{}, 2), make(chan struct{})
	seen := make(chan string, 9) // by the app, which serves one connection after the other
	n := 0
	url := rawApp(t, func(_ int, c net.Conn) {
		r := bufio.NewReader(c)
		for {
			request, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, request.Body)
			seen <- request.Header.Get("X-Request-Id") + " attempt " + request.Header.Get("X-Attempt")
			n++
			switch n {
			case 1: // answers, and when that has been read once more
				_, _ = io.WriteString(c, answer)
				<-delivered
				_, _ = io.WriteString(c, answer)
				close(strayed)
			case 2: // has not taken this one
				_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
			default:
				_, _ = io.WriteString(c, answer)
			}
		}
	})
	f, err := New(Config{URL: url, Concurrency: 1, Reply: func(uint64, Reply) { delivered <- struct{}{} }})
	if err != nil {
		t.Fatal(err)
	}
	f.Start()
	f.Message(source(1, 0), []byte("0"), false)
	<-strayed
	f.Message(source(1, 1), []byte("1"), false)
	equal(t, "left over", f.Drain(within(t, longWait)), Leftover{})
	equal(t, "delivered", f.Stats().Delivered[actionMessage], 2)
	for _, want := range [...]string{"c1-0 attempt 1", "c1-1 attempt 1", "c1-1 attempt 2"} {
		select {
		case saw := <-seen:
			equal(t, "the app saw", saw, want)
		default:
			t.Errorf("the app never saw %s", want)
		}
	}
}
