// Command gorilla is an echo server on gorilla/websocket.
//
// As its documentation advises: small read buffers of its own instead of net/http's
// of 4 KiB, write buffers from a pool since connections are mostly idle, and a
// PreparedMessage for broadcasts. Messages are read into a pooled buffer, which
// ReadMessage would allocate. The loop leaves the handler's goroutine, which lets
// net/http's request and buffers go. Compression has the library's own level, 1.
package main

import (
	"bytes"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"

	"ws-gateway/bench/peers/serve"
)

type server struct {
	options  serve.Options
	members  *serve.Members[*conn]
	upgrader websocket.Upgrader
	buffers  sync.Pool
}

// conn allows one writer at a time: its own goroutine or a broadcast.
type conn struct {
	mu sync.Mutex
	*websocket.Conn
}

func main() {
	o := serve.Parse()
	s := &server{
		options: o,
		members: serve.NewMembers[*conn](o),
		upgrader: websocket.Upgrader{
			ReadBufferSize: 512, WriteBufferSize: 1024, WriteBufferPool: &sync.Pool{},
			EnableCompression: o.Compression,
			CheckOrigin:       func(*http.Request) bool { return true },
		},
		buffers: sync.Pool{New: func() any { return new(bytes.Buffer) }},
	}
	serve.Exit(o.HTTP(s.upgrade))
}

func (s *server) upgrade(w http.ResponseWriter, r *http.Request) {
	c, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the client has its answer
	}
	go s.echo(&conn{Conn: c})
}

func (s *server) echo(c *conn) {
	s.members.Add(c)
	defer c.Close()
	defer s.members.Remove(c)
	for s.message(c) == nil {
	}
}

func (s *server) message(c *conn) error {
	kind, r, err := c.NextReader()
	if err != nil {
		return err
	}
	buf := s.buffers.Get().(*bytes.Buffer)
	defer s.buffers.Put(buf)
	buf.Reset()
	if _, err := buf.ReadFrom(r); err != nil {
		return err
	}
	if s.options.IsBroadcast(buf.Bytes()) {
		return s.broadcast(kind, buf.Bytes())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.WriteMessage(kind, buf.Bytes())
}

func (s *server) broadcast(kind int, payload []byte) error {
	m, err := websocket.NewPreparedMessage(kind, payload)
	if err != nil {
		return err
	}
	s.members.Each(func(c *conn) {
		c.mu.Lock()
		defer c.mu.Unlock()
		_ = c.WritePreparedMessage(m) // a broken connection ends in its own goroutine
	})
	return nil
}
