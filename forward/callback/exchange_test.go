package callback

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ws-gateway/exchange"
	"ws-gateway/forward/internal/rawapp"
)

func TestAConnectionCarriesRequestsToAnyTarget(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app")
	for _, kind := range []string{"tcp", "unix", "tls", "tcp, watched", "unix, watched", "tls, watched"} {
		var connections, requests atomic.Int64
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			b, _ := io.ReadAll(r.Body)
			_, _ = w.Write(b)
		}))
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				connections.Add(1)
			}
		}
		to, watched := strings.CutSuffix(kind, ", watched")
		var url string
		roots := x509.NewCertPool()
		switch to {
		case "unix":
			ln, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			_ = s.Listener.Close()
			s.Listener = ln
			s.Start()
			url = "unix:" + path
		case "tls":
			s.StartTLS()
			url = s.URL
			roots.AddCert(s.Certificate())
		default:
			s.Start()
			url = s.URL
		}
		c := testClient(t, url)
		c.TLS = c.Target.TLSConfig(&tls.Config{RootCAs: roots})
		if watched {
			c.Watch = new(Watch)
		}
		for i := range 3 {
			p := open()
			p.Wanted = 1000
			c.Watch.Begin(1)
			if status, err := c.exchange(t, p); status != 200 || err != nil || string(c.Body()) != string(p.Body) {
				t.Errorf("%s, request %d: status %d, %v, %q", kind, i, status, err, c.Body())
			}
			c.Watch.End()
		}
		if connections.Load() != 1 || requests.Load() != 3 {
			t.Errorf("%s: %d connections carried %d requests", kind, connections.Load(), requests.Load())
		}
		c.HangUp()
		s.Close()
	}
}

// signalling is a connection that says when it has been read.
type signalling struct {
	*net.TCPConn
	took chan<- struct{}
}

func (s signalling) Read(b []byte) (n int, err error) {
	if n, err = s.TCPConn.Read(b); n > 0 {
		s.took <- struct{}{}
	}
	return n, err
}

// Each part is written when the one before it has been read.
func TestAnAnswerInPartsIsReadToItsEnd(t *testing.T) {
	parts := []string{"HTTP/1.1 2", "00 OK\r\nTransfer-Enc", "oding: chunked\r\n\r\n5\r\nhel", "lo\r\n", "0\r\n\r", "\n"}
	const requests = 3
	took := make(chan struct{})
	url := rawapp.Serve(t, func(_ int, c net.Conn) {
		r := bufio.NewReader(c)
		for range requests {
			_, length := rawapp.ReadHead(r)
			_, _ = io.CopyN(io.Discard, r, int64(length))
			for _, part := range parts {
				_, _ = io.WriteString(c, part)
				select {
				case <-took:
				case <-t.Context().Done():
				}
			}
		}
	})
	c := testClient(t, url)
	dial, exchanged := c.Dial, 0
	c.Dial = func(ctx context.Context) (net.Conn, error) {
		conn, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		return signalling{conn.(*net.TCPConn), took}, nil
	}
	c.socket.Receive = func(fd uintptr, p []byte) (n int, errno syscall.Errno) {
		if n, errno = exchange.Receive(fd, p); n > 0 {
			exchanged++
			took <- struct{}{}
		}
		return n, errno
	}
	for i := range requests {
		p := open()
		p.Wanted = 1000
		if status, err := c.exchange(t, p); status != 200 || err != nil || string(c.Body()) != "hello" || !c.Connected() {
			t.Errorf("request %d: status %d, %v, %q", i, status, err, c.Body())
		}
	}
	if exchanged != requests-1 {
		t.Errorf("%d of %d answers began in an exchange; all but the first do", exchanged, requests)
	}
}

// A request that the socket does not take at once is written in the ordinary way.
func TestARequestThatDoesNotFitIntoTheSocketIsSentWhole(t *testing.T) {
	body := strings.Repeat("x", maxJoined)
	var got strings.Builder
	url := serve(t, true, func(_ int, c net.Conn) {
		r := bufio.NewReader(c)
		_, length := rawapp.ReadHead(r)
		_, _ = io.CopyN(&got, r, int64(length))
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	c := testClient(t, url)
	dial := c.Dial
	c.Dial = func(ctx context.Context) (net.Conn, error) {
		conn, err := dial(ctx)
		if err == nil {
			err = conn.(*net.TCPConn).SetWriteBuffer(1) // the kernel's least
		}
		return conn, err
	}
	if status, err := c.exchange(t, open()); status != 200 || err != nil {
		t.Fatalf("the first request: status %d, %v", status, err)
	}
	if status, err := c.exchange(t, &Request{ID: []byte("c1-43"), Attempt: 1, Body: []byte(body)}); status != 200 || err != nil || !c.Connected() {
		t.Errorf("status %d, %v, connected: %v", status, err, c.Connected())
	}
	if got.String() != body {
		t.Errorf("%d bytes arrived of %d", got.Len(), len(body))
	}
}

// A deadline that passes while the process does not run ends no exchange.
func TestAnExchangeIsAwaitedForAsLongAsTheProcessRuns(t *testing.T) {
	asked := make(chan struct{}, 100)
	var ours net.Conn
	url := serve(t, true, func(_ int, c net.Conn) {
		rawapp.ReadHead(bufio.NewReader(c))
		_ = ours.SetDeadline(time.Unix(1, 0))
		for range 2 { // when the exchange begins, and after the deadline has passed
			select {
			case <-asked:
			case <-t.Context().Done():
			}
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	c := testClient(t, url)
	dial := c.Dial
	c.Dial = func(ctx context.Context) (conn net.Conn, err error) {
		ours, err = dial(ctx)
		return ours, err
	}
	if status, err := c.exchange(t, open()); status != 200 || err != nil {
		t.Fatalf("the first request: status %d, %v", status, err)
	}
	c.Clock = func() time.Duration { // by which no time passes
		asked <- struct{}{}
		return 0
	}
	if status, err := c.exchange(t, &Request{ID: []byte("c1-43"), Attempt: 1}); status != 200 || err != nil {
		t.Errorf("status %d, %v", status, err)
	}
}
