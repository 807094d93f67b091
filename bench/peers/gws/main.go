// Command gws is an echo server on lxzan/gws.
//
// It is the library's own server, which does without net/http. Messages are handled
// on the connection's goroutine (ParallelEnabled, off by default, would take one
// more for each), read buffers are 512 bytes, broadcasts go through its
// Broadcaster. Compression has the library's own level, 1, and its pool of 32
// compressors.
package main

import (
	"github.com/lxzan/gws"

	"ws-gateway/bench/peers/serve"
)

type handler struct {
	gws.BuiltinEventHandler
	options serve.Options
	members *serve.Members[*gws.Conn]
}

func main() {
	o := serve.Parse()
	h := &handler{options: o, members: serve.NewMembers[*gws.Conn](o)}
	s := gws.NewServer(h, &gws.ServerOption{
		ReadBufferSize: 512, ReadMaxPayloadSize: 64 << 20, WriteMaxPayloadSize: 64 << 20,
		PermessageDeflate: gws.PermessageDeflate{Enabled: o.Compression},
	})
	l, err := o.Listener()
	if err != nil {
		serve.Exit(err)
	}
	serve.Ready(l.Addr())
	serve.Exit(s.RunListener(l))
}

func (h *handler) OnOpen(c *gws.Conn)           { h.members.Add(c) }
func (h *handler) OnClose(c *gws.Conn, _ error) { h.members.Remove(c) }
func (h *handler) OnPing(c *gws.Conn, b []byte) { _ = c.WritePong(b) }

func (h *handler) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	if !h.options.IsBroadcast(m.Bytes()) {
		_ = c.WriteMessage(m.Opcode, m.Bytes()) // an error ends the connection by itself
		return
	}
	b := gws.NewBroadcaster(m.Opcode, m.Bytes())
	defer b.Close()
	h.members.Each(func(c *gws.Conn) { _ = b.Broadcast(c) })
}
