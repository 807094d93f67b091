//go:build proxies

package proxies

import (
	"bytes"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// wire lies between a proxy and the gateway and records the request with which
// each connection begins.
type wire struct {
	listener net.Listener
	to       string
	served   sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool // guarded by mu, as what follows
	heads []string
}

func layWire(t testing.TB, g *gateway) *wire {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: listener, to: g.addr, conns: make(map[net.Conn]bool)}
	w.served.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			w.served.Go(func() { w.carry(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		w.mu.Lock()
		for conn := range w.conns {
			conn.Close()
		}
		w.mu.Unlock()
		w.served.Wait()
	})
	return w
}

func (w *wire) addr() string { return w.listener.Addr().String() }

// carry copies both ways until either side ends.
func (w *wire) carry(from net.Conn) {
	to, err := net.Dial("tcp4", w.to)
	if err != nil {
		from.Close()
		return
	}
	w.mu.Lock()
	w.conns[from], w.conns[to] = true, true
	w.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(from, to) // its end is the end
		from.Close()
	})
	both.Go(func() {
		_, _ = io.Copy(to, io.TeeReader(from, &recorder{wire: w}))
		to.Close()
	})
	both.Wait()
	from.Close()
	to.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, from)
	delete(w.conns, to)
}

// recorder keeps every request head of a connection up to the upgrade; heads
// behind the first one would be those of a connection that is used again.
type recorder struct {
	wire *wire
	head []byte
}

var headEnd = []byte("\r\n\r\n")

func (r *recorder) Write(b []byte) (int, error) {
	if len(r.head) < 64<<10 {
		r.head = append(r.head, b...)
	}
	for {
		i := bytes.Index(r.head, headEnd)
		if i < 0 || !bytes.Contains(r.head[:i], []byte(" HTTP/1.")) {
			return len(b), nil
		}
		r.wire.mu.Lock()
		r.wire.heads = append(r.wire.heads, string(r.head[:i]))
		r.wire.mu.Unlock()
		r.head = r.head[i+len(headEnd):]
	}
}

// recorded returns the heads so far.
func (w *wire) recorded() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.heads...)
}

// headOf returns the head of the request for this target.
func (w *wire) headOf(t testing.TB, target string) string {
	t.Helper()
	for _, head := range w.recorded() {
		if targetOf(head) == target {
			return head
		}
	}
	t.Fatalf("no request for %s came through", target)
	return ""
}

// targetOf is the request target of a head.
func targetOf(head string) string {
	line, _, _ := strings.Cut(head, "\r\n")
	if parts := strings.Split(line, " "); len(parts) > 1 {
		return parts[1]
	}
	return ""
}

// values returns those of the headers whose names match in any case.
func values(head, name string) (found []string) {
	for _, m := range regexp.MustCompile(`(?im)^(?:`+name+`)[ \t]*:[ \t]*(.*?)\r?$`).FindAllStringSubmatch(head, -1) {
		found = append(found, m[1])
	}
	return found
}
