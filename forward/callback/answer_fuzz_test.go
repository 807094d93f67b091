package callback

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"
)

// readOnlyConn is an app that has said all it will say.
type readOnlyConn struct{ *bytes.Reader }

func (readOnlyConn) Write(p []byte) (int, error)      { return len(p), nil }
func (readOnlyConn) Close() error                     { return nil }
func (readOnlyConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (readOnlyConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (readOnlyConn) SetDeadline(time.Time) error      { return nil }
func (readOnlyConn) SetReadDeadline(time.Time) error  { return nil }
func (readOnlyConn) SetWriteDeadline(time.Time) error { return nil }

// FuzzAnswer reads what an app answers and compares with net/http. What matters
// most is that a connection is used again only where the answer ends with the last
// byte that came: whatever lies behind it would be taken for the next answer.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nup to the end",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 x\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk", "HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 101 x\r\n\r\n", "HTTP/1.1 42 x\r\n\r\n",
		"HTTP/1.1 429 x\r\nRetry-After: Mon, 02 Jan 2026 15:04:05 GMT\r\nContent-Length: 00\r\n\r\n", "HTTP/1.1 500 x\r\nbroken", "\r\n", "not HTTP\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	to, err := ParseTarget("http://127.0.0.1:1/hook")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		if len(answer) > maxHead/2 {
			return // what is not in the buffer yet cannot be seen
		}
		c := &Client{Target: &to, Dial: func(context.Context) (net.Conn, error) { return readOnlyConn{bytes.NewReader(answer)}, nil }}
		if err := c.Connect(context.Background(), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		status, retryAfter, err := c.Post(&Request{ID: []byte("id-1"), Body: []byte("{}"), Attempt: 1, Wanted: MaxBody}, time.Now().Add(time.Hour))
		if err == nil && (status < 101 || status > 999) || retryAfter < 0 || retryAfter > 24*time.Hour {
			t.Fatalf("%q: status %d, retry after %v, %v", answer, status, retryAfter, err)
		}
		if !c.Connected() {
			return
		}
		want, body, rest, theirs := readWithNetHTTP(answer)
		if theirs == errHead {
			return // fasthttp is more lenient about syntax
		}
		if theirs != nil || len(rest) > 0 || want != status {
			t.Fatalf("%q: status %d, and used again; net/http: %d, %q left, %v", answer, status, want, rest, theirs)
		}
		if c.Completeness == Whole && !bytes.Equal(c.Body(), body) {
			t.Fatalf("%q: body %q; net/http: %q", answer, c.Body(), body)
		}
	})
}

var errHead = errors.New("the head of an answer is malformed")

// readWithNetHTTP reads answers up to the final one.
func readWithNetHTTP(answer []byte) (status int, body, rest []byte, err error) {
	r := bufio.NewReader(bytes.NewReader(answer))
	request := &http.Request{Method: "POST"}
	for range maxInterim + 1 {
		response, err := http.ReadResponse(r, request)
		if err != nil {
			return 0, nil, nil, errHead
		}
		if response.StatusCode < 200 && response.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		if body, err = io.ReadAll(response.Body); err != nil {
			return 0, nil, nil, err
		}
		rest, err = io.ReadAll(r)
		return response.StatusCode, body, rest, err
	}
	return 0, nil, nil, fmt.Errorf("more than %d interim answers", maxInterim)
}

// FuzzRetryAfter compares with net/http's dates and plain arithmetic.
func FuzzRetryAfter(f *testing.F) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, seed := range []string{"", "0", "7", "86401", "-1", "+1", "4294967296", "1.5", " 7", "Fri, 02 Jan 2026 03:05:05 GMT", "Fri, 02 Jan 2026 03:03:05 GMT",
		"Fri, 02 Jan 2026 03:05:05 UTC", "Friday, 02-Jan-26 03:05:05 GMT", "Fri Jan  2 03:05:05 2026", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		got := parseRetryAfter(value, now)
		want := time.Duration(0)
		if n, err := strconv.ParseUint(string(value), 10, 32); err == nil {
			want = time.Duration(n) * time.Second
		} else if date, err := http.ParseTime(string(value)); err == nil {
			want = date.Sub(now)
		}
		if want = min(max(want, 0), 24*time.Hour); got != want && got != 0 { // dates in obsolete forms mean nothing
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	})
}
