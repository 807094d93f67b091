package admin

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

func TestBodiesThatDoNotFitTogetherAreRefusedBeforeTheyAreRead(t *testing.T) {
	const body = 40_000
	r := newRig(t, func(c *Config) { c.Memory = 3 * body })
	half := strings.Repeat("x", body/2)
	first := r.wire().write(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", sendPath, body, half))
	await(t, "the first body to be waited for", func() bool { return r.metric("ws_gateway_memory_used_bytes", "api") == 2*body })
	second := r.wire().write(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", sendPath, body, half[:10_000]))
	if got := second.read("POST"); got.status != 503 || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, "--api-memory") {
		t.Errorf("the second is answered with %d %s", got.status, got.body)
	}
	if got := r.do("POST", sendPath, oneSend); got.status != 200 {
		t.Errorf("a small one is answered with %d %s", got.status, got.body)
	}
	first.write(half)
	if got := first.read("POST"); !strings.Contains(got.body, `"code":400`) {
		t.Errorf("the first is answered with %d %s", got.status, got.body)
	}
	await(t, "all memory to be free again", func() bool { return r.metric("ws_gateway_memory_used_bytes", "api") == 0 })
}

func TestMoreNamesThanABodyMayHaveAreRefused(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxBodyBytes = 96 << 10 })
	if got := r.do("POST", sendPath, `{"payload":1,"users":[""`+strings.Repeat(`,""`, 5000)+`]}`); got.status != 413 || !strings.Contains(got.body, "several calls") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := r.do("POST", sendPath, `{"payload":1,"users":[""`+strings.Repeat(`,""`, 4000)+`]}`); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// A list that is not read holds its memory. Others' lists are refused then, and nobody's
// commands.
func TestListsThatNobodyReadsAreBounded(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Memory = 3 * listShare * listMemory })
	const held = 3
	lists := r.admin.memory.lists.Reserve()
	if !lists.Grow(held * listMemory) {
		t.Fatal("no room for lists")
	}
	for _, request := range []string{"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n"} {
		got := r.wire().write(fmt.Sprintf(request, listPath)).read("GET")
		if got.status != 503 || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, "--api-memory") {
			t.Errorf("one more list: %d %s", got.status, got.body)
		}
	}
	if got := r.do("POST", sendPath, oneSend); got.status != 200 {
		t.Errorf("a command: %d %s", got.status, got.body)
	}
	lists.Release()
	for _, request := range []string{"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", "HEAD %s HTTP/1.1\r\nHost: localhost\r\n\r\n", "HEAD %s HTTP/1.0\r\nHost: localhost\r\n\r\n"} {
		method, _, _ := strings.Cut(request, " ")
		if got := r.wire().write(fmt.Sprintf(request, listPath)).read(method); got.status != 200 {
			t.Errorf("%q: %d %s", request, got.status, got.body)
		}
	}
	await(t, "all memory to be free again", func() bool { return r.metric("ws_gateway_memory_used_bytes", "api") == 0 })
}

// Answers that nobody reads are bounded, also those that are no lists. Commands and small
// answers are served meanwhile, and so is whoever only looks.
func TestAnswersThatNobodyReadsAreBounded(t *testing.T) {
	r := newRig(t)
	others := r.admin.answers.Reserve()
	if !others.Grow(maxAnswers) {
		t.Fatal("no room for answers")
	}
	for _, request := range []string{"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n", "GET /console/ HTTP/1.1\r\nHost: localhost\r\n\r\n"} {
		got := r.wire().write(request).read("GET")
		if got.status != 503 || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, "too many callers") {
			t.Errorf("%q: %d %s", request, got.status, got.body)
		}
	}
	for _, request := range []string{"GET " + statusPath, "GET " + listPath, "GET /healthz", "POST " + sendPath} {
		method, path, _ := strings.Cut(request, " ")
		body := ""
		if method == "POST" {
			body = oneSend
		}
		if got := r.do(method, path, body); got.status != 200 {
			t.Errorf("%s: %d %s", request, got.status, got.body)
		}
	}
	others.Release()
	for _, request := range []string{"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n", "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"} {
		method, _, _ := strings.Cut(request, " ")
		if got := r.wire().write(request).read(method); got.status != 200 || method == "GET" && !strings.Contains(got.body, "ws_gateway_build_info") {
			t.Errorf("%q: %d %s", request, got.status, got.body)
		}
	}
	await(t, "all memory to be free again", func() bool { _, used, _ := r.admin.answers.Counts(); return used == 0 })
}

// TestCallersWhoTakeNoAnswerHoldNoMoreThanThat: each asks for metrics again and again, and
// reads nothing.
func TestCallersWhoTakeNoAnswerHoldNoMoreThanThat(t *testing.T) {
	r := newRig(t)
	for range 130 {
		caller := r.wire()
		caller.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		caller.write(strings.Repeat("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 20))
	}
	await(t, "one of them to be refused", func() bool { _, _, refused := r.admin.answers.Counts(); return refused > 0 })
	if _, used, _ := r.admin.answers.Counts(); used > maxAnswers {
		t.Errorf("%d bytes are held", used)
	}
}

// The kernel keeps little for a caller who takes nothing, whichever listener it came by.
func TestTheKernelKeepsLittleOfAnAnswer(t *testing.T) {
	for _, serve := range []struct {
		name string
		on   func(*Server, net.Listener) error
	}{{"management", (*Server).Serve}, {"metrics", (*Server).ServeMetrics}} {
		t.Run(serve.name, func(t *testing.T) {
			r := newRig(t)
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			sizes := make(chan int, 1)
			served := make(chan error, 1)
			go func() { served <- serve.on(r.admin, noting{ln, sizes}) }()
			r.addr = ln.Addr().String()
			if got := r.do("GET", "/healthz", ""); got.status != 200 {
				t.Errorf("answered with %d", got.status)
			}
			select {
			case size := <-sizes:
				if size != sendBuffer {
					t.Errorf("the send buffer has %d bytes", size)
				}
			default:
				t.Error("the send buffer was left alone")
			}
			ln.Close()
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
}

// noting is a listener that notes how large its connections' send buffers are made.
type noting struct {
	net.Listener
	sizes chan int
}

func (n noting) Accept() (net.Conn, error) {
	c, err := n.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return noted{c, n.sizes}, nil
}

type noted struct {
	net.Conn
	sizes chan int
}

func (n noted) SetWriteBuffer(bytes int) error {
	n.sizes <- bytes
	return n.Conn.(*net.TCPConn).SetWriteBuffer(bytes)
}
