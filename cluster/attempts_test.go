package cluster

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ws-gateway/cluster/bus/localbus"
	"ws-gateway/cluster/packet"
	"ws-gateway/cluster/relay"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
	"ws-gateway/tokenbucket"
)

// A client whose attempt to come back takes too long makes another one, here or elsewhere,
// with the same token. Whatever their order its session goes on.

// hold keeps the loop of a session from doing anything until release is called.
func (i *instance) hold(id string) (release func()) {
	i.t.Helper()
	conn, ok := i.hub.ParseID([]byte(id))
	if !ok {
		i.t.Fatalf("not of %s: %q", i.cfg.Name, id)
	}
	held := make(chan struct{})
	released, release := context.WithCancel(i.t.Context())
	if err := i.cfg.Sessions.(*netpoll.Server).Loops()[conn.Loop()].Post(func(*netpoll.Loop) bool {
		close(held)
		<-released.Done()
		return false
	}); err != nil {
		i.t.Fatal(err)
	}
	<-held
	return release
}

// again is another attempt of the client.
func (c *traveller) again() *traveller {
	return &traveller{t: c.t, ID: c.ID, Token: c.Token, got: c.got}
}

// expectNoSession requires that nobody has a session at the instance.
func (i *instance) expectNoSession(user string) {
	i.t.Helper()
	if ids := i.ids(user); len(ids) != 0 {
		i.t.Errorf("there are sessions at %s: %v", i.cfg.Name, ids)
	}
}

func (i *instance) missed(why RelayMiss) uint64 { return i.relays.snapshot().Missed[why] }

const toComeBack = "status 503 Service Unavailable, Retry-After 1"

// The session's instance takes one attempt and then another one, before the first has had
// its greeting: that tells nothing about the session.
func TestAnAttemptThatIsOvertakenIsToldToComeBack(t *testing.T) {
	for _, through := range []string{"one", "another"} {
		t.Run(through, func(t *testing.T) {
			_, all := relaying(t, 3)
			home, first, second := all[0], all[1], all[2]
			if through == "one" {
				second = first
			}
			c := &traveller{t: t}
			if err := c.tryTo(home); err != nil {
				t.Fatal(err)
			}
			release := home.hold(c.ID)
			overtaken, taken := c.again(), c.again()
			var attempts sync.WaitGroup
			attempts.Go(func() {
				if err := overtaken.tryTo(first); err == nil || err.Error() != toComeBack {
					t.Errorf("%v %+v", err, overtaken)
				}
			})
			home.await("the first attempt", func() bool { return home.relays.snapshot().Open[hasSession] == 1 })
			attempts.Go(func() {
				if err := taken.tryTo(second); err != nil || !taken.Resumed || taken.ID != c.ID {
					t.Errorf("%v %+v", err, taken)
				}
			})
			home.await("the second attempt", func() bool { return home.relays.snapshot().Open[hasSession] == 2 })
			release()
			attempts.Wait()
			if n := first.missed(RelayBroken); n != 1 {
				t.Errorf("counted %d times", n)
			}
			if err := overtaken.tryTo(first); err != nil || !overtaken.Resumed || overtaken.ID != c.ID {
				t.Errorf("%v %+v", err, overtaken)
			}
			home.mustSend(hub.Targets{Users: []string{"ann"}}, "here")
			if err := overtaken.read(1); err != nil {
				t.Error(err)
			}
			first.expectNoSession("ann")
			second.expectNoSession("ann")
		})
	}
}

// The network between instances holds an attempt up; the client gives it up, and comes back
// elsewhere. Then the first one arrives.
func TestAnAttemptWhoseClientHasGoneDoesNothing(t *testing.T) {
	x, all := relaying(t, 3)
	home, first, second := all[0], all[1], all[2]
	c := &traveller{t: t}
	if err := c.tryTo(home); err != nil {
		t.Fatal(err)
	}
	late := c.again()
	var asked atomic.Bool
	x.SetFate(func(from, _ localbus.Instance, b []byte) localbus.Fate {
		if p, err := packet.Parse(b); err == nil && p.Kind == packet.RelayForth && from == first.cfg.Instance {
			asked.Store(true)
			return localbus.Waits
		}
		return localbus.Arrives
	})
	var attempt sync.WaitGroup
	attempt.Go(func() {
		if err := late.tryTo(first); err == nil {
			t.Errorf("it is answered: %+v", late)
		}
	})
	first.await("the first attempt", asked.Load)
	late.hangUp()
	attempt.Wait()
	first.await("its end", func() bool { return first.relays.snapshot().Open[hasClient] == 0 })
	if n := first.missed(RelayHungUp); n != 1 {
		t.Errorf("counted %d times", n)
	}
	if err := c.tryTo(second); err != nil || !c.Resumed {
		t.Fatalf("%v %+v", err, c)
	}
	release := home.hold(c.ID)
	x.Release()
	home.await("the first attempt, and its end", func() bool {
		ends := home.relays.all(func(k relayKey) bool { return k.peer == first.cfg.Instance })
		return len(ends) == 1 && ends[0].Why() != relay.Open
	})
	release()
	home.mustSend(hub.Targets{Users: []string{"ann"}}, "here")
	if err := c.read(1); err != nil {
		t.Errorf("it is cut: %v", err)
	}
	first.expectNoSession("ann")
}

// hangUp ends the connection of an attempt that is under way.
func (c *traveller) hangUp() {
	c.dialed.Lock()
	defer c.dialed.Unlock()
	c.conn.Close()
}

// A client that has gone while its instance was waited for is not told to come back. The end
// does not wait for an instance that is not heard.
func TestAnAttemptWhoseClientHasGoneWhileItsInstanceIsNotHeardIsForgotten(t *testing.T) {
	_, all := relaying(t, 2, func(c *Config) { c.Timeout, c.DeadAfter = time.Hour, time.Hour })
	home, here := all[0], all[1]
	t.Cleanup(func() { here.bus.SetUp(true) }) // ends the waiting if the test fails
	c := &traveller{t: t}
	if err := c.tryTo(home); err != nil {
		t.Fatal(err)
	}
	here.bus.SetUp(false)
	here.await("the link", func() bool { return !here.Up() })
	var attempt sync.WaitGroup
	attempt.Go(func() {
		if err := c.tryTo(here); err == nil {
			t.Errorf("it is answered: %+v", c)
		}
	})
	here.await("the attempt", func() bool { return here.relays.snapshot().Open[hasClient] == 1 })
	c.hangUp()
	attempt.Wait()
	var stopped atomic.Bool
	go func() {
		here.Stop()
		stopped.Store(true)
	}()
	here.await("the end", stopped.Load)
	if s := here.relays.snapshot(); s.Missed[RelayHungUp] != 1 || s.Missed[RelaySilent] != 0 || len(here.relays.comebacks.by) != 0 {
		t.Errorf("%+v", s)
	}
	here.expectNoSession("ann")
}

// A client whose attempt is declined after it has gone opens no session.
func TestAnAttemptThatIsDeclinedAfterItsClientHasGoneOpensNoSession(t *testing.T) {
	x, all := relaying(t, 2)
	home, here := all[0], all[1]
	c := &traveller{t: t}
	if err := c.tryTo(home); err != nil {
		t.Fatal(err)
	}
	at, other := len(c.Token)-10, "A" // within the MAC
	if c.Token[at] == 'A' {
		other = "B"
	}
	c.Token = c.Token[:at] + other + c.Token[at+1:]
	x.SetFate(func(_, _ localbus.Instance, b []byte) localbus.Fate {
		if p, err := packet.Parse(b); err == nil && p.Kind == packet.RelayBack {
			return localbus.Waits
		}
		return localbus.Arrives
	})
	var attempt sync.WaitGroup
	attempt.Go(func() {
		if err := c.tryTo(here); err == nil {
			t.Errorf("it is answered: %+v", c)
		}
	})
	here.await("the attempt", func() bool { return here.relays.snapshot().Open[hasClient] == 1 })
	c.hangUp()
	attempt.Wait()
	x.Release()
	here.await("its end", func() bool { return here.relays.snapshot().Open[hasClient] == 0 })
	for _, l := range here.cfg.Sessions.(*netpoll.Server).Loops() {
		done := make(chan struct{})
		l.Post(func(*netpoll.Loop) bool { close(done); return false })
		<-done
	}
	here.expectNoSession("ann")
	if n := here.cfg.Sessions.(*netpoll.Server).Stats().Upgraded; n != 0 {
		t.Errorf("%d sessions are opened", n)
	}
}

// busy are sessions of which none can be taken over at the moment.
type busy struct {
	*netpoll.Server
	mu  sync.Mutex
	how string // guarded by mu
}

func (b *busy) TakeRelayed(id netpoll.ID, h netpoll.Relayed, answered func(*netpoll.Transport, error)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch b.how {
	case "at once":
		return netpoll.ErrBusy
	case "later":
		go answered(nil, netpoll.ErrBusy)
		return nil
	default:
		return b.Server.TakeRelayed(id, h, answered)
	}
}

func TestAClientWhoseSessionsInstanceIsBusyIsToldToComeBack(t *testing.T) {
	var at *busy
	x := localbus.NewExchange()
	home := beginRelaying(t, x, "home", func(c *Config) {
		at = &busy{Server: c.Sessions.(*netpoll.Server)}
		c.Sessions = at
	})
	here := beginRelaying(t, x, "here")
	here.await("the other", func() bool { v := here.view.Load(); return len(v.live) == 1 && v.live[0].relays })
	c := &traveller{t: t}
	if err := c.tryTo(home); err != nil {
		t.Fatal(err)
	}
	set := func(how string) {
		at.mu.Lock()
		defer at.mu.Unlock()
		at.how = how
	}
	for n, how := range []string{"at once", "later"} {
		set(how)
		if err := c.tryTo(here); err == nil || err.Error() != toComeBack {
			t.Errorf("%s: %v %+v", how, err, c)
		}
		if got := here.missed(RelayBusy); got != uint64(n+1) {
			t.Errorf("%s: counted %d times", how, got)
		}
	}
	set("")
	if err := c.tryTo(here); err != nil || !c.Resumed {
		t.Errorf("%v %+v", err, c)
	}
	here.expectNoSession("ann")
}

// Whoever makes up tokens leaves the rest to the others, and nobody loses a session because
// many have come at once.
func TestOneAddressDoesNotUseUpWhatAllMayAsk(t *testing.T) {
	_, all := relaying(t, 2)
	c := &traveller{t: t, from: net.IPv4(127, 0, 0, 1)}
	if err := c.tryTo(all[0]); err != nil {
		t.Fatal(err)
	}
	set := func(change func(*asks)) {
		all[1].relays.mu.Lock()
		defer all[1].relays.mu.Unlock()
		change(&all[1].relays.asks)
	}
	used := tokenbucket.Bucket(time.Hour)
	set(func(a *asks) { a.by[hub.BlockOf(netip.MustParseAddr("127.0.0.1"))] = used })
	refused := func(when string, n uint64) {
		t.Helper()
		if err := c.tryTo(all[1]); err == nil || err.Error() != toComeBack || all[1].missed(RelayTooMany) != n {
			t.Errorf("%s: %v %+v", when, err, c)
		}
	}
	refused("of one address", 1)
	c.from = net.IPv4(127, 0, 0, 2)
	if err := c.tryTo(all[1]); err != nil || !c.Resumed {
		t.Fatalf("%v %+v", err, c)
	}
	set(func(a *asks) { a.spent = used })
	refused("of all", 2)
	set(func(a *asks) { a.spent = 0 })
	if err := c.tryTo(all[1]); err != nil || !c.Resumed {
		t.Fatalf("%v %+v", err, c)
	}
	all[1].expectNoSession("ann")
}

func TestAnAddressMayAskHalfOfWhatAllMay(t *testing.T) {
	a := newAsks(64)
	now := time.Hour
	addr := netip.MustParseAddr
	ask := func(from string, n int) (allowed int) {
		for range n {
			if a.allow(addr(from), now) {
				allowed++
			}
		}
		return allowed
	}
	for _, step := range []struct {
		from       string
		asks, want int
	}{
		{"2001:db8::1", 20, 20}, {"2001:db8::2", 100, 12}, {"2001:db8::ffff:0:0:1%eth0", 1, 0}, // one /64
		{"2001:db8:0:1::1", 10, 10}, {"192.0.2.1", 10, 10}, {"::ffff:192.0.2.1", 2, 2}, {"192.0.2.2", 100, 10}, // those that are left
		{"192.0.2.3", 1, 0},
	} {
		if got := ask(step.from, step.asks); got != step.want {
			t.Errorf("%s may ask %d of %d, want %d", step.from, got, step.asks, step.want)
		}
	}
	now += time.Second
	if got := ask("192.0.2.1", 100) + ask("192.0.2.2", 100) + ask("192.0.2.3", 100); got != 64 {
		t.Errorf("a second later %d are allowed", got)
	}

	// However many come there are no more entries than the questions of three seconds.
	most := 0
	for n := range 100_000 {
		now += 100 * time.Microsecond
		a.allow(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), now)
		most = max(most, len(a.by))
	}
	if most > 3*64 {
		t.Errorf("%d entries", most)
	}
	now += 2 * time.Second
	a.allow(addr("192.0.2.9"), now)
	if len(a.by) != 1 {
		t.Errorf("%d entries are left", len(a.by))
	}
}

// What an End says at the end, of this version and of later ones, and what that means for
// the client.
func TestOnlyWhatLastsGivesANewSession(t *testing.T) {
	for c, want := range map[relay.Close]string{
		relay.Missed: "missed", relay.Refused: "refused", relay.Busy: "busy 503", relay.Broken: "broken 503",
		relay.Unknown: "broken 503", relay.Restarting: "restarting 503", 99: "gone",
	} {
		why, ok := whyMissed(c)
		got := why.String()
		if _, after := why.comeBack(); after > 0 {
			got += " 503"
		}
		if ok || got != want {
			t.Errorf("%d: %s, want %s", c, got, want)
		}
	}
	for why := range RelayMisses {
		if text, after := why.comeBack(); (text != "") != (after > 0) || strings.Contains(text, "token") {
			t.Errorf("%s: %q after %v", why, text, after)
		}
	}
}
