package hub

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ws-gateway/forward"
	"ws-gateway/hub/wheel"
	"ws-gateway/netpoll"
)

func TestAClientsEventsReachTheAppInOrder(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{})
	c := g.dial("alice", func(o *websocket.DialOptions) {
		o.HTTPHeader["Cookie"] = []string{"a=1; b=2", "c=3"}
		o.HTTPHeader.Set("User-Agent", "probe/1 caf\xe9")
		o.HTTPHeader.Set("Origin", "https://example.org")
	})
	c.say("one", `{"event":"other"}`)
	if err := c.Write(t.Context(), websocket.MessageBinary, []byte{1, 2}); err != nil {
		t.Fatal(err)
	}
	c.Close(websocket.StatusCode(4321), "bye")
	events := g.app.count(t, "close", 1)
	var got []string
	for i, e := range events {
		got = append(got, fmt.Sprint(e.action, " ", e.data, " ", e.binary, " ", e.src.Seq))
		if e.id != c.id || e.src.User != "alice" || e.src.Headers != "a=1; b=2; c=3" || e.src.Key != events[0].src.Key {
			t.Errorf("event %d is of %+v", i, e.src)
		}
	}
	want := []string{"open  false 1", "message one false 2", `message {"event":"other"} false 3`, "message \x01\x02 true 4", "close  false 5"}
	if !slices.Equal(got, want) {
		t.Errorf("events: %q", got)
	}
	req := events[0].req
	if req.URI != "/ws" || req.UserAgent != "probe/1 caf\uFFFD" || req.Origin != "https://example.org" || !strings.HasPrefix(req.RemoteAddr, "127.0.0.1:") {
		t.Errorf("open says %+v", req)
	}
	if end := events[4].end; end != (forward.End{Code: 4321, Reason: "bye", Initiator: "client"}) {
		t.Errorf("close says %+v", end)
	}
	if connections, users := g.Count(); connections != 0 || users != 0 {
		t.Errorf("%d connections, %d users are left", connections, users)
	}
}

// endings are ways in which a connection ends, and what the close event says.
var endings = map[string]struct {
	end  func(g *gateway, c *client)
	want forward.End
}{
	"client's close frame": {
		func(_ *gateway, c *client) { c.Close(websocket.StatusNormalClosure, "done") },
		forward.End{Code: 1000, Reason: "done", Initiator: "client"},
	},
	"close frame without a code": {
		func(_ *gateway, c *client) { c.Close(websocket.StatusNoStatusRcvd, "") },
		forward.End{Code: 1005, Initiator: "client"},
	},
	"transport breaks": {
		func(_ *gateway, c *client) { c.CloseNow() },
		forward.End{Code: 1006, Initiator: "network"},
	},
	"close API": {
		func(g *gateway, c *client) {
			g.Close(context.Background(), Targets{Conns: []string{c.id}}, 4001, "kicked")
		},
		forward.End{Code: 4001, Reason: "kicked", Initiator: "app"},
	},
	"too big": {
		func(_ *gateway, c *client) {
			c.Write(context.Background(), websocket.MessageBinary, make([]byte, 2<<20))
		},
		forward.End{Code: 1009, Initiator: "gateway"},
	},
	"ping timeout": {
		func(g *gateway, _ *client) { g.tick(1000) },
		forward.End{Code: 1008, Reason: "ping timeout", Initiator: "gateway"},
	},
	"drain": {
		func(g *gateway, _ *client) { g.Drain(context.Background(), 0) },
		forward.End{Code: 1001, Reason: "going away", Initiator: "gateway"},
	},
	"server stops": {
		func(g *gateway, _ *client) { g.stop() },
		forward.End{Code: 1001, Reason: "going away", Initiator: "gateway"},
	},
}

func TestEachWayOfEndingGivesOneOpenAndOneClose(t *testing.T) {
	for name, c := range endings {
		t.Run(name, func(t *testing.T) {
			g := start(t, Config{}, netpoll.Config{})
			client := g.dial("alice")
			c.end(g, client)
			g.app.count(t, "close", 1)
			g.stop()
			events := g.app.await(t, "all", func([]event) bool { return true })
			if len(events) != 2 || events[0].action != "open" || events[1].action != "close" || events[1].id != client.id {
				t.Fatalf("events: %+v", events)
			}
			end := events[1].end
			if c.want.Code == 1009 {
				end.Reason = "" // netpoll's words
			}
			if end != c.want {
				t.Errorf("close says %+v, want %+v", end, c.want)
			}
		})
	}
}

func TestChurnLosesAndDoublesNothing(t *testing.T) {
	const clients, rounds = 8, 25
	g := start(t, Config{}, netpoll.Config{})
	var wg sync.WaitGroup
	for n := range clients {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(13, uint64(n)))
			for range rounds {
				user := fmt.Sprint("user", random.IntN(3))
				header := http.Header{"X-Bfl-User": {user}, "Cookie": {"of=" + user}}
				conn, _, err := websocket.Dial(context.Background(), "ws://"+g.addr+"/ws", &websocket.DialOptions{HTTPHeader: header})
				if err != nil {
					t.Error(err)
					return
				}
				conn.Write(context.Background(), websocket.MessageText, []byte(user))
				switch random.IntN(3) {
				case 0:
					conn.Close(websocket.StatusNormalClosure, "")
				case 1:
					conn.CloseNow()
				case 2:
					g.Close(context.Background(), Targets{Users: []string{user}}, 4000, "")
					conn.CloseNow()
				}
			}
		})
	}
	wg.Wait()
	events := g.app.count(t, "close", clients*rounds)
	byConn := map[string][]event{}
	for _, e := range events {
		byConn[e.id] = append(byConn[e.id], e)
	}
	if len(byConn) != clients*rounds {
		t.Errorf("%d connections, want %d", len(byConn), clients*rounds)
	}
	for id, events := range byConn {
		last := len(events) - 1
		if events[0].action != "open" || events[last].action != "close" || last > 2 {
			t.Errorf("%s: %+v", id, events)
		}
		for i, e := range events {
			if e.src.Seq != uint32(i+1) || e.src.Headers != "of="+e.src.User || e.action == "message" && e.data != e.src.User {
				t.Errorf("%s, event %d: %+v", id, i, e)
			}
		}
	}
	if connections, users := g.Count(); connections != 0 || users != 0 {
		t.Errorf("%d connections, %d users are left", connections, users)
	}
}

func TestAPingIsAnsweredAndNotForwarded(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{})
	c := g.dial("alice")
	c.say(`{"event":"ping","data":{}}`, ` { "data" : [1] , "\u0065vent" : "p\u0069ng" } `, "next")
	c.hears(`{"event":"pong"}`, `{"event":"pong"}`)
	events := g.app.count(t, "message", 1)
	if len(events) != 2 || events[1].data != "next" {
		t.Errorf("events: %+v", events)
	}
	if s := g.Stats(); s.Pings != 2 {
		t.Errorf("%d pings are counted", s.Pings)
	}
}

// TestASilentClientIsClosed is the one test in which the time is real.
func TestASilentClientIsClosed(t *testing.T) {
	t.Parallel()
	g := start(t, Config{PingTimeout: time.Second}, netpoll.Config{})
	begin := time.Now()
	c := g.dial("alice")
	if code, reason := c.ends(); code != 1008 || reason != "ping timeout" {
		t.Errorf("closed with %d %q", code, reason)
	}
	if took := time.Since(begin); took < time.Second {
		t.Errorf("closed after %v", took)
	}
	g.app.count(t, "close", 1)
}

func TestManyTimeoutsAtOnceAreSpreadOverTurns(t *testing.T) {
	const n = 150
	g := start(t, Config{}, netpoll.Config{Loops: 1})
	for range n {
		g.dialUnread("crowd")
	}
	var ended []int64
	g.on(0, func(l *netpoll.Loop) {
		for more := true; more; {
			before := g.Stats().Connections
			more = g.Tick(l, 1000)
			ended = append(ended, before-g.Stats().Connections)
		}
	})
	if len(ended) < 3 || slices.Max(ended) > wheelBudget/wheel.FireCost {
		t.Errorf("in the slices were: %v", ended)
	}
	g.app.count(t, "close", n)
}

func TestWhatMovesTheDeadline(t *testing.T) {
	for name, c := range map[string]struct {
		cfg   Config
		act   func(t *testing.T, g *gateway, c *client)
		alive bool
	}{
		"nothing": {Config{}, func(*testing.T, *gateway, *client) {}, false},
		"a ping message": {Config{}, func(_ *testing.T, _ *gateway, c *client) {
			c.say(`{"event":"ping"}`)
			c.hears(`{"event":"pong"}`)
		}, true},
		"a ping frame": {Config{}, func(t *testing.T, _ *gateway, c *client) {
			if err := c.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, true},
		"another message": {Config{}, func(t *testing.T, g *gateway, c *client) {
			c.say("hello")
			g.app.count(t, "message", 1)
		}, false},
		"another message, where any counts": {Config{KeepaliveAny: true}, func(t *testing.T, g *gateway, c *client) {
			c.say("hello")
			g.app.count(t, "message", 1)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, c.cfg, netpoll.Config{})
			client := g.dial("alice")
			g.tick(70)
			c.act(t, g, client)
			g.tick(100)
			if connections, _ := g.Count(); (connections == 1) != c.alive {
				t.Errorf("%d connections", connections)
			}
			g.tick(70 + 76)
			if connections, _ := g.Count(); connections != 0 {
				t.Error("it outlives its last deadline")
			}
		})
	}
}

func TestAServerPingIsSentAndItsPongCounts(t *testing.T) {
	g := start(t, Config{PingTimeout: 10 * time.Second, ServerPing: 3 * time.Second}, netpoll.Config{})
	pings := make(chan struct{}, 64)
	g.dial("alice", func(o *websocket.DialOptions) {
		o.OnPingReceived = func(context.Context, []byte) bool { pings <- struct{}{}; return true }
	})
	for now := uint32(3); now <= 60; now += 3 {
		frames := g.server.Stats().FramesIn
		g.tick(now)
		<-pings
		g.awaitFrames(frames + 1)
	}
	if connections, _ := g.Count(); connections != 1 {
		t.Error("its pongs did not keep it")
	}
}

// awaitFrames waits until the server has read n frames.
func (g *gateway) awaitFrames(n uint64) {
	g.t.Helper()
	for deadline := time.Now().Add(patience); g.server.Stats().FramesIn < n; {
		if time.Now().After(deadline) {
			g.t.Fatal("waited in vain for a frame")
		}
		g.on(0, func(*netpoll.Loop) {})
		g.on(1, func(*netpoll.Loop) {})
	}
}

func TestAPausedConnectionHasNoDeadlineUntilItIsResumed(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{})
	g.app.full = func(data []byte) bool { return string(data) == "full" }
	c := g.dial("alice")
	c.say("full", `{"event":"ping"}`)
	key := g.app.count(t, "message", 1)[1].src.Key
	for now := uint32(100); now < 1000; now += 100 {
		g.tick(now)
	}
	if connections, _ := g.Count(); connections != 1 {
		t.Fatal("its deadline has fired")
	}
	select {
	case m := <-c.messages:
		t.Fatalf("it was read: %q", m)
	default:
	}
	g.Resume(key)
	c.hears(`{"event":"pong"}`)
	g.tick(900 + 75)
	if connections, _ := g.Count(); connections != 1 {
		t.Error("its deadline has not begun again in full")
	}
	g.tick(900 + 77)
	if connections, _ := g.Count(); connections != 0 {
		t.Error("its deadline has not begun again")
	}
	g.Resume(key) // gone
	g.Resume(uint64(netpoll.MakeID(200, 1, 1)))
}

func TestWithoutAForwarderMessagesAreCountedAndDropped(t *testing.T) {
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := netpoll.New(netpoll.Config{Handler: h, Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	h.Attach(s)
	addr, err := s.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	conn, _, err := websocket.Dial(t.Context(), "ws://"+addr.String()+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.Write(t.Context(), websocket.MessageText, []byte("into the void"))
	conn.Write(t.Context(), websocket.MessageText, []byte(`{"event":"ping"}`))
	if _, data, err := conn.Read(t.Context()); err != nil || string(data) != `{"event":"pong"}` {
		t.Errorf("%q, %v", data, err)
	}
	if stats := h.Stats(); stats.Dropped != 1 || stats.Pings != 1 {
		t.Errorf("%+v", stats)
	}
	conn.CloseNow()
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// quiet is a Forwarder that does nothing.
type quiet struct{}

func (quiet) Resumed(forward.Source, time.Duration) bool       { return false }
func (quiet) Open(forward.Source, forward.Request)             {}
func (quiet) Message(forward.Source, []byte, bool) (full bool) { return false }
func (quiet) Close(forward.Source, forward.End)                {}

func TestForwardingAMessageAllocatesNothing(t *testing.T) {
	g := start(t, Config{Forwarder: quiet{}}, netpoll.Config{Loops: 1})
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if _, err := conn.Read(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	payload := []byte(`{"event":"move","data":{"x":1,"y":2}}`)
	var n float64
	g.on(0, func(l *netpoll.Loop) {
		c := l.At(0)
		for slot := uint32(0); c == nil; slot++ {
			c = l.At(slot)
		}
		n = testing.AllocsPerRun(100, func() {
			g.Frame(c, 1)
			g.Message(c, 1, payload)
		})
	})
	if n != 0 {
		t.Errorf("%v allocations a message", n)
	}
}
