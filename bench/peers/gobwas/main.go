// Command gobwas is an echo server on gobwas/ws with a goroutine for each connection.
//
// It uses the library's lower level, as its README does for speed: zero-copy upgrade,
// ReadHeader, Cipher. A small buffer for each connection makes one read of header
// and payload, a pooled one makes one write of the answer; a broadcast's frame is
// encoded once.
package main

import (
	"bufio"
	"io"
	"net"
	"slices"
	"sync"

	"github.com/gobwas/ws"

	"ws-gateway/bench/peers/frames"
	"ws-gateway/bench/peers/serve"
)

type server struct {
	options serve.Options
	members *serve.Members[net.Conn]
	scratch sync.Pool
}

// scratch is what answering takes.
type scratch struct{ payload, out []byte }

func main() {
	o := serve.Parse()
	s := &server{
		options: o,
		members: serve.NewMembers[net.Conn](o),
		scratch: sync.Pool{New: func() any { return new(scratch) }},
	}
	l, err := o.Listener()
	if err != nil {
		serve.Exit(err)
	}
	serve.Ready(l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			serve.Exit(err)
		}
		go s.echo(c)
	}
}

func (s *server) echo(c net.Conn) {
	defer c.Close()
	if _, err := ws.Upgrade(c); err != nil {
		return // the client has its answer
	}
	s.members.Add(c)
	defer s.members.Remove(c)
	r := bufio.NewReaderSize(c, 512)
	for {
		h, err := frames.Header(r)
		if err != nil || !s.answer(c, r, h) {
			return
		}
	}
}

// answer reads what follows a header and answers the frame. It returns false where
// the connection ends.
func (s *server) answer(c net.Conn, r io.Reader, h ws.Header) bool {
	t := s.scratch.Get().(*scratch)
	defer s.scratch.Put(t)
	t.payload = slices.Grow(t.payload[:0], int(h.Length))[:h.Length]
	if _, err := io.ReadFull(r, t.payload); err != nil {
		return false
	}
	ws.Cipher(t.payload, h.Mask, 0)
	if s.options.IsBroadcast(t.payload) {
		frame := frames.Append(nil, true, h.OpCode, t.payload)
		s.members.Each(func(c net.Conn) { _, _ = c.Write(frame) }) // a broken connection ends in its own goroutine
		return true
	}
	var end bool
	if t.out, end = frames.Reply(t.out[:0], h, t.payload); len(t.out) > 0 {
		if _, err := c.Write(t.out); err != nil {
			return false
		}
	}
	return !end
}
