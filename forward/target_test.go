package forward

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ws-gateway/forward/headers"
	"ws-gateway/forward/internal/rawapp"
)

// deliverTo sends one message and returns the forwarder's figures in the end.
func deliverTo(t *testing.T, cfg Config) (Stats, *logBuffer) {
	t.Helper()
	log := &logBuffer{}
	cfg.Log = zerolog.New(log)
	cfg.RetryFor = 300 * time.Millisecond
	f, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.Start()
	f.Message(source(1, 0), []byte("1"), false)
	f.Message(source(1, 1), []byte("1"), false)
	f.Drain(within(t, longWait))
	return f.Stats(), log
}

func TestEventsReachAnAppBehindTLS(t *testing.T) {
	var requests, resumed, connections atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) > 0 {
			requests.Add(1)
		}
		if r.TLS.DidResume {
			resumed.Add(1)
		}
		w.Header().Set("Connection", "close")
		_, _ = io.WriteString(w, "hello")
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	replies := 0
	s, _ := deliverTo(t, Config{
		URL:   server.URL,
		TLS:   &tls.Config{RootCAs: roots, Certificates: server.TLS.Certificates},
		Reply: func(uint64, Reply) { replies++ },
	})
	equal(t, "delivered", s.Delivered[actionMessage], 2)
	equal(t, "with a client certificate", requests.Load(), 2)
	equal(t, "connections", connections.Load(), 2)
	equal(t, "of these, resumed", resumed.Load(), 1)
	equal(t, "replies", replies, 2)
}

func TestAnAppWhoseCertificateIsNotTrustedGetsNothing(t *testing.T) {
	reached := make(chan struct{}, 10)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached <- struct{}{} }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	s, said := deliverTo(t, Config{URL: server.URL}) // not of the system's authorities
	equal(t, "failed", s.Failed[actionMessage], 2)
	equal(t, "requests", len(reached), 0)
	if !strings.Contains(said.String(), "certificate signed by unknown authority") {
		t.Errorf("the log does not say why:\n%s", said)
	}
}

func TestEventsReachAnAppOnAUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var seen atomic.Value
	server := &httptest.Server{Listener: ln, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Host + " " + r.URL.String() + " " + r.Header.Get("X-Static"))
		_, _ = io.WriteString(w, "x")
	})}}
	server.Start()
	defer server.Close()
	replies := 0
	s, _ := deliverTo(t, Config{
		URL: "unix:" + path + ":/ws/message?a=b", Headers: []headers.Field{{Name: "X-Static", Value: "yes"}},
		Reply: func(uint64, Reply) { replies++ },
	})
	equal(t, "delivered", s.Delivered[actionMessage], 2)
	equal(t, "request", seen.Load(), any("localhost /ws/message?a=b yes"))
	equal(t, "replies", replies, 2)
}

func TestHeadersThatCannotBeAddedAreRefused(t *testing.T) {
	for _, name := range []string{
		"", "a b", "X-Ä", "Connection", "transfer-encoding", "TE", "Upgrade", "Content-Length", "content-type", "Host",
		"Cookie", "X-Request-Id", "x-attempt", "X-Ws-Signature", "X-WS-Epoch", "User-Agent",
	} {
		if _, err := New(Config{URL: "http://a/", Headers: []headers.Field{{Name: name, Value: "x"}}}); err == nil {
			t.Errorf("%q is taken", name)
		}
	}
	for _, name := range []string{"Authorization", "X-Tenant", "accept-language"} {
		if reason := headers.Check(name); reason != "" {
			t.Errorf("%s: %s", name, reason)
		}
	}
}

func TestAResetOfAnIdleConnectionIsAStaleOneToo(t *testing.T) {
	seen := make(chan string, 10)
	url := rawapp.Serve(t, func(n int, c net.Conn) {
		r := bufio.NewReader(c)
		for range 2 {
			head, length := rawapp.ReadHead(r)
			_, _ = io.CopyN(io.Discard, r, int64(length))
			seen <- head
			if n == 0 && strings.Contains(head, "c1-1") { // on its way when the app gave up: reset
				_ = c.(*net.TCPConn).SetLinger(0)
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
		}
	})
	s, log := deliverTo(t, Config{URL: url})
	equal(t, "delivered", s.Delivered[actionMessage], 2)
	equal(t, "attempts", s.Attempts, 3)
	equal(t, "broken", s.Outcomes[Broken], 0)
	equal(t, "log", log.String(), "")
}

func TestAPortThatCannotBeConnectedToIsRefused(t *testing.T) {
	for _, port := range []string{"0", "00", "65536", "99999", "99999999999999999999999"} {
		if _, err := New(Config{URL: "http://app.test:" + port + "/"}); err == nil || !strings.Contains(err.Error(), "65535") {
			t.Errorf("port %s: %v", port, err)
		}
	}
	for _, port := range []string{"", ":", ":1", ":0080", ":65535"} {
		if _, err := New(Config{URL: "http://app.test" + port + "/"}); err != nil {
			t.Errorf("port %s: %v", port, err)
		}
	}
}
