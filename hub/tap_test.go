package hub

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ws-gateway/forward"
	"ws-gateway/netpoll"
)

// tapOf opens a tap that takes all that it can.
func (g *gateway) tapOf(f TapFilter) *Tap {
	g.t.Helper()
	tap, err := g.Tap(f)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(tap.Close)
	tap.Allow(maxTapBacklog, maxTapBacklog)
	return tap
}

// awaitTap takes events until there are n.
func awaitTap(t *testing.T, tap *Tap, n int) (events []TapEvent) {
	t.Helper()
	for begin := time.Now(); len(events) < n; runtime.Gosched() {
		if events, _ = tap.Take(events); time.Since(begin) > patience {
			t.Fatalf("waited in vain for %d events; there are %+v", n, events)
		}
	}
	return events
}

func TestATapShowsWhatHappensToAConnection(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{})
	tap := g.tapOf(TapFilter{Payload: true, Actions: []TapAction{TapOpen, TapMessage, TapPing, TapSend, TapClose}})
	c := g.dial("ada")
	c.say(`{"n":1}`, `{"event":"ping"}`)
	c.Write(t.Context(), websocket.MessageBinary, []byte{1, 2})
	g.app.count(t, "message", 2)
	if _, err := g.Send(t.Context(), Targets{Conn: c.id}, text("hello"), true); err != nil {
		t.Fatal(err)
	}
	c.Close(4001, "bye")
	var got []string
	for _, e := range awaitTap(t, tap, 6) {
		if e.ConnID != c.id || e.User != "ada" || e.Time.IsZero() || e.Truncated {
			t.Errorf("event %+v", e)
		}
		if (e.RemoteAddr != "") != (e.Action == TapOpen) || (e.End != forward.End{}) != (e.Action == TapClose) {
			t.Errorf("event %+v", e)
		}
		got = append(got, fmt.Sprintf("%s %d %v %q %d %s %s", e.Action, e.Size, e.Binary, e.Data, e.End.Code, e.End.Reason, e.End.Initiator))
	}
	want := []string{
		`open 0 false "" 0  `, `message 7 false "{\"n\":1}" 0  `, `ping 16 false "{\"event\":\"ping\"}" 0  `,
		`message 2 true "\x01\x02" 0  `, `send 5 false "hello" 0  `, `close 0 false "" 4001 bye client`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("events:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestATapTakesWhatItsFilterSelects(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{})
	ada, bela := g.dial("ada"), g.dial("bela")
	taps := map[string]*Tap{
		"":              g.tapOf(TapFilter{}),
		"users":         g.tapOf(TapFilter{Users: []string{"x", "bela"}}),
		"a connection":  g.tapOf(TapFilter{Conns: []string{ada.id}}),
		"no connection": g.tapOf(TapFilter{Conns: []string{"garbage"}}),
		"both":          g.tapOf(TapFilter{Conns: []string{ada.id}, Users: []string{"bela"}}),
		"pings":         g.tapOf(TapFilter{Actions: []TapAction{TapPing}}),
	}
	for _, c := range []*client{ada, bela} {
		c.say(`{"event":"ping"}`, "hello")
	}
	g.app.count(t, "message", 2)
	for name, want := range map[string]string{
		"": "ada message, bela message", "users": "bela message", "a connection": "ada message",
		"no connection": "", "both": "", "pings": "ada ping, bela ping",
	} {
		events, dropped := taps[name].Take(nil)
		var got []string
		for _, e := range events {
			if e.Data != nil {
				t.Errorf("%q: payload %q, though nobody asked for it", name, e.Data)
			}
			got = append(got, e.User+" "+e.Action.String())
		}
		slices.Sort(got)
		if text := strings.Join(got, ", "); text != want || dropped != 0 {
			t.Errorf("%q: %q, %d dropped, want %q", name, text, dropped, want)
		}
	}
}

func TestATapOfGroupsFollowsWhoeverIsInOneOfThem(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{})
	ada, bela := g.dial("ada"), g.dial("bela")
	tap := g.tapOf(TapFilter{Groups: []string{"red", "blue"}})
	said := 0
	say := func(text string) {
		for _, c := range []*client{ada, bela} {
			c.say(text)
		}
		said += 2
		g.app.count(t, "message", said)
	}
	regroup := func(change func(context.Context, Targets, []string) (int, error), c *client, group string) {
		t.Helper()
		if n, err := change(t.Context(), Targets{Conn: c.id}, []string{group}); n != 1 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	say("nobody is in")
	regroup(g.Join, ada, "blue")
	regroup(g.Join, bela, "green")
	say("a")
	regroup(g.Join, bela, "red")
	say("ab")
	regroup(g.Leave, ada, "blue")
	say("abc")
	bela.Close(4001, "")
	var got []string
	for _, e := range awaitTap(t, tap, 5) {
		got = append(got, fmt.Sprintf("%s %s %d", e.User, e.Action, e.Size))
	}
	slices.Sort(got) // of two connections' events either may come first
	want := []string{"ada message 1", "ada message 2", "bela close 0", "bela message 2", "bela message 3"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestATapDropsAndCountsWhatItHasNoRoomFor(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{})
	c := g.dial("ada")
	tap, err := g.Tap(TapFilter{})
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	said := 0
	say := func(n int) {
		t.Helper()
		for range n {
			c.say("x")
		}
		said += n
		g.app.count(t, "message", said)
	}
	expect := func(what string, events, dropped int) {
		t.Helper()
		if got, lost := tap.Take(nil); len(got) != events || lost != uint64(dropped) {
			t.Errorf("%s: %d events, %d dropped; want %d, %d", what, len(got), lost, events, dropped)
		}
	}
	say(3)
	expect("nothing allowed", 0, 3)
	tap.Allow(2, 10)
	say(5)
	expect("two allowed", 2, 3)
	tap.Allow(2, 3)
	tap.Allow(2, 3)
	say(5)
	expect("what is saved up is limited", 3, 2)
	tap.Allow(1_000_000, 1_000_000)
	say(maxTapBacklog + 7)
	expect("the backlog is bounded", maxTapBacklog, 7)
	if s := g.Stats(); s.TapEvents != 5+maxTapBacklog || s.TapDropped != 8+7 || s.Taps != 1 {
		t.Errorf("%d events, %d dropped, %d taps", s.TapEvents, s.TapDropped, s.Taps)
	}
}

func TestThereAreNoMoreThanMaxTapsTaps(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{})
	var taps []*Tap
	for range MaxTaps {
		taps = append(taps, g.tapOf(TapFilter{}))
	}
	if _, err := g.Tap(TapFilter{}); !errors.Is(err, ErrTaps) {
		t.Errorf("one more: %v", err)
	}
	taps[3].Close()
	taps[3].Close()
	g.tapOf(TapFilter{})
	if s := g.Stats(); s.Taps != MaxTaps || s.TapsRefused != 1 {
		t.Errorf("%d taps, %d refused", s.Taps, s.TapsRefused)
	}
	for _, tap := range taps {
		tap.Close()
	}
}

func TestWithoutATapNothingIsMade(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{})
	tap := g.tapOf(TapFilter{})
	tap.Close()
	g.dial("ada").say("x")
	g.app.count(t, "message", 1)
	if events, dropped := tap.Take(nil); len(events) != 0 || dropped != 0 || g.tapped() {
		t.Errorf("%+v, %d dropped, tapped %v", events, dropped, g.tapped())
	}
	if n := testing.AllocsPerRun(100, func() {
		if g.tapped() {
			t.Error("tapped")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAPayloadIsCutWhereARuneBegins(t *testing.T) {
	for _, c := range []struct {
		name    string
		payload string
		binary  bool
		want    int
	}{
		{"fits", strings.Repeat("x", MaxTapData), false, MaxTapData},
		{"one more", strings.Repeat("x", MaxTapData+1), false, MaxTapData},
		{"within two bytes", "x" + strings.Repeat("é", MaxTapData), false, MaxTapData - 1},
		{"within four bytes", "xxx" + strings.Repeat("😀", MaxTapData), false, MaxTapData - 1},
		{"binary is cut anywhere", "x" + strings.Repeat("é", MaxTapData), true, MaxTapData},
	} {
		if got := beginning([]byte(c.payload), c.binary); len(got) != c.want {
			t.Errorf("%s: %d bytes, want %d", c.name, len(got), c.want)
		}
	}
}

func TestTapsComeAndGoWhileEventsHappen(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{})
	const each = 200
	var clients []*client
	for i := range 4 {
		clients = append(clients, g.dial(fmt.Sprint("user-", i)))
	}
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() {
			for range each {
				if err := c.Write(t.Context(), websocket.MessageText, []byte("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 4 {
		all.Go(func() {
			for range 50 {
				tap, err := g.Tap(TapFilter{Payload: true})
				if err != nil {
					t.Error(err)
					return
				}
				tap.Allow(10, 10)
				tap.Take(nil)
				tap.Close()
			}
		})
	}
	all.Wait()
	g.app.count(t, "message", each*len(clients))
	if g.tapped() {
		t.Error("a tap is left")
	}
}

func TestAnActionIsNamedOnce(t *testing.T) {
	for a := range tapActions {
		if back, ok := ParseTapAction(a.String()); !ok || back != a {
			t.Errorf("%v is parsed as %v, %v", a, back, ok)
		}
	}
	if _, ok := ParseTapAction("heartbeat"); ok {
		t.Error("heartbeat is an action")
	}
}

func TestATapShowsTheAppsReplies(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{})
	c := g.dial("ada")
	tap := g.tapOf(TapFilter{Payload: true})
	g.Reply(g.opened()[0].src.Key, forward.Reply{Body: []byte("text"), Text: true})
	g.Reply(g.opened()[0].src.Key, forward.Reply{Body: []byte{1}})
	c.hears("text", "\x01")
	events, _ := tap.Take(nil)
	if len(events) != 2 {
		t.Fatalf("%+v", events)
	}
	for i, want := range []string{"send text false", "send \x01 true"} {
		if e := events[i]; fmt.Sprintf("%s %s %v", e.Action, e.Data, e.Binary) != want {
			t.Errorf("%+v, want %q", e, want)
		}
	}
}
