package hub

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ws-gateway/forward"
	"ws-gateway/netpoll"
)

// knock sends an opening handshake with further header lines and returns the
// answer.
func (g *gateway) knock(t *testing.T, lines ...string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "GET /ws?room=1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n", strings.Join(append(lines, ""), "\r\n"))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestAHandshakeIsAnsweredAsItsHeaderDeserves(t *testing.T) {
	origins := Config{AllowedOrigins: []string{"https://example.org", "https://*.example.net:8443"}}
	chat := Config{Subprotocols: []string{"chat.v2", "chat.v1"}}
	for name, c := range map[string]struct {
		cfg      Config
		prepare  func(h *Hub)
		lines    []string
		status   int
		user     string // of the open event
		protocol string
		retry    bool
	}{
		"no user":                    {status: 101},
		"a user":                     {lines: []string{"x-bfl-USER: alice"}, status: 101, user: "alice"},
		"a user beyond ASCII":        {lines: []string{"X-Bfl-User: zoë"}, status: 101, user: "zoë"},
		"the user twice":             {lines: []string{"X-Bfl-User: a", "x-bfl-user: a"}, status: 400},
		"a user that is not UTF-8":   {lines: []string{"X-Bfl-User: zo\xeb"}, status: 400},
		"a user is required":         {cfg: Config{RequireUser: true}, status: 401},
		"an empty user is none":      {cfg: Config{RequireUser: true}, lines: []string{"X-Bfl-User: "}, status: 401},
		"the required user":          {cfg: Config{RequireUser: true}, lines: []string{"X-Bfl-User: bob"}, status: 101, user: "bob"},
		"another user header":        {cfg: Config{UserHeader: "X-Who"}, lines: []string{"X-Who: eve", "X-Bfl-User: bob"}, status: 101, user: "eve"},
		"an allowed origin":          {cfg: origins, lines: []string{"Origin: https://example.org"}, status: 101},
		"a subdomain":                {cfg: origins, lines: []string{"Origin: https://a.b.example.net:8443"}, status: 101},
		"another origin":             {cfg: origins, lines: []string{"Origin: https://evil.example"}, status: 403},
		"two origins":                {cfg: origins, lines: []string{"Origin: https://example.org", "Origin: https://example.org"}, status: 400},
		"no browser, so no origin":   {cfg: origins, status: 101},
		"any origin":                 {lines: []string{"Origin: https://evil.example"}, status: 101},
		"draining":                   {prepare: (*Hub).SetDraining, status: 503, retry: true},
		"overloaded":                 {prepare: func(h *Hub) { h.SetOverloaded(true) }, status: 503, retry: true},
		"overloaded no more":         {prepare: func(h *Hub) { h.SetOverloaded(true); h.SetOverloaded(false) }, status: 101},
		"the first protocol offered": {lines: []string{"Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Protocol: c"}, status: 101, protocol: "a"},
		"the first that is allowed":  {cfg: chat, lines: []string{"Sec-WebSocket-Protocol: x", "Sec-WebSocket-Protocol: y, chat.v1, chat.v2"}, status: 101, protocol: "chat.v1"},
		"none that is allowed":       {cfg: chat, lines: []string{"Sec-WebSocket-Protocol: x"}, status: 101},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, c.cfg, netpoll.Config{Loops: 1})
			if c.prepare != nil {
				c.prepare(g.Hub)
			}
			resp := g.knock(t, c.lines...)
			if resp.StatusCode != c.status || resp.Header.Get("Sec-WebSocket-Protocol") != c.protocol || (resp.Header.Get("Retry-After") != "") != c.retry {
				t.Fatalf("answer: %v %v", resp.Status, resp.Header)
			}
			connections, _ := g.Count()
			if c.status != 101 {
				if connections != 0 || len(g.opened()) != 0 {
					t.Errorf("refused, and yet there are %d connections and %v", connections, g.opened())
				}
				return
			}
			g.app.count(t, "open", 1)
			open := g.opened()[0]
			if open.src.User != c.user || open.req.URI != "/ws?room=1" || connections != 1 {
				t.Errorf("open says %+v %+v; %d connections", open.src, open.req, connections)
			}
		})
	}
}

func TestRefusalsAreCountedByTheirReason(t *testing.T) {
	g := start(t, Config{RequireUser: true, AllowedOrigins: []string{"https://a"}, MaxConnections: 2, MaxConnectionsPerUser: 1}, netpoll.Config{})
	g.knock(t)
	g.knock(t, "X-Bfl-User: a", "X-Bfl-User: a")
	g.knock(t, "X-Bfl-User: a", "Origin: https://b")
	g.knock(t, "X-Bfl-User: a")
	if resp := g.knock(t, "X-Bfl-User: a"); resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("answer: %v %v", resp.Status, resp.Header)
	}
	g.knock(t, "X-Bfl-User: b")
	if resp := g.knock(t, "X-Bfl-User: c"); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("answer: %v %v", resp.Status, resp.Header)
	}
	g.SetOverloaded(true)
	g.knock(t, "X-Bfl-User: d")
	g.SetDraining()
	g.knock(t, "X-Bfl-User: d")
	want := Stats{
		Connections: 2, Users: 2, RefusedUser: 2, RefusedOrigin: 1, RefusedLimit: 1, RefusedUserLimit: 1,
		RefusedOverload: 1, RefusedDraining: 1, HeadBytes: 2, // two names
		GroupMemory: defaultGroupMemory,
	}
	if got := g.Stats(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestAConnectionCanBeAddressedBeforeItsOpenEvent(t *testing.T) {
	var hub atomic.Pointer[Hub]
	found := make(chan bool, 1)
	g := start(t, Config{Forwarder: openHook{func(id string) {
		h := hub.Load()
		_, ok := h.Get(id)
		// From a goroutine of its own, as the app's answer to the event is.
		go h.Send(context.Background(), Targets{Conn: id}, text("welcome"), false)
		found <- ok
	}}}, netpoll.Config{})
	hub.Store(g.Hub)
	conn, _, err := websocket.Dial(t.Context(), "ws://"+g.addr+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if !<-found {
		t.Error("it is not listed")
	}
	if _, data, err := conn.Read(t.Context()); err != nil || string(data) != "welcome" {
		t.Errorf("%q, %v", data, err)
	}
}

func TestThePerUserLimitHoldsWhenManyComeAtOnce(t *testing.T) {
	const limit, comers = 5, 40
	g := start(t, Config{MaxConnectionsPerUser: limit}, netpoll.Config{})
	var in, refused atomic.Int32
	var wg sync.WaitGroup
	for range comers {
		wg.Go(func() {
			conn, resp, err := websocket.Dial(t.Context(), "ws://"+g.addr+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{"X-Bfl-User": {"a"}}})
			switch {
			case err == nil:
				in.Add(1)
				t.Cleanup(func() { conn.CloseNow() })
			case resp != nil && resp.StatusCode == 429:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if in.Load() != limit || refused.Load() != comers-limit {
		t.Errorf("%d got in, %d were refused", in.Load(), refused.Load())
	}
}

func TestReadinessNamesItsReason(t *testing.T) {
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	check := func(want string) {
		t.Helper()
		if ok, why := h.Ready(); ok != (want == "") || why != want {
			t.Errorf("%v %q, want %q", ok, why, want)
		}
	}
	check("starting")
	h.attach(nil, nil)
	check("")
	h.SetOverloaded(true)
	check("overloaded")
	h.SetDraining()
	check("draining")
}

func TestAConfigurationThatCannotWorkIsRefused(t *testing.T) {
	for name, cfg := range map[string]Config{
		"ping timeout below 0":   {PingTimeout: -1},
		"server ping below 0":    {ServerPing: -1},
		"limit below 0":          {MaxConnections: -1},
		"user limit below 0":     {MaxConnectionsPerUser: -1},
		"header that is none":    {UserHeader: "X User"},
		"origin without scheme":  {AllowedOrigins: []string{"example.org"}},
		"subprotocol, no token":  {Subprotocols: []string{"a b"}},
		"subprotocol, nothing":   {Subprotocols: []string{""}},
		"subprotocol, not ASCII": {Subprotocols: []string{"caf\xe9"}},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// openHook is a Forwarder that hands out the id of each open event.
type openHook struct{ opened func(id string) }

func (o openHook) Resumed(forward.Source, time.Duration) bool { return false }
func (o openHook) Open(src forward.Source, _ forward.Request) { o.opened(string(src.ConnID)) }
func (openHook) Message(forward.Source, []byte, bool) bool    { return false }
func (openHook) Close(forward.Source, forward.End)            {}
