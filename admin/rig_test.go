package admin

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"

	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

const testTimeout = 2 * time.Minute // for what must happen, however busy the machine

// rig is a push-only gateway: clients and management on one listener.
type rig struct {
	t       *testing.T
	hub     *hub.Hub
	sockets *netpoll.Server
	admin   *Server
	addr    string
	http    *http.Client
}

func newRig(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	h, err := hub.New(hub.Config{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	sockets, err := netpoll.New(netpoll.Config{
		Handler: h, Loops: 2, HandOff: HandOff(func() bool { return false }), CloseTimeout: time.Second, Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Attach(sockets)
	addr, err := sockets.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := sockets.Start(); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Hub: h, Sockets: sockets.Stats, Version: "test", Log: zerolog.Nop()}
	for _, f := range change {
		f(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, hub: h, sockets: sockets, admin: s, addr: addr.String(), http: &http.Client{Transport: &http.Transport{}, Timeout: testTimeout}}
	r.serve(sockets.HandedOff())
	t.Cleanup(func() {
		r.http.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		if err := sockets.Stop(ctx); err != nil {
			t.Errorf("stopping the sockets: %v", err)
		}
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutting down: %v", err)
		}
	})
	return r
}

// serve serves ln until the test ends, and requires that it ends without error.
func (r *rig) serve(ln net.Listener) {
	served := make(chan error, 1)
	go func() { served <- r.admin.Serve(ln) }()
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		r.admin.Shutdown(ctx)
		if err := <-served; err != nil {
			r.t.Errorf("Serve: %v", err)
		}
	})
}

// dial opens a WebSocket connection.
func (r *rig) dial(user, agent string) *websocket.Conn {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	header := http.Header{"User-Agent": {agent}}
	if user != "" {
		header.Set("X-Bfl-User", user)
	}
	c, _, err := websocket.Dial(ctx, "ws://"+r.addr+"/ws", &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		r.t.Fatalf("dialling: %v", err)
	}
	r.t.Cleanup(func() { c.CloseNow() })
	return c
}

// expect reads the connection's next message.
func (r *rig) expect(c *websocket.Conn, kind websocket.MessageType, want string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	got, data, err := c.Read(ctx)
	if err != nil {
		r.t.Fatalf("waiting for %q: %v", want, err)
	}
	if got != kind || string(data) != want {
		r.t.Fatalf("received %v %q, want %v %q", got, data, kind, want)
	}
}

// expectClose reads the connection's close frame.
func (r *rig) expectClose(c *websocket.Conn, code websocket.StatusCode, reason string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	_, _, err := c.Read(ctx)
	var closed websocket.CloseError
	if !errors.As(err, &closed) || closed.Code != code || closed.Reason != reason {
		r.t.Fatalf("ended with %v, want %d %q", err, code, reason)
	}
}

// reply is a response as far as tests look at it.
type reply struct {
	status int
	body   string
	header http.Header
	close  bool
}

// ownListener makes the requests that follow go to a listener that no event loop
// serves.
func (r *rig) ownListener() {
	r.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.serve(ln)
	r.addr = ln.Addr().String()
}

// do makes a request; headers are "Name: value".
func (r *rig) do(method, target, body string, headers ...string) reply {
	r.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, "http://"+r.addr+target, reader)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	resp, err := r.http.Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, target, err)
	}
	return readReply(r.t, resp)
}

func readReply(t *testing.T, resp *http.Response) reply {
	t.Helper()
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading a response: %v", err)
	}
	return reply{resp.StatusCode, string(data), resp.Header, resp.Close}
}

// rawConn is a connection on which tests write what they like.
type rawConn struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func (r *rig) wire() *rawConn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	return newWire(r.t, c)
}

func newWire(t *testing.T, c net.Conn) *rawConn {
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(testTimeout))
	return &rawConn{t, c, bufio.NewReader(c)}
}

func (w *rawConn) write(s string) *rawConn {
	w.t.Helper()
	if _, err := io.WriteString(w.Conn, s); err != nil {
		w.t.Fatalf("writing: %v", err)
	}
	return w
}

// read reads the response to a request with the given method.
func (w *rawConn) read(method string) reply {
	w.t.Helper()
	resp, err := http.ReadResponse(w.in, &http.Request{Method: method})
	if err != nil {
		w.t.Fatalf("reading a response: %v", err)
	}
	return readReply(w.t, resp)
}

// ended requires that the peer closes the connection now.
func (w *rawConn) ended() {
	w.t.Helper()
	if rest, err := io.ReadAll(w.in); len(rest) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
		w.t.Fatalf("instead of its end the connection has %q, %v", rest, err)
	}
}

// metric is the value of a metric that has these labels' values, in the order of the labels'
// names.
func (r *rig) metric(name string, labels ...string) float64 {
	r.t.Helper()
	families, err := r.admin.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && slices.EqualFunc(m.GetLabel(), labels, func(l *dto.LabelPair, v string) bool { return l.GetValue() == v }) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	r.t.Fatalf("there is no metric %s%q", name, labels)
	return 0
}

// await spins until ok; what it waits for takes no time of its own.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); !ok(); runtime.Gosched() {
		if time.Since(start) > testTimeout {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// crowd is a listener whose connections come from wherever the test says.
type crowd struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func newCrowd() *crowd {
	return &crowd{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (c *crowd) Accept() (net.Conn, error) {
	select {
	case conn := <-c.conns:
		return conn, nil
	case <-c.closed:
		return nil, net.ErrClosed
	}
}

func (c *crowd) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func (c *crowd) Addr() net.Addr { return &net.TCPAddr{} }

// from connects as a peer with the given address.
func (c *crowd) from(t *testing.T, peer string) *rawConn {
	ours, theirs := net.Pipe()
	c.conns <- &guest{theirs, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(peer))}
	return newWire(t, ours)
}

type guest struct {
	net.Conn
	peer net.Addr
}

func (g *guest) RemoteAddr() net.Addr { return g.peer }
