package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ws-gateway/cluster/bus/localbus"
	"ws-gateway/hub"
)

// reader reads a tap as an event stream does.
type reader struct {
	*Tap
	i       *instance
	events  []hub.TapEvent
	dropped uint64
}

// reads opens a tap and waits until all instances that are there have it.
func (i *instance) reads(tap func(hub.TapFilter) (*Tap, error), f hub.TapFilter, rate int) *reader {
	i.t.Helper()
	t, err := tap(f)
	if err != nil {
		i.t.Fatal(err)
	}
	r := &reader{Tap: t, i: i}
	r.Allow(rate, rate)
	r.await("the tap to be everywhere", rate, t.Ready)
	return r
}

// await takes a turn after the other until it has happened.
func (r *reader) await(what string, rate int, happened func() bool) {
	r.i.t.Helper()
	r.i.await(what, func() bool {
		r.take(rate)
		return happened()
	})
}

func (r *reader) take(rate int) {
	var dropped uint64
	r.events, dropped = r.Take(r.events)
	r.dropped += dropped
	r.Allow(rate, rate)
}

func (r *reader) shown() string {
	var words []string
	for _, e := range r.events {
		words = append(words, fmt.Sprintf("%s:%s:%s", e.Instance, e.User, e.Action))
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

func (c *client) say(text string) {
	c.t.Helper()
	if err := c.Write(c.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// taps is how many taps of others are open at an instance.
func (i *instance) taps() int64 { return i.Stats().Watches }

func TestEventsOfAllInstancesComeToAReaderAtAny(t *testing.T) {
	_, all := together(t, 3)
	a, b, c := all[0], all[1], all[2]
	everything := a.reads(a.Tap, hub.TapFilter{Payload: true}, 1000)
	of := func(name string) *reader {
		part, err := a.At(name)
		if err != nil {
			t.Fatal(err)
		}
		return a.reads(part.Tap, hub.TapFilter{Users: []string{"alice", "bob"}, Actions: []hub.TapAction{hub.TapOpen}}, 1000)
	}
	onlyA, onlyB := of("a"), of(b.cfg.Instance.String())
	a.dial("alice")
	bob := b.dial("bob")
	c.dial("carol").say("hello")
	const want = "a:alice:open b:bob:open c:carol:message c:carol:open"
	everything.await("all events", 1000, func() bool { return everything.shown() == want })
	for _, e := range everything.events {
		if e.Action == hub.TapMessage && (string(e.Data) != "hello" || e.Size != 5) || e.Action == hub.TapOpen && (e.RemoteAddr == "" || e.Time.IsZero()) {
			t.Errorf("%+v", e)
		}
	}
	onlyA.await("a's", 1000, func() bool { return onlyA.shown() == "a:alice:open" })
	onlyB.await("b's", 1000, func() bool { return onlyB.shown() == "b:bob:open" && onlyB.events[0].ConnID == bob.id })
	if everything.dropped != 0 || everything.Missing() != nil {
		t.Errorf("%d dropped, %q missing", everything.dropped, everything.Missing())
	}
	for _, r := range []*reader{everything, onlyA, onlyB} {
		r.Close()
	}
	for _, i := range all {
		i.await("its taps to be closed", func() bool { return i.taps() == 0 && i.hub.Stats().Taps == 0 })
	}
}

func TestEventsAboveTheRateOfAllTogetherAreLeftOutAndCounted(t *testing.T) {
	_, all := together(t, 3)
	const each, rate = 40, 5
	r := all[0].reads(all[0].Tap, hub.TapFilter{Actions: []hub.TapAction{hub.TapMessage}}, rate)
	defer r.Close()
	var clients []*client
	for _, i := range all {
		clients = append(clients, i.dial("u"))
	}
	for range each {
		for _, c := range clients {
			c.say("x")
		}
	}
	turns := 0
	r.i.await("all to be shown or counted", func() bool {
		before := len(r.events)
		r.take(rate)
		if turns++; len(r.events)-before > rate {
			t.Fatalf("%d events in a turn", len(r.events)-before)
		}
		return len(r.events)+int(r.dropped) == each*len(clients)
	})
	if r.dropped == 0 {
		t.Error("none was left out")
	}
}

func TestAReaderIsToldWhoseEventsAreMissing(t *testing.T) {
	x, all := together(t, 3, func(cfg *Config) { cfg.Timeout = 50 * time.Millisecond })
	a, b, c := all[0], all[1], all[2]
	r := a.reads(a.Tap, hub.TapFilter{Actions: []hub.TapAction{hub.TapOpen}}, 1000)
	defer r.Close()
	missing := func(want ...string) {
		t.Helper()
		r.await(fmt.Sprint(want, " to be missing"), 1000, func() bool { return slices.Equal(r.Missing(), want) })
	}
	missing()
	x.SetFate(func(from, to localbus.Instance, _ []byte) localbus.Fate { // what b says is lost
		if from == localbus.Instance(b.cfg.Instance) {
			return localbus.IsLost
		}
		return localbus.Arrives
	})
	missing("b")
	x.SetFate(nil)
	missing()
	a.bus.SetUp(false)
	missing("b", "c")
	a.bus.SetUp(true)
	missing()
	var taken []*hub.Tap
	for range hub.MaxTaps - 1 { // with a's there are as many as there may be
		tap, err := c.hub.Tap(hub.TapFilter{})
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, tap)
	}
	second := a.reads(a.Tap, hub.TapFilter{}, 1000)
	second.await("c to have no place", 1000, func() bool { return slices.Equal(second.Missing(), []string{"c"}) })
	taken[0].Close()
	second.await("c to have one", 1000, func() bool { return second.Missing() == nil })
	second.Close()
	for _, tap := range taken[1:] {
		tap.Close()
	}
	if _, err := a.At("d"); !errors.Is(err, ErrNoInstance) {
		t.Error(err)
	}
}

func TestTheTapsOfAReaderWhoseInstanceIsGoneEnd(t *testing.T) {
	_, all := together(t, 2)
	a, b := all[0], all[1]
	r := a.reads(a.Tap, hub.TapFilter{}, 1000)
	defer r.Close()
	if b.taps() != 1 {
		t.Fatalf("%d taps", b.taps())
	}
	a.bus.SetUp(false) // and asks no more
	b.await("the tap to end", func() bool { return b.taps() == 0 && b.hub.Stats().Taps == 0 })
}

func TestAPartOfTheInstancesIsListedAndCountedAlone(t *testing.T) {
	_, all := together(t, 3)
	a, b, c := all[0], all[1], all[2]
	a.dial("alice")
	b.dial("alice")
	there := b.dial("bob")
	if _, err := b.Join(t.Context(), hub.Targets{Users: []string{"bob"}}, []string{"g"}); err != nil {
		t.Fatal(err)
	}
	part, err := a.At("b")
	if err != nil {
		t.Fatal(err)
	}
	if conns, users, err := part.CountMembers(t.Context(), nil, hub.Query{}); conns != 2 || users != 2 || err != nil {
		t.Error(conns, users, err)
	}
	var users []string
	q := hub.Query{Limit: 1}
	for {
		next, err := part.ListMembers(t.Context(), nil, q, func(user string, conns []hub.Info) error {
			users = append(users, user)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if next == "" {
			break
		}
		if _, err := c.ListMembers(t.Context(), nil, hub.Query{Limit: 1, Cursor: next}, nil); !errors.Is(err, hub.ErrCursor) {
			t.Errorf("a cursor of a part for all: %v", err)
		}
		q.Cursor = next
	}
	if slices.Sort(users); !slices.Equal(users, []string{"alice", "bob"}) {
		t.Errorf("%q", users)
	}
	groups := 0
	if _, err := part.ListGroups(t.Context(), hub.GroupQuery{}, func(page []hub.Group) error {
		groups += len(page)
		return nil
	}); err != nil || groups != 1 {
		t.Error(groups, err)
	}
	if info, names, ok, err := part.Describe(t.Context(), there.id); !ok || err != nil || info.User != "bob" || !slices.Equal(names, []string{"g"}) {
		t.Error(info, names, ok, err)
	}
	other, _ := a.At("c")
	if _, _, ok, err := other.Describe(t.Context(), there.id); ok || err != nil {
		t.Error("another instance describes it", err)
	}
	a.bus.SetUp(false)
	a.await("the link to be down", func() bool { return !a.Up() })
	part, _ = a.At("b")
	_, _, err = part.CountMembers(t.Context(), nil, hub.Query{})
	lost(t, err, false, "b")
	mine, _ := a.At("a")
	if conns, _, err := mine.CountMembers(t.Context(), nil, hub.Query{}); conns != 1 || err != nil {
		t.Error(conns, err)
	}
}

func TestInstancesAreShownWithWhatTheirHeartbeatsSay(t *testing.T) {
	x, all := together(t, 2, func(cfg *Config) {
		cfg.Loops = func() (int, time.Duration) { return 2, 30 * time.Millisecond }
	})
	a, b := all[0], all[1]
	b.dial("bob")
	var list []Instance
	a.await("b's heartbeat", func() bool {
		list = a.Instances()
		return len(list) == 2 && list[1].Connections == 1
	})
	for n, i := range []*instance{a, b} {
		got := list[n]
		if got.Name != i.cfg.Name || got.ID != i.cfg.Instance || got.Version != "test" || got.Loops != 2 || got.Lag != 30*time.Millisecond ||
			got.Self != (i == a) || got.Silent || time.Since(got.Started) > patience || time.Since(got.Started) < 0 {
			t.Errorf("%+v", got)
		}
	}
	twin := begin(t, x, "b")
	a.await("the twin", func() bool { return len(a.Instances()) == 3 })
	if _, err := a.At("b"); !errors.Is(err, ErrTwoInstances) {
		t.Error(err)
	}
	if _, err := a.At(twin.cfg.Instance.String()); err != nil {
		t.Error(err)
	}
}
