package cluster

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ws-gateway/cluster/bus/localbus"
	"ws-gateway/cluster/packet"
	"ws-gateway/hub"
)

// A client whose session may still be there is told to come back, and not for ever.

const toComeBackLater = "status 503 Service Unavailable, Retry-After 2"

// hurrying are instances that wait for the others' answers for a moment only, whose clocks can
// be put forward.
func hurrying(t *testing.T, n int) (x *localbus.Exchange, all []*instance, forward func(time.Duration), clocks func(*Config)) {
	var ahead atomic.Int64
	started := time.Now().Add(-clockStart)
	clocks = func(c *Config) {
		c.Timeout = 50 * time.Millisecond
		c.clock = func() time.Duration { return time.Since(started) + time.Duration(ahead.Load()) }
	}
	x, all = relaying(t, n, clocks)
	for _, i := range all {
		i.await("that the others know it", func() bool {
			return !slices.ContainsFunc(i.view.Load().live, func(m member) bool { return !m.met })
		})
	}
	return x, all, func(d time.Duration) { ahead.Add(int64(d)) }, clocks
}

// refuses requires an attempt to be refused, and counted for a reason.
func (i *instance) refuses(c *traveller, want string, why RelayMiss) {
	i.t.Helper()
	before, sessions := i.missed(why), len(i.ids("ann"))
	if err := c.tryTo(i); err == nil || err.Error() != want {
		i.t.Fatalf("%v %+v", err, c)
	}
	if n := i.missed(why) - before; n != 1 {
		i.t.Errorf("%s is counted %d times", why, n)
	}
	if n := len(i.ids("ann")); n != sessions {
		i.t.Errorf("%d sessions, before %d", n, sessions)
	}
}

// gives requires an attempt to get a new session.
func (i *instance) gives(c *traveller, why RelayMiss) {
	i.t.Helper()
	before, was := i.missed(why), c.ID
	if err := c.tryTo(i); err != nil || c.Resumed || c.ID == was {
		i.t.Fatalf("%v %+v", err, c)
	}
	if n := i.missed(why) - before; n != 1 {
		i.t.Errorf("%s is counted %d times", why, n)
	}
}

func (i *instance) resumes(c *traveller) {
	i.t.Helper()
	was := c.ID
	if err := c.tryTo(i); err != nil || !c.Resumed || c.ID != was {
		i.t.Fatalf("%v %+v", err, c)
	}
}

func TestWhoseInstanceDoesNotAnswerKeepsItsSessionForATime(t *testing.T) {
	x, all, forward, _ := hurrying(t, 2)
	home, here := all[0], all[1]
	var beats atomic.Int64
	lose := func(from, _ localbus.Instance, b []byte) localbus.Fate {
		p, err := packet.Parse(b)
		if err == nil && p.Kind == packet.Heartbeat && from == home.cfg.Instance {
			beats.Add(1)
		}
		if err == nil && p.Kind == packet.RelayForth {
			return localbus.IsLost
		}
		return localbus.Arrives
	}
	c := &traveller{t: t}
	if err := c.tryTo(home); err != nil {
		t.Fatal(err)
	}
	x.SetFate(lose)
	here.refuses(c, toComeBack, RelayLate)
	here.refuses(c, toComeBack, RelayLate)
	x.SetFate(nil)
	home.mustSend(hub.Targets{Users: []string{"ann"}}, "kept")
	here.await("an answer", func() bool { // which may take long on a busy machine
		return c.tryTo(here) == nil
	})
	if err := c.read(1); err != nil || !c.Resumed {
		t.Fatalf("%v %+v", err, c)
	}

	x.SetFate(lose)
	pass := func(d time.Duration) {
		before := beats.Load()
		forward(d)
		here.await("that the other is heard", func() bool { return beats.Load() > before })
	}
	pass(patience) // since it was told so for the first time: it was answered meanwhile
	here.refuses(c, toComeBack, RelayLate)
	home.resumes(c) // and so it is another time
	pass(patience)
	here.refuses(c, toComeBack, RelayLate)
	pass(patience / 2)
	here.refuses(c, toComeBack, RelayLate)
	pass(patience / 2)
	here.gives(c, RelayLate)
}

// As long as its own link is down an instance does not know who is gone.
func TestWhoseInstanceCannotBeHeardKeepsItsSessionForATime(t *testing.T) {
	_, all, forward, _ := hurrying(t, 3)
	home, here, other := all[0], all[1], all[2]
	c, stranger := &traveller{t: t}, &traveller{t: t}
	for who, at := range map[*traveller]*instance{c: home, stranger: other} {
		if err := who.tryTo(at); err != nil {
			t.Fatal(err)
		}
	}
	other.Stop()
	here.await("the goodbye", func() bool { return len(here.view.Load().live) == 1 })
	here.bus.SetUp(false)
	here.await("the link", func() bool { return !here.Up() })
	here.refuses(c, toComeBackLater, RelaySilent)
	here.refuses(stranger, toComeBackLater, RelaySilent)
	here.bus.SetUp(true)
	here.await("the other", func() bool { return len(here.view.Load().live) == 1 })
	here.await("an answer", func() bool { return c.tryTo(here) == nil })
	if !c.Resumed {
		t.Fatalf("%+v", c)
	}
	forward(knownAfter)
	here.gives(stranger, RelayGone)

	here.bus.SetUp(false)
	here.await("the link", func() bool { return !here.Up() })
	here.refuses(c, toComeBackLater, RelaySilent)
	forward(patience)
	here.gives(c, RelayGone)
}

// Who starts while another instance is stopped may not have heard it, and others wait for it.
func TestAnInstanceThatHasJustStartedGivesUpNobodyForWhomOthersWait(t *testing.T) {
	x, all, forward, clocks := hurrying(t, 2)
	home, other := all[0], all[1]
	c := &traveller{t: t}
	if err := c.tryTo(home); err != nil {
		t.Fatal(err)
	}
	x.SetFate(func(from, to localbus.Instance, _ []byte) localbus.Fate {
		if from == home.cfg.Instance && to != other.cfg.Instance {
			return localbus.IsLost
		}
		return localbus.Arrives
	})
	here := beginRelaying(t, x, "here", clocks, func(c *Config) { c.listenFor = patience })
	here.await("the other", func() bool { return len(here.view.Load().live) == 1 })
	forward(knownAfter)
	here.refuses(c, toComeBackLater, RelaySilent)
	x.SetFate(nil)
	here.await("an answer", func() bool { return c.tryTo(here) == nil })
	if !c.Resumed {
		t.Fatalf("%+v", c)
	}
}

func TestForHowLongItIsInDoubtWhetherAnInstanceIsGone(t *testing.T) {
	known, unknown := packet.Instance{1}, packet.Instance{2}
	for _, test := range []struct {
		id    packet.Instance
		up    bool
		whole bool          // all that there are are known
		spell time.Duration // since the link came up, or was lost
		want  time.Duration
	}{
		{known, true, true, 0, never}, {known, true, true, time.Hour, never}, // the members say when it is gone
		{known, false, false, 0, 15 * time.Second}, {known, false, false, 14 * time.Second, time.Second},
		{known, false, false, 15 * time.Second, 0}, {known, false, false, time.Hour, 0},
		{unknown, true, false, 0, never}, {unknown, true, false, time.Hour, never}, // others may know it
		{unknown, true, true, 0, knownAfter}, {unknown, true, true, knownAfter - 1, 1}, {unknown, true, true, knownAfter, 0},
		{unknown, false, false, 0, 15 * time.Second}, {unknown, false, false, 15 * time.Second, 0},
	} {
		v := view{up: test.up, whole: test.whole, since: time.Minute, deadAfter: 15 * time.Second, silent: map[packet.Instance]string{known: "known"}}
		if got := v.doubt(test.id, time.Minute+test.spell); got != test.want {
			t.Errorf("%v, up %v, all known %v, for %v: %v, want %v", test.id, test.up, test.whole, test.spell, got, test.want)
		}
	}
}

// Those who wait for an instance that is not heard leave room for the clients of others.
func TestWhoWaitsForAnInstanceThatIsNotHeardKeepsNobodyElseOut(t *testing.T) {
	_, all := relaying(t, 2, func(c *Config) { c.Relays = 3 })
	home, here := all[0], all[1]
	var clients [3]*traveller
	for i := range clients {
		clients[i] = &traveller{t: t}
		if err := clients[i].tryTo(home); err != nil {
			t.Fatal(err)
		}
	}
	here.bus.SetUp(false)
	here.await("the link", func() bool { return !here.Up() })
	var waiting sync.WaitGroup
	for n, c := range clients[:2] {
		waiting.Go(func() {
			if err := c.tryTo(here); err != nil || !c.Resumed {
				t.Errorf("%v %+v", err, c)
			}
		})
		here.await("a client that waits", func() bool { return here.relays.snapshot().Open[hasClient] == int64(n+1) })
	}
	here.refuses(clients[2], toComeBackLater, RelaySilent) // at once
	here.bus.SetUp(true)
	waiting.Wait()
	here.await("the other", func() bool { return len(here.view.Load().live) == 1 })
	here.resumes(clients[2])
}

// What waits for an answer is over in a moment, what was answered may go on: who finds no
// room gets a new session in the end.
func TestWhoFindsNoRelayKeepsItsSessionForATime(t *testing.T) {
	_, all := relaying(t, 3, func(c *Config) { c.Relays = 1 })
	home, here, other := all[0], all[1], all[2]
	first, second := &traveller{t: t}, &traveller{t: t}
	for _, c := range []*traveller{first, second} {
		if err := c.tryTo(home); err != nil {
			t.Fatal(err)
		}
	}
	release := home.hold(first.ID)
	var attempt sync.WaitGroup
	attempt.Go(func() {
		if err := first.tryTo(here); err != nil || !first.Resumed {
			t.Errorf("%v %+v", err, first)
		}
	})
	home.await("the first attempt", func() bool { return home.relays.snapshot().Open[hasSession] == 1 })
	here.refuses(second, toComeBack, RelayTooMany)
	other.refuses(second, toComeBack, RelayBusy)
	release()
	attempt.Wait()
	home.await("the relay", func() bool { return home.relays.snapshot().Opened[hasSession] == 1 })
	for range 2 {
		here.refuses(second, toComeBackLater, RelayFull)
	}
	other.refuses(second, toComeBack, RelayBusy) // home is full, too
	if n := home.missed(RelayFull); n != 1 {
		t.Errorf("counted %d times", n)
	}
	third := second.again()
	for _, i := range []*instance{here, other} {
		i.relays.mu.Lock()
		i.relays.comebacks.longest = 0 // the time is over
		i.relays.mu.Unlock()
	}
	here.gives(second, RelayFull)
	other.gives(third, RelayBusy)
}

func TestASessionThatIsNotAnsweredForIsGivenUpInTheEnd(t *testing.T) {
	const longest = 15 * time.Second
	c := newComebacks(longest)
	now := time.Hour
	turn := uint32(1)
	again := func(session string, after time.Duration, want bool) {
		t.Helper()
		now += after
		if got := c.again(session, turn, now); got != want {
			t.Errorf("%s at %v: %v", session, now-time.Hour, got)
		}
	}
	again("a", 0, true)
	again("b", 5*time.Second, true)
	again("a", 9*time.Second, true)
	again("a", time.Second, false) // it has a new one
	again("a", 0, true)            // nobody remembers
	again("b", 5*time.Second, false)
	c.answered("a")
	again("a", 14*time.Second, true)
	turn = 2 // it was resumed elsewhere, and then
	again("a", longest, true)
	again("a", longest-1, true)
	again("a", 1, false)
	again("slow", 0, true)
	again("slow", comesBackWithin, false) // one who is slow is remembered
	again("lost", 0, true)
	again("lost", longest+comesBackWithin+time.Second, true) // this is another time

	for n := range 2 * mostComebacks {
		again(fmt.Sprint(n), time.Microsecond, true)
	}
	if len(c.by) > mostComebacks {
		t.Errorf("%d are remembered", len(c.by))
	}
	again("0", longest, false)
	again(fmt.Sprint(2*mostComebacks-1), 0, true) // for which there was no room
	again("last", longest+comesBackWithin+time.Second, true)
	if len(c.by) != 1 {
		t.Errorf("%d are left", len(c.by))
	}
}
