package hub

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/rs/zerolog"

	"ws-gateway/forward"
	"ws-gateway/hub/meta"
	"ws-gateway/netpoll"
)

// reload puts another configuration into force.
func (g *gateway) reload(cfg Config) {
	g.t.Helper()
	apply, err := g.Reload(cfg)
	if err != nil {
		g.t.Fatal(err)
	}
	apply()
}

func TestEveryFieldOfTheConfigurationIsReloadedOrSaidToBeStatic(t *testing.T) {
	static := []string{"Forwarder", "Settle", "Authorize", "Meta", "Names", "Log", "ResumeEvents", "Origin"}
	fields := reflect.TypeFor[Config]()
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		h, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		before := h.settings
		cfg := h.cfg
		field := reflect.ValueOf(&cfg).Elem().Field(i)
		field.Set(reflect.ValueOf(another(t, name, field.Interface())))
		apply, err := h.Reload(cfg)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		apply()
		before.addresses, h.settings.addresses = nil, nil // where the counts are, not what is configured
		if taken := !reflect.DeepEqual(before, h.settings); taken == slices.Contains(static, name) {
			t.Errorf("%s: reloaded %v", name, taken)
		}
	}
}

// another returns a value that is not v.
func another(t *testing.T, name string, v any) any {
	t.Helper()
	switch v := v.(type) {
	case int:
		return v + 7
	case int64:
		return v + 7
	case bool:
		return !v
	case time.Duration:
		return v + 7*time.Second
	case string:
		return v + "-other"
	case []string:
		return []string{map[bool]string{true: "https://other.example.org", false: "other"}[name == "AllowedOrigins"]}
	case []netip.Prefix:
		return []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	case Rates:
		return Rates{Messages: 7}
	case Forwarder:
		return newApp()
	case func(context.Context, ...uint64):
		return func(context.Context, ...uint64) {}
	case func(forward.Source, forward.Request, func(forward.Answer)):
		return func(forward.Source, forward.Request, func(forward.Answer)) {}
	case *meta.Store:
		return meta.New(1)
	case *Origin:
		return new(Origin)
	case zerolog.Logger:
		return zerolog.Nop()
	case nil: // an interface
		if name == "Names" {
			return newRegister()
		}
		return newApp()
	}
	t.Fatalf("a field of a new kind: %s", name)
	return nil
}

func TestAReloadThatIsWrongChangesNothing(t *testing.T) {
	g := start(t, Config{AllowedOrigins: []string{"https://example.org"}}, netpoll.Config{})
	before := g.settings
	if _, err := g.Reload(Config{AllowedOrigins: []string{"https://example.org/path"}}); err == nil || g.settings != before {
		t.Errorf("%v", err)
	}
}

func TestAReloadKeepsNewcomersOutAndNobodyElse(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{})
	c := g.dial("alice")
	for _, test := range []struct {
		cfg    Config
		lines  []string
		status int
	}{
		{Config{AllowedOrigins: []string{"https://example.org"}}, []string{"Origin: https://example.net"}, http.StatusForbidden},
		{Config{MaxConnections: 1}, nil, http.StatusServiceUnavailable},
		{Config{MaxConnectionsPerUser: 1}, []string{"X-Bfl-User: alice"}, http.StatusTooManyRequests},
		{Config{MaxConnectionsPerAddress: 1}, nil, http.StatusTooManyRequests},
		{Config{RequireUser: true}, nil, http.StatusUnauthorized},
	} {
		g.reload(test.cfg)
		if got := g.knock(t, test.lines...).StatusCode; got != test.status {
			t.Errorf("%+v: %d", test.cfg, got)
		}
		c.say("still here")
	}
	g.app.count(t, "message", 5)
	g.reload(Config{UserHeader: "X-Who"})
	if got := g.knock(t, "X-Who: bob").StatusCode; got != http.StatusSwitchingProtocols {
		t.Errorf("%d", got)
	}
	if opened := g.opened(); opened[len(opened)-1].src.User != "bob" {
		t.Errorf("%+v", opened)
	}
}

// Connections come and go while those that are there are counted.
func TestALimitByAddressThatIsTurnedOnCountsThoseWhoAreThere(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{Loops: 1, CloseTimeout: time.Second}) // most of them read nothing until the end
	perTurn := sliceBudget / sendCost
	var clients []*client
	for range perTurn + 50 {
		clients = append(clients, g.dialUnread(""))
	}
	cfg := Config{MaxConnectionsPerAddress: perTurn + 48}
	s, err := newSettings(new(cfg.withDefaults()))
	if err != nil {
		t.Fatal(err)
	}
	leave := func(c *client) {
		c.CloseNow()
		g.on(0, func(*netpoll.Loop) {}) // the loop has had a turn since
	}
	ls := g.loops[0]
	settling := &sweep{ls: ls}
	more := false
	g.on(0, func(l *netpoll.Loop) {
		g.settings = s
		ls.configure(s, l.Slots())
		more = settling.run(l)
	})
	if !more {
		t.Fatal("all were counted in one turn")
	}
	leave(clients[0])              // has been counted,
	leave(clients[1])              // this one, too
	leave(clients[len(clients)-1]) // has not been counted
	g.app.count(t, "close", 3)
	g.dialUnread("")                // in the place of one of them
	g.on(0, func(l *netpoll.Loop) { // and the rest are counted
		for settling.run(l) {
		}
	})
	if got := g.knock(t).StatusCode; got != http.StatusTooManyRequests {
		t.Errorf("one more than the limit: %d", got)
	}
	leave(clients[2])
	g.app.count(t, "close", 4)
	if got := g.knock(t).StatusCode; got != http.StatusSwitchingProtocols {
		t.Errorf("within the limit again: %d", got)
	}
	g.reload(Config{MaxConnectionsPerAddress: 1})
	if got := g.knock(t).StatusCode; got != http.StatusTooManyRequests {
		t.Errorf("over a lower limit: %d", got)
	}
	g.stop()
	if addresses, _ := s.addresses.counted(); addresses != 0 {
		t.Errorf("%d addresses are counted that nobody has", addresses)
	}
}

func TestRatesOfAReloadBeginWithAWholeBurstAndLetThoseGoOnWhoWereStopped(t *testing.T) {
	p := startPaced(t, Rates{})
	c := p.dial("alice")
	c.say("1", "2", "3")
	p.delivered(3)
	p.reload(Config{Rates: Rates{Messages: 1, MessageBurst: 1_000_000}})
	p.on(0, func(l *netpoll.Loop) { // as if a million had been sent
		ls := p.loops[0]
		ls.buckets.At(0).messages.Spend(&ls.settings.limiter.messages, p.clock(), 1_000_000)
	})
	c.say("4", "5")
	p.delivered(4)
	p.stopped(1)
	p.reload(Config{Rates: Rates{Messages: 2}})
	p.pass(time.Second)
	p.delivered(5)
	c.say("6", "7", "8", "9")
	p.delivered(9) // the burst is 4, less one
	p.stopped(2)
	p.reload(Config{})
	p.pass(time.Second)
	for n := range 50 {
		c.say(fmt.Sprint(n))
	}
	p.delivered(59)
}

func TestServerPingsAreTurnedOnAndOffForThoseWhoAreThere(t *testing.T) {
	g := start(t, Config{PingTimeout: time.Hour}, netpoll.Config{Loops: 1})
	pings := make(chan struct{}, 64)
	c := g.dial("alice", func(o *websocket.DialOptions) {
		o.OnPingReceived = func(context.Context, []byte) bool { pings <- struct{}{}; return true }
	})
	heard := func() int { // the client reads in order
		t.Helper()
		c.say(`{"event":"ping"}`)
		c.hears(`{"event":"pong"}`)
		return len(pings)
	}
	g.tick(10)
	if n := heard(); n != 0 {
		t.Fatalf("%d pings before they were asked for", n)
	}
	g.reload(Config{PingTimeout: time.Hour, ServerPing: 5 * time.Second})
	for now := uint32(11); now <= 21; now++ {
		g.tick(now)
	}
	on := heard()
	if on < 2 || on > 3 {
		t.Errorf("%d pings in 11 s", on)
	}
	g.reload(Config{PingTimeout: time.Hour})
	for now := uint32(22); now <= 40; now++ {
		g.tick(now)
	}
	if n := heard(); n != on {
		t.Errorf("%d pings after they were turned off", n-on)
	}
}

func TestAPingTimeoutOfAReloadCountsFromTheNextPingOn(t *testing.T) {
	g := start(t, Config{PingTimeout: time.Hour}, netpoll.Config{Loops: 1})
	c := g.dial("alice")
	g.tick(100)
	g.reload(Config{PingTimeout: 10 * time.Second})
	g.tick(200)
	c.say(`{"event":"ping"}`)
	c.hears(`{"event":"pong"}`)
	g.tick(210)
	c.say(`{"event":"ping"}`)
	c.hears(`{"event":"pong"}`)
	g.tick(222)
	if code, _ := c.ends(); code != 1008 {
		t.Errorf("closed with %d", code)
	}
}
