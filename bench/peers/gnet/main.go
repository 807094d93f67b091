// Command gnet is an echo server on panjf2000/gnet, with gobwas/ws for the protocol.
//
// Frames are unmasked in gnet's read buffer and answered on the event loop. What has
// arrived together is answered with one write. A broadcast runs once on each loop,
// which writes to its own connections.
package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/gobwas/ws"
	"github.com/panjf2000/gnet/v2"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"ws-gateway/bench/peers/serve"
)

type server struct {
	gnet.BuiltinEventEngine
	options serve.Options
	scratch sync.Pool

	mu    sync.Mutex
	loops map[gnet.EventLoop]*members // guarded by mu
}

// members are a loop's connections, for broadcasts, and the loop's alone.
type members map[gnet.Conn]struct{}

// open is the context of every connection whose handshake is through.
type open struct{}

// scratch is what answering takes.
type scratch struct {
	reader bytes.Reader
	out    []byte
}

func main() {
	o := serve.Parse()
	if o.Compression {
		serve.Exit(errors.New("this server knows no compression"))
	}
	s := &server{
		options: o,
		loops:   make(map[gnet.EventLoop]*members),
		scratch: sync.Pool{New: func() any { return new(scratch) }},
	}
	quiet := gnet.WithLogger(zap.NewNop().Sugar()) // it would log to standard output, where the address goes
	serve.Exit(gnet.Run(s, "tcp://"+o.Listen, gnet.WithNumEventLoop(o.Procs), quiet))
}

// OnBoot says where the server listens.
func (s *server) OnBoot(e gnet.Engine) gnet.Action {
	fd, err := e.Dup()
	if err != nil {
		serve.Exit(err)
	}
	defer unix.Close(fd)
	addr, err := unix.Getsockname(fd)
	if err != nil {
		serve.Exit(err)
	}
	if a, ok := addr.(*unix.SockaddrInet4); ok {
		serve.Ready(&net.TCPAddr{IP: a.Addr[:], Port: a.Port})
	}
	return gnet.None
}

// OnTraffic answers what has arrived.
func (s *server) OnTraffic(c gnet.Conn) gnet.Action {
	data, err := c.Peek(-1)
	if err != nil {
		return gnet.Close
	}
	if c.Context() == nil {
		return s.upgrade(c, data)
	}
	t := s.scratch.Get().(*scratch)
	defer s.scratch.Put(t)
	t.out = t.out[:0]
	done, end := 0, false
	for !end {
		h, payload, n, err := nextFrame(&t.reader, data[done:])
		if err != nil {
			return gnet.Close
		}
		if n == 0 {
			break
		}
		done += n
		if s.options.IsBroadcast(payload) {
			s.broadcast(h.OpCode, payload)
			continue
		}
		t.out, end = appendReply(t.out, h, payload)
	}
	if len(t.out) > 0 {
		_, err = c.Write(t.out)
	}
	if done > 0 { // Discard takes 0 for all there is
		_, _ = c.Discard(done) // cannot fail: so much was there
	}
	if err != nil || end {
		return gnet.Close
	}
	return gnet.None
}

func (s *server) upgrade(c gnet.Conn, data []byte) gnet.Action {
	n := bytes.Index(data, []byte("\r\n\r\n"))
	if n < 0 {
		return gnet.None
	}
	n += 4
	_, err := ws.Upgrade(struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(data[:n]), c})
	if err != nil {
		return gnet.Close
	}
	_, _ = c.Discard(n) // cannot fail: so much was there
	c.SetContext(open{})
	if s.options.Broadcast {
		(*s.of(c.EventLoop()))[c] = struct{}{}
	}
	return gnet.None
}

// of is a loop's members.
func (s *server) of(l gnet.EventLoop) *members {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.loops[l]
	if m == nil {
		m = &members{}
		s.loops[l] = m
	}
	return m
}

// OnClose forgets a connection.
func (s *server) OnClose(c gnet.Conn, _ error) gnet.Action {
	if s.options.Broadcast {
		delete(*s.of(c.EventLoop()), c)
	}
	return gnet.None
}

func (s *server) broadcast(op ws.OpCode, payload []byte) {
	frame := appendFrame(nil, true, op, payload)
	s.mu.Lock()
	defer s.mu.Unlock()
	for l, m := range s.loops {
		_ = l.Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error { // fails only at the end of the server
			for c := range *m {
				_, _ = c.Write(frame) // a broken connection is closed by its loop
			}
			return nil
		}))
	}
}
