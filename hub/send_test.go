package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"

	"ws-gateway/forward"
	"ws-gateway/netpoll"
)

func text(s string) *netpoll.Frame { return netpoll.NewFrame(ws.OpText, []byte(s)) }

func TestASendReachesItsTargetsAndNobodyElse(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{})
	clients := map[string]*client{}
	for _, name := range []string{"a1", "a2", "b1", "b2", "c1"} {
		clients[name] = g.dial(name[:1])
	}
	id := func(name string) string { return clients[name].id }
	gone := g.dial("d")
	gone.CloseNow()
	g.app.count(t, "close", 1)
	many := make([]string, 100)
	for i := range many {
		many[i] = fmt.Sprint("user ", i)
	}
	g.join(Targets{Conns: []string{id("a1"), id("a2")}}, "red")
	g.join(Targets{Conns: []string{id("a1"), id("b1")}}, "blue")
	for i, c := range []struct {
		name    string
		targets Targets
		want    string
	}{
		{"nobody", Targets{}, ""},
		{"a connection", Targets{Conn: id("a1")}, "a1"},
		{"a user", Targets{Users: []string{"a"}}, "a1 a2"},
		{"two users, one twice", Targets{Users: []string{"a", "b", "a"}}, "a1 a2 b1 b2"},
		{"an unknown user", Targets{Users: []string{"x", "c"}}, "c1"},
		{"a connection of one of the users", Targets{Conn: id("b1"), Users: []string{"a", "b"}, Owned: true}, "b1"},
		{"a connection of none of the users", Targets{Conn: id("b1"), Users: []string{"a", "c"}, Owned: true}, ""},
		{"connections, some twice", Targets{Conn: id("a1"), Conns: []string{id("b2"), id("a1"), id("b2"), gone.id, "garbage", ""}}, "a1 b2"},
		{"connections without a first", Targets{Conns: []string{id("c1"), id("a2")}}, "a2 c1"},
		{"connections but one", Targets{Conn: id("a1"), Conns: []string{id("b2"), id("c1")}, Exclude: []string{id("b2")}}, "a1 c1"},
		{"connections of some users", Targets{Conn: id("a1"), Conns: []string{id("b2"), id("c1"), id("c1")}, Users: []string{"c", "a", "x"}, Owned: true}, "a1 c1"},
		{"connections of none of the users", Targets{Conns: []string{id("b2"), id("c1")}, Users: []string{"a"}, Owned: true}, ""},
		{"connections of one of many users", Targets{Conns: []string{id("b2"), id("c1")}, Users: append(many, "c"), Owned: true}, "c1"},
		{"unknown connections do not mean their users", Targets{Conns: []string{"garbage"}, Users: []string{"a"}, Owned: true}, ""},
		{"a connection and users, both", Targets{Conn: id("b1"), Users: []string{"a"}}, "a1 a2 b1"},
		{"all", Targets{All: true}, "a1 a2 b1 b2 c1"},
		{"all but two", Targets{All: true, Exclude: []string{id("c1"), id("a1"), "garbage"}}, "a2 b1 b2"},
		{"users but one", Targets{Users: []string{"a", "b"}, Exclude: []string{id("b2")}}, "a1 a2 b1"},
		{"a connection that is excluded", Targets{Conn: id("a1"), Exclude: []string{id("a1")}}, ""},
		{"a connection that is gone", Targets{Conn: gone.id}, ""},
		{"no id at all", Targets{Conn: "garbage"}, ""},
		{"an id of another gateway", Targets{Conn: string(newInstance().appendID(nil, 1))}, ""},
		{"an id of a loop that is not", Targets{Conn: string(g.instance.appendID(nil, netpoll.MakeID(77, 0, 1)))}, ""},
		{"groups that overlap", Targets{Groups: []string{"red", "blue", "red", "none"}}, "a1 a2 b1"},
		{"a group but one, whatever else is named", Targets{Groups: []string{"red"}, Exclude: []string{id("a1")}, All: true, Conn: id("c1"), Users: []string{"c"}}, "a2"},
		{"a group that is not", Targets{Groups: []string{"none"}}, ""},
		{"connections and users that overlap", Targets{Conns: []string{id("a1"), id("c1"), id("c1")}, Users: []string{"a"}}, "a1 a2 c1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			message, end := fmt.Sprint("message ", i), fmt.Sprint("end ", i)
			report, err := g.Send(t.Context(), c.targets, text(message), true)
			if n := len(strings.Fields(c.want)); err != nil || report != (Report{Matched: n, Queued: n}) {
				t.Errorf("%+v, %v", report, err)
			}
			if _, err := g.Send(t.Context(), Targets{All: true}, text(end), false); err != nil {
				t.Fatal(err)
			}
			for name, client := range clients {
				if strings.Contains(c.want, name) {
					client.hears(message)
				}
				client.hears(end)
			}
		})
	}
	var all Sends
	for kind, s := range g.Stats().Sends {
		if s.Matched != s.Queued || s.Slow != 0 || s.Calls == 0 {
			t.Errorf("%v: %+v", SendKind(kind), s)
		}
		all.Calls += s.Calls
	}
	if all.Calls != 54 {
		t.Errorf("%d calls", all.Calls)
	}
}

func TestSendsReachAConnectionInTheirOrder(t *testing.T) {
	const each = 300
	g := start(t, Config{}, netpoll.Config{})
	clients := []*client{g.dial("a"), g.dial("a"), g.dial("b"), g.dial("")}
	var wg sync.WaitGroup
	for sender := range 3 {
		wg.Go(func() {
			for n := range each {
				targets := []Targets{
					{All: true}, {Users: []string{"a", "b", ""}},
					{Conns: []string{clients[0].id, clients[1].id}, Users: []string{"b", ""}},
				}[n%3]
				if _, err := g.Send(t.Context(), targets, text(fmt.Sprint(sender, " ", n)), false); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, c := range clients {
		var next [3]int
		for range 3 * each {
			sender, n, _ := strings.Cut(<-c.messages, " ")
			s, _ := strconv.Atoi(sender)
			if n != strconv.Itoa(next[s]) {
				t.Fatalf("sender %d: %s came, want %d", s, n, next[s])
			}
			next[s]++
		}
	}
}

func TestABroadcastOfManySlicesReachesEverybodyOnce(t *testing.T) {
	const clients = 600 // more than a slice for each loop
	g := start(t, Config{}, netpoll.Config{})
	all := make([]*client, clients)
	for i := range all {
		all[i] = g.dial("crowd")
	}
	excluded := []string{all[17].id, all[400].id}
	for _, targets := range []Targets{
		{All: true, Exclude: excluded},
		{Users: []string{"crowd"}, Exclude: excluded},
	} {
		report, err := g.Send(t.Context(), targets, text("news"), true)
		if err != nil || report != (Report{Matched: clients - 2, Queued: clients - 2}) {
			t.Errorf("%+v, %v", report, err)
		}
	}
	g.Send(t.Context(), Targets{All: true}, text("end"), false)
	for i, c := range all {
		if i != 17 && i != 400 {
			c.hears("news", "news")
		}
		c.hears("end")
	}
}

func TestABroadcastLetsTheLoopServeOthersBetweenSlices(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{Loops: 1})
	for range 2 * sliceBudget / (sendCost + 1) {
		g.dialUnread("crowd")
	}
	var calls int
	s := loopTask{
		command: &command{aim: aim{all: true}, cost: sendCost, do: func(*loopState, *netpoll.Conn, *Report) {}},
		ls:      g.loops[0],
	}
	g.on(0, func(l *netpoll.Loop) {
		for s.run(l) {
			calls++
		}
	})
	if calls < 2 {
		t.Errorf("done in %d slices", calls+1)
	}
}

func TestASlowClientIsClosedAndReported(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{MaxPendingBytes: 64 << 10})
	g.dialUnread("slow") // its receive buffer fills, then the server's, then the outbox
	quick := g.dial("quick")
	frame := netpoll.NewFrame(ws.OpText, bytes.Repeat([]byte("x"), 60<<10))
	sum := Report{}
	for n := 0; sum.Slow == 0 && n < 4096; n++ {
		report, err := g.Send(t.Context(), Targets{All: true}, frame, true)
		if err != nil {
			t.Fatal(err)
		}
		sum.Matched += report.Matched
		sum.Queued += report.Queued
		sum.Slow += report.Slow
		<-quick.messages
	}
	if sum.Slow != 1 || sum.Matched != sum.Queued+1 {
		t.Errorf("%+v", sum)
	}
	events := g.app.count(t, "close", 1)
	if end := events[len(events)-1].end; end.Code != 1008 || end.Reason != "slow consumer" || end.Initiator != "gateway" {
		t.Errorf("close says %+v", end)
	}
	if s := g.Stats(); s.Sends[SendAll].Slow != 1 {
		t.Errorf("%+v", s)
	}
}

func TestACloseTakesItsTargetsOffTheList(t *testing.T) {
	for name, c := range map[string]struct {
		targets func(id func(string) string) Targets
		left    string
	}{
		"nobody":       {func(func(string) string) Targets { return Targets{} }, "a1 a2 b1 b2 c1"},
		"a connection": {func(id func(string) string) Targets { return Targets{Conns: []string{id("a1")}} }, "a2 b1 b2 c1"},
		"a user":       {func(func(string) string) Targets { return Targets{Users: []string{"b"}} }, "a1 a2 c1"},
		"the union, overlapped": {func(id func(string) string) Targets {
			return Targets{Conns: []string{id("a1"), id("b1")}, Users: []string{"b"}}
		}, "a2 c1"},
		"all":         {func(func(string) string) Targets { return Targets{All: true} }, ""},
		"all but one": {func(id func(string) string) Targets { return Targets{All: true, Exclude: []string{id("c1")}} }, "c1"},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, Config{}, netpoll.Config{})
			clients := map[string]*client{}
			for _, name := range []string{"a1", "a2", "b1", "b2", "c1"} {
				clients[name] = g.dial(name[:1])
			}
			targets := c.targets(func(name string) string { return clients[name].id })
			report, err := g.Close(t.Context(), targets, 4002, "out")
			if want := 5 - len(strings.Fields(c.left)); err != nil || report.Matched != want {
				t.Errorf("%+v, %v", report, err)
			}
			for name, client := range clients {
				_, listed := g.Get(client.id)
				if stays := strings.Contains(c.left, name); stays != listed {
					t.Errorf("%s is listed: %v", name, listed)
				} else if !stays {
					if code, reason := client.ends(); code != 4002 || reason != "out" {
						t.Errorf("%s ended with %d %q", name, code, reason)
					}
				}
			}
		})
	}
}

func TestACloseWithACodeThatMustNotBeSentIsRefused(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{})
	c := g.dial("a")
	for _, code := range []ws.StatusCode{1, 999, 1001, 1005, 1006, 2999, 5000} {
		if _, err := g.Close(t.Context(), Targets{All: true}, code, ""); err == nil {
			t.Errorf("%d was taken", code)
		}
	}
	if _, err := g.Close(t.Context(), Targets{All: true}, 0, strings.Repeat("é", 100)); err != nil {
		t.Error(err)
	}
	if code, reason := c.ends(); code != 1000 || reason != strings.Repeat("é", 61) {
		t.Errorf("closed with %d %q", code, reason)
	}
}

func TestAfterTheLoopsEndedNothingHangs(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{})
	c := g.dial("a")
	g.stop()
	for name, f := range map[string]func() error{
		"send":          func() error { _, err := g.Send(t.Context(), Targets{All: true}, text("x"), false); return err },
		"send and wait": func() error { _, err := g.Send(t.Context(), Targets{All: true}, text("x"), true); return err },
		"send to one":   func() error { _, err := g.Send(t.Context(), Targets{Conn: c.id}, text("x"), true); return err },
		"close":         func() error { _, err := g.Close(t.Context(), Targets{All: true}, 1000, ""); return err },
		"drain":         func() error { return g.Drain(t.Context(), time.Second) },
	} {
		if err := f(); !errors.Is(err, ErrStopped) {
			t.Errorf("%s: %v", name, err)
		}
	}
	g.Resume(uint64(netpoll.MakeID(0, 0, 1)))
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{Loops: 1})
	g.dial("a")
	held := make(chan struct{})
	released, release := context.WithCancel(t.Context())
	g.server.Loops()[0].Post(func(*netpoll.Loop) bool { close(held); <-released.Done(); return false })
	<-held
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Send(ctx, Targets{All: true}, text("x"), true); !errors.Is(err, context.Canceled) {
		t.Errorf("send: %v", err)
	}
	if _, err := g.Close(ctx, Targets{All: true}, 1000, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("close: %v", err)
	}
	if err := g.Drain(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("drain: %v", err)
	}
	release()
	g.app.count(t, "close", 1) // what was ordered happens all the same
}

// A loop that does nothing, with as much in its mailbox as there may be.
func (g *gateway) stopLoop(t *testing.T) (release func()) {
	t.Helper()
	held := make(chan struct{})
	released, release := context.WithCancel(t.Context())
	loop := g.server.Loops()[0]
	loop.Post(func(*netpoll.Loop) bool { close(held); <-released.Done(); return false })
	<-held
	full, cancel := context.WithCancel(t.Context())
	cancel()
	for loop.PostContext(full, func(*netpoll.Loop) bool { return false }) == nil {
	}
	return release
}

func TestAWaitForAFullMailboxEndsWithItsContext(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{Loops: 1})
	c := g.dial("a")
	id, _ := g.instance.parseID(c.id)
	release := g.stopLoop(t)
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	waits := map[string]func() error{
		"send":          func() error { _, err := g.Send(ctx, Targets{All: true}, text("x"), false); return err },
		"send and wait": func() error { _, err := g.Send(ctx, Targets{All: true}, text("x"), true); return err },
		"send to one":   func() error { _, err := g.Send(ctx, Targets{Conn: c.id}, text("x"), false); return err },
		"close":         func() error { _, err := g.Close(ctx, Targets{All: true}, 1000, ""); return err },
		"drain":         func() error { return g.Drain(ctx, 0) },
		"resume":        func() error { g.Resume(uint64(id)); return context.Canceled },
		"reply":         func() error { g.Reply(uint64(id), forward.Reply{Body: []byte("x")}); return context.Canceled },
	}
	type result struct {
		name string
		err  error
	}
	ended := make(chan result, len(waits))
	for name, wait := range waits {
		go func() { ended <- result{name, wait()} }()
	}
	select {
	case r := <-ended:
		t.Errorf("%s did not wait: %v", r.name, r.err)
	case <-time.After(20 * time.Millisecond): // none of them has a reason to end, ever
	}
	cancel()
	g.GiveUp()
	for range waits {
		select {
		case r := <-ended:
			if !errors.Is(r.err, context.Canceled) {
				t.Errorf("%s: %v", r.name, r.err)
			}
		case <-time.After(patience):
			t.Fatal("somebody waits for a loop that does nothing, after its context has ended")
		}
	}
	release()
	g.on(0, func(*netpoll.Loop) {})
	if connections, _ := g.Count(); connections != 1 {
		t.Errorf("%d connections: what was not taken must not happen", connections)
	}
}

func TestADrainClosesEverybodyAndRefusesNewcomers(t *testing.T) {
	for _, period := range []time.Duration{0, 300 * time.Millisecond} {
		t.Run(period.String(), func(t *testing.T) {
			const n = 40
			g := start(t, Config{}, netpoll.Config{})
			var clients []*client
			for range n {
				clients = append(clients, g.dial("a"))
			}
			begin := time.Now()
			if err := g.Drain(t.Context(), period); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); took < period {
				t.Errorf("through after %v", took)
			}
			if connections, users := g.Count(); connections != 0 || users != 0 {
				t.Errorf("%d connections and %d users are left", connections, users)
			}
			for _, c := range clients {
				if code, reason := c.ends(); code != 1001 || reason != "going away" {
					t.Errorf("ended with %d %q", code, reason)
				}
			}
			g.app.count(t, "close", n)
			if _, resp, err := websocket.Dial(t.Context(), "ws://"+g.addr+"/ws", nil); err == nil || resp.StatusCode != 503 {
				t.Errorf("a newcomer: %v", err)
			}
		})
	}
}

func TestADrainIsEven(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		total        int
		left, period time.Duration
		want         int
	}{
		{0, s, s, 0}, {1000, s, s, 1000}, {1000, s / 2, s, 500}, {1000, s / 1000, s, 1}, {1000, 1, s, 1},
		{1000, 0, s, 0}, {1000, 0, 0, 0}, {3, 2 * s, 3 * s, 2}, {3, 1.5e9, 3 * s, 2}, {1 << 24, 3600 * s, 7200 * s, 1 << 23},
	} {
		if got := mayRemain(c.total, c.left, c.period); got != c.want {
			t.Errorf("of %d, with %v of %v left, %d may remain, want %d", c.total, c.left, c.period, got, c.want)
		}
	}
}
