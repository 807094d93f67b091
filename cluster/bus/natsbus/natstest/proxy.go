package natstest

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// Proxy stands between clients and a server. It can stall, as a server does that is
// stopped: what is under way arrives later. And it can cut, as a network does.
type Proxy struct {
	listener net.Listener
	target   string
	work     sync.WaitGroup

	mu      sync.Mutex // guards following
	changed sync.Cond
	stalled bool
	refuses bool
	conns   map[net.Conn]struct{}
	closed  bool
}

// StartProxy starts a proxy to a server, which ends with the test.
func StartProxy(tb testing.TB, s *Server) *Proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{listener: listener, target: strings.TrimPrefix(s.URL(), "nats://"), conns: map[net.Conn]struct{}{}}
	p.changed.L = &p.mu
	p.work.Go(p.accept)
	tb.Cleanup(p.close)
	return p
}

// URL is where clients connect.
func (p *Proxy) URL() string { return "nats://" + p.listener.Addr().String() }

// Stall holds up everything in both directions, or lets it go on.
func (p *Proxy) Stall(stalled bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = stalled
	p.changed.Broadcast()
}

// Cut ends all connections, and those that come until it is called with false.
func (p *Proxy) Cut(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = cut
	p.hangUp()
}

func (p *Proxy) hangUp() {
	if p.refuses || p.closed {
		for conn := range p.conns {
			conn.Close()
		}
	}
	p.changed.Broadcast()
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.hangUp()
	p.mu.Unlock()
	p.listener.Close()
	p.work.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.work.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	if !p.enter(client, server) {
		return
	}
	var copies sync.WaitGroup
	copies.Go(func() { p.copy(server, client) })
	copies.Go(func() { p.copy(client, server) })
	copies.Wait()
	p.leave(client, server)
}

func (p *Proxy) enter(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		p.conns[conn] = struct{}{}
	}
	return !p.refuses && !p.closed
}

func (p *Proxy) leave(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		delete(p.conns, conn)
	}
}

// copy copies until from ends, and ends to then.
func (p *Proxy) copy(to, from net.Conn) {
	defer to.Close()
	_, _ = io.Copy(gate{to, p}, from)
}

// gate is a connection to which nothing is written while the proxy stalls.
type gate struct {
	net.Conn
	proxy *Proxy
}

func (g gate) Write(b []byte) (int, error) {
	p := g.proxy
	p.mu.Lock()
	for p.stalled && !p.refuses && !p.closed {
		p.changed.Wait()
	}
	p.mu.Unlock()
	return g.Conn.Write(b)
}
