// Command nbio is an echo server on lesismal/nbio.
//
// As in its example for a million connections: non-blocking mode, where pollers
// serve all connections, read buffers of 4 KiB, payloads released after use. With
// callbacks on the poller's goroutine instead of its task pool, which the executor
// option allows and which suits handlers that never block. Compression has the
// library's own level, 1; it compresses a broadcast for each connection anew.
package main

import (
	"net"
	"net/http"

	"github.com/lesismal/nbio/logging"
	"github.com/lesismal/nbio/nbhttp"
	"github.com/lesismal/nbio/nbhttp/websocket"

	"ws-gateway/bench/peers/serve"
)

func main() {
	o := serve.Parse()
	logging.SetLevel(logging.LevelError)
	members := serve.NewMembers[*websocket.Conn](o)
	u := websocket.NewUpgrader()
	u.CheckOrigin = func(*http.Request) bool { return true }
	u.KeepaliveTime = 0
	u.EnableCompression(o.Compression)
	u.MessageLengthLimit = 64 << 20
	u.OnOpen(members.Add)
	u.OnClose(func(c *websocket.Conn, _ error) { members.Remove(c) })
	u.OnMessage(func(c *websocket.Conn, kind websocket.MessageType, payload []byte) {
		if !o.IsBroadcast(payload) {
			_ = c.WriteMessage(kind, payload) // an error ends the connection by itself
			return
		}
		members.Each(func(c *websocket.Conn) { _ = c.WriteMessage(kind, payload) })
	})
	engine := nbhttp.NewEngine(nbhttp.Config{
		Network: "tcp", Addrs: []string{o.Listen}, MaxLoad: 1_000_000,
		NPoller: o.Procs, ReadBufferSize: 4 << 10, ReleaseWebsocketPayload: true,
		ServerExecutor: func(f func()) { f() },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = u.Upgrade(w, r, nil) // the client has its answer
		}),
		Listen: func(string, string) (net.Listener, error) {
			l, err := o.Listener()
			if err == nil {
				serve.Ready(l.Addr())
			}
			return l, err
		},
	})
	u.Engine = engine
	if err := engine.Start(); err != nil {
		serve.Exit(err)
	}
	select {}
}
