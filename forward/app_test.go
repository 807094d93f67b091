package forward

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"ws-gateway/forward/callback"
)

// post is one request that the app has received.
type post struct {
	at      time.Duration // since the app was made
	id      string
	attempt int
	cookie  string
	body    string
}

// fakeApp is an app that lives in memory, so that time can be synctest's.
type fakeApp struct {
	t     *testing.T
	serve func(p post, w http.ResponseWriter, r *http.Request) // default: 200
	epoch time.Time
	conns chan net.Conn
	quit  chan struct{}
	http  http.Server

	mu    sync.Mutex
	down  bool
	open  int             // connections
	dials []time.Duration // attempts to connect
	posts []post
}

func newFakeApp(t *testing.T) *fakeApp {
	a := &fakeApp{t: t, epoch: time.Now(), conns: make(chan net.Conn), quit: make(chan struct{})}
	a.http.Handler = a
	a.http.ConnState = func(_ net.Conn, s http.ConnState) {
		a.mu.Lock()
		defer a.mu.Unlock()
		switch s {
		case http.StateNew:
			a.open++
		case http.StateClosed:
			a.open--
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = a.http.Serve(a)
	}()
	t.Cleanup(func() {
		_ = a.http.Close()
		<-done
	})
	return a
}

// Accept, Close and Addr make it the server's net.Listener.
func (a *fakeApp) Accept() (net.Conn, error) {
	select {
	case c := <-a.conns:
		return c, nil
	case <-a.quit:
		return nil, net.ErrClosed
	}
}
func (a *fakeApp) Close() error {
	select {
	case <-a.quit:
	default:
		close(a.quit)
	}
	return nil
}
func (a *fakeApp) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

func (a *fakeApp) dial(ctx context.Context) (net.Conn, error) {
	a.mu.Lock()
	a.dials = append(a.dials, time.Since(a.epoch))
	down := a.down
	a.mu.Unlock()
	if down {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	ours, theirs := net.Pipe()
	select {
	case a.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (a *fakeApp) setDown(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = down
}

func (a *fakeApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if !json.Valid(body) {
		a.t.Errorf("a body is no JSON: %s", body)
	}
	attempt, _ := strconv.Atoi(r.Header.Get("X-Attempt"))
	p := post{
		at: time.Since(a.epoch), id: r.Header.Get("X-Request-Id"), attempt: attempt,
		cookie: r.Header.Get("Cookie"), body: string(body),
	}
	a.mu.Lock()
	a.posts = append(a.posts, p)
	serve := a.serve
	a.mu.Unlock()
	if serve != nil {
		serve(p, w, r)
	}
}

// begin changes how it answers from now on, and forgets what it has received.
func (a *fakeApp) begin(serve func(p post, w http.ResponseWriter, r *http.Request)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.serve, a.posts = serve, nil
}

// received returns what has arrived so far.
func (a *fakeApp) received() []post {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]post(nil), a.posts...)
}

func (a *fakeApp) ids() (ids []string) {
	for _, p := range a.received() {
		ids = append(ids, p.id)
	}
	return ids
}

// logBuffer takes log lines from several goroutines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) count(part string) int { return bytes.Count([]byte(l.String()), []byte(part)) }

// bubble runs test in virtual time with a forwarder to app, started, whose
// log it can read. The forwarder is drained, without waiting, at the end.
func bubble(t *testing.T, cfg Config, test func(t *testing.T, f *Forwarder, a *fakeApp, log *logBuffer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := newFakeApp(t)
		log := &logBuffer{}
		cfg.URL = "http://app/hook?token=secret"
		cfg.Log = zerolog.New(log)
		f, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		f.dialer = func(callback.Target) callback.DialFunc { return a.dial }
		f.terms.Load().dial = a.dial
		f.Start()
		defer f.Drain(ended())
		test(t, f, a, log)
	})
}

// ended is a context that is done.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// longWait is for what must happen, however busy the machine.
const longWait = 10 * time.Minute

// within is a context of that duration.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// source is event seq of connection key, whose id is "c<key>".
func source(key, seq int) Source {
	return Source{Key: uint64(key), Seq: uint32(seq), ConnID: []byte("c" + strconv.Itoa(key)), User: "alice"}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// take receives what must be there.
func take[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	default:
		t.Fatal("nothing there")
		panic("not reached")
	}
}
