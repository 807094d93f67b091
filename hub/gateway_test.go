package hub

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ws-gateway/forward"
	"ws-gateway/netpoll"
)

const patience = 2 * time.Minute // for what must happen, however busy the machine

// event is one call of the Forwarder.
type event struct {
	action string
	id     string // public
	src    forward.Source
	data   string
	binary bool
	req    forward.Request
	end    forward.End
}

// app is a Forwarder that keeps what it is told.
type app struct {
	full func(data []byte) bool // the answer to Message; nil: never full

	mu     sync.Mutex
	change sync.Cond
	events []event
}

func newApp() *app {
	a := new(app)
	a.change.L = &a.mu
	return a
}

func (a *app) note(e event) {
	e.id = string(e.src.ConnID)
	e.src.ConnID = nil
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events = append(a.events, e)
	a.change.Broadcast()
}

func (a *app) Open(src forward.Source, req forward.Request) {
	a.note(event{action: "open", src: src, req: req})
}

func (a *app) Message(src forward.Source, data []byte, binary bool) bool {
	a.note(event{action: "message", src: src, data: string(data), binary: binary})
	return a.full != nil && a.full(data)
}

func (a *app) Resumed(src forward.Source, away time.Duration) (full bool) { return false }

func (a *app) Close(src forward.Source, end forward.End) {
	a.note(event{action: "close", src: src, end: end})
}

// await waits until cond, called with the lock held, likes the events.
func (a *app) await(t testing.TB, what string, cond func(events []event) bool) []event {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	late := false
	timer := time.AfterFunc(patience, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		late = true
		a.change.Broadcast()
	})
	defer timer.Stop()
	for !cond(a.events) {
		if late {
			t.Fatalf("waited in vain for: %s; there are %+v", what, a.events)
		}
		a.change.Wait()
	}
	return append([]event(nil), a.events...)
}

// count waits for n events of an action and returns them all.
func (a *app) count(t testing.TB, action string, n int) []event {
	t.Helper()
	return a.await(t, action, func(events []event) bool {
		for _, e := range events {
			if e.action == action {
				n--
			}
		}
		done := n <= 0
		for _, e := range events {
			if e.action == action {
				n++
			}
		}
		return done
	})
}

// gateway is a hub on a server, with an app.
type gateway struct {
	*Hub
	t      testing.TB
	server *netpoll.Server
	app    *app
	addr   string
}

func start(t testing.TB, cfg Config, net netpoll.Config) *gateway {
	t.Helper()
	return startWith(t, cfg, net, nil)
}

// startWith is start for a hub that has a clock of the test's; nil: its own.
func startWith(t testing.TB, cfg Config, net netpoll.Config, clock func() time.Duration) *gateway {
	t.Helper()
	g := &gateway{t: t, app: newApp()}
	if cfg.Forwarder == nil {
		cfg.Forwarder = g.app
	}
	var err error
	if g.Hub, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	if clock != nil {
		g.clock = clock
	}
	net.Handler, net.Resumer = g.Hub, g.Hub
	if net.Loops == 0 {
		net.Loops = 2
	}
	if g.server, err = netpoll.New(net); err != nil {
		t.Fatal(err)
	}
	g.Attach(g.server)
	addr, err := g.server.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.addr = addr.String()
	if err := g.server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.stop)
	return g
}

func (g *gateway) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := g.server.Stop(ctx); err != nil {
		g.t.Errorf("stop: %v", err)
	}
}

// client is a connection that is read all the time.
type client struct {
	*websocket.Conn
	t        testing.TB
	id       string // public
	messages chan string
	closed   chan error // the reader's last error
}

// dial connects as user and waits for the open event.
func (g *gateway) dial(user string, opts ...func(*websocket.DialOptions)) *client {
	g.t.Helper()
	c := g.dialUnread(user, opts...)
	c.read()
	return c
}

func (g *gateway) dialUnread(user string, opts ...func(*websocket.DialOptions)) *client {
	g.t.Helper()
	before := len(g.opened())
	o := &websocket.DialOptions{HTTPHeader: http.Header{}}
	if user != "" {
		o.HTTPHeader.Set("X-Bfl-User", user)
	}
	for _, opt := range opts {
		opt(o)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws://"+g.addr+"/ws", o)
	if err != nil {
		g.t.Fatal(err)
	}
	c := &client{Conn: conn, t: g.t, messages: make(chan string, 4096), closed: make(chan error, 1)}
	conn.SetReadLimit(8 << 20)
	g.t.Cleanup(func() { conn.CloseNow() })
	g.app.count(g.t, "open", before+1)
	c.id = g.opened()[before].id
	return c
}

func (g *gateway) opened() (opens []event) {
	g.app.mu.Lock()
	defer g.app.mu.Unlock()
	for _, e := range g.app.events {
		if e.action == "open" {
			opens = append(opens, e)
		}
	}
	return opens
}

// read starts the reader, which ends with the connection.
func (c *client) read() {
	go func() {
		for {
			_, data, err := c.Read(context.Background())
			if err != nil {
				close(c.messages)
				c.closed <- err
				return
			}
			c.messages <- string(data)
		}
	}()
}

func (c *client) say(messages ...string) {
	c.t.Helper()
	for _, m := range messages {
		if err := c.Write(context.Background(), websocket.MessageText, []byte(m)); err != nil {
			c.t.Fatal(err)
		}
	}
}

// hears waits for messages, in this order and with none between them.
func (c *client) hears(want ...string) {
	c.t.Helper()
	late := time.After(patience)
	for _, w := range want {
		select {
		case got, ok := <-c.messages:
			if !ok || got != w {
				c.t.Fatalf("heard %q (open %v), want %q", got, ok, w)
			}
		case <-late:
			c.t.Fatalf("waited in vain to hear %q", w)
		}
	}
}

// ends waits for the end of the connection and returns the close frame's code.
func (c *client) ends() (websocket.StatusCode, string) {
	c.t.Helper()
	select {
	case err := <-c.closed:
		if e := (websocket.CloseError{}); errors.As(err, &e) {
			return e.Code, e.Reason
		}
		return -1, err.Error()
	case <-time.After(patience):
		c.t.Fatal("waited in vain for the end of a connection")
		return 0, ""
	}
}

// on runs f on the loop of index and waits for it.
func (g *gateway) on(index int, f func(l *netpoll.Loop)) {
	g.t.Helper()
	done := make(chan struct{})
	if err := g.server.Loops()[index].Post(func(l *netpoll.Loop) bool {
		defer close(done)
		f(l)
		return false
	}); err != nil {
		g.t.Fatal(err)
	}
	<-done
}

// tick makes it now o'clock on all loops.
func (g *gateway) tick(now uint32) {
	g.t.Helper()
	for i := range g.server.Loops() {
		g.on(i, func(l *netpoll.Loop) {
			for g.Tick(l, now) {
			}
		})
	}
}
