//go:build examples

package examples

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"ws-gateway/e2e/harness"
)

// relay passes callbacks on to an example, and its answers back, byte for byte, unless it is
// told to spoil one.
type relay struct {
	t        *testing.T
	app      string
	listener net.Listener
	serving  sync.WaitGroup

	harness.Watched // guards the following
	conns           map[net.Conn]struct{}
	spoil           spoil
	seen            []exchange
}

// spoil says what is to happen to one callback.
type spoil struct {
	about  string // a part of its body; "": none is spoilt
	lose   bool   // its answer is lost
	forged bool   // it is not what the gateway has signed
}

// exchange is a callback and the answer of the example.
type exchange struct {
	request *http.Request
	body    string
	answer  *http.Response // its body has been read
}

func startRelay(t *testing.T, app string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{t: t, app: app, listener: listener, conns: map[net.Conn]struct{}{}}
	r.serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			r.serving.Go(func() { r.pass(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		r.Mu.Lock()
		for conn := range r.conns {
			conn.Close()
		}
		r.Mu.Unlock()
		r.serving.Wait()
	})
	return r
}

func (r *relay) addr() string { return r.listener.Addr().String() }

// keep has a connection closed when the test ends.
func (r *relay) keep(conn net.Conn) (release func()) {
	r.Mu.Lock()
	defer r.Mu.Unlock()
	r.conns[conn] = struct{}{}
	return func() {
		conn.Close()
		r.Mu.Lock()
		defer r.Mu.Unlock()
		delete(r.conns, conn)
	}
}

// pass serves a connection of the gateway's with one to the example.
func (r *relay) pass(gateway net.Conn) {
	defer r.keep(gateway)()
	app, err := net.Dial("tcp", r.app)
	if err != nil {
		return
	}
	defer r.keep(app)()
	var asked, answered bytes.Buffer
	requests := bufio.NewReader(io.TeeReader(gateway, &asked))
	answers := bufio.NewReader(io.TeeReader(app, &answered))
	for {
		asked.Reset()
		answered.Reset()
		request, err := http.ReadRequest(requests)
		if err != nil {
			return
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return
		}
		spoil := r.next(string(body))
		raw := asked.Bytes()
		if spoil.forged {
			raw = bytes.Replace(raw, []byte(spoil.about), []byte(strings.ToUpper(spoil.about)), 1)
		}
		if _, err := app.Write(raw); err != nil {
			return
		}
		answer, err := http.ReadResponse(answers, request)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			return
		}
		r.Mu.Lock()
		r.seen = append(r.seen, exchange{request, string(body), answer})
		r.Changed()
		r.Mu.Unlock()
		if spoil.lose {
			return
		}
		if _, err := gateway.Write(answered.Bytes()); err != nil || answer.Close {
			return
		}
	}
}

// next takes the order to spoil this callback, if there is one.
func (r *relay) next(body string) (s spoil) {
	r.Mu.Lock()
	defer r.Mu.Unlock()
	if r.spoil.about != "" && strings.Contains(body, r.spoil.about) {
		s, r.spoil = r.spoil, s
	}
	return s
}

// order has the next callback spoilt in whose body there is about.
func (r *relay) order(s spoil) {
	r.Mu.Lock()
	defer r.Mu.Unlock()
	r.spoil = s
}

// about waits until there are n callbacks with this in their bodies, and returns them.
func (r *relay) about(text string, n int) (found []exchange) {
	r.t.Helper()
	if !r.Await(harness.Patience, func() bool {
		found = nil
		for _, e := range r.seen {
			if strings.Contains(e.body, text) {
				found = append(found, e)
			}
		}
		return len(found) >= n
	}) {
		r.t.Fatalf("%d callbacks about %s, want %d", len(found), text, n)
	}
	return found
}
