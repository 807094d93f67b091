// Command coder is an echo server on coder/websocket.
//
// Compression is off, as by default. Messages are read into a pooled buffer, which
// Read would allocate. The context is never done, so that no message pays for
// watching it. The loop leaves the handler's goroutine, which lets net/http's
// request go. There is nothing like a prepared message: a broadcast writes one
// message to each connection, as the library's chat example does.
package main

import (
	"bytes"
	"context"
	"net/http"
	"sync"

	"github.com/coder/websocket"

	"ws-gateway/bench/peers/serve"
)

type server struct {
	options serve.Options
	members *serve.Members[*websocket.Conn]
	buffers sync.Pool
}

func main() {
	o := serve.Parse()
	s := &server{
		options: o,
		members: serve.NewMembers[*websocket.Conn](o),
		buffers: sync.Pool{New: func() any { return new(bytes.Buffer) }},
	}
	serve.Exit(o.HTTP(s.upgrade))
}

func (s *server) upgrade(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // the client has its answer
	}
	c.SetReadLimit(-1)
	go s.echo(c)
}

func (s *server) echo(c *websocket.Conn) {
	s.members.Add(c)
	defer c.CloseNow()
	defer s.members.Remove(c)
	for s.message(c) == nil {
	}
}

func (s *server) message(c *websocket.Conn) error {
	kind, r, err := c.Reader(context.Background())
	if err != nil {
		return err
	}
	buf := s.buffers.Get().(*bytes.Buffer)
	defer s.buffers.Put(buf)
	buf.Reset()
	if _, err := buf.ReadFrom(r); err != nil {
		return err
	}
	if !s.options.IsBroadcast(buf.Bytes()) {
		return c.Write(context.Background(), kind, buf.Bytes())
	}
	s.members.Each(func(c *websocket.Conn) {
		_ = c.Write(context.Background(), kind, buf.Bytes()) // a broken connection ends in its own goroutine
	})
	return nil
}
