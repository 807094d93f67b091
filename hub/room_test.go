package hub

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ws-gateway/netpoll"
)

// come opens a session of a user at an address.
func (sim *simulation) come(loop int, slot uint32, user, addr string) (netpoll.ID, admission) {
	sim.generation[loop]++
	id := netpoll.MakeID(loop, slot, sim.generation[loop])
	return id, sim.Hub.enter(sim.loops[loop], id, handshakeFields{user: user, remote: netip.AddrPortFrom(netip.MustParseAddr(addr), 1)})
}

func (sim *simulation) mustCome(t *testing.T, loop int, slot uint32, user, addr string) netpoll.ID {
	t.Helper()
	id, got := sim.come(loop, slot, user, addr)
	if got != admitted {
		t.Fatalf("%s of %s in slot %d of loop %d was not admitted: %d", user, addr, slot, loop, got)
	}
	return id
}

func (sim *simulation) lose(id netpoll.ID) {
	ls := sim.loops[id.Loop()]
	sim.wentAway(ls, id, ls.sessions.At(id.Slot()))
}

// comeBack calls over, if it is not nil and the session has been given up.
func (sim *simulation) comeBack(id netpoll.ID, over func()) {
	ls := sim.loops[id.Loop()]
	sim.room.lock()
	if over != nil && (*ls.givingWay.away.At(id.Slot())).since == givenUp {
		over()
	}
	sim.noLongerAwayLocked(ls, id.Slot())
	sim.room.mu.Unlock()
	sim.directory.SetAway(ls.sessions.At(id.Slot()), false)
}

// endGivenUpOf is what the loop would do.
func (sim *simulation) endGivenUpOf(loop int) (ended []netpoll.ID) {
	for {
		id := sim.nextGivenUp(sim.loops[loop])
		if id == 0 {
			return ended
		}
		sim.leave(id)
		ended = append(ended, id)
	}
}

func (sim *simulation) limit(change func(*settings)) {
	s := *sim.settings
	change(&s)
	for _, ls := range sim.loops {
		ls.settings = &s
	}
}

func expectEnded(t *testing.T, sim *simulation, loop int, want ...netpoll.ID) {
	t.Helper()
	if got := sim.endGivenUpOf(loop); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("loop %d ends %x, want %x", loop, got, want)
	}
}

func TestWhoHasMostGivesWayOnWhicheverLoop(t *testing.T) {
	sim := simulate(t, 2, Config{MaxConnections: 6})
	good := sim.mustCome(t, 0, 0, "good", "192.0.2.1")
	sim.lose(good)
	var bad []netpoll.ID
	for n := range uint32(5) {
		id := sim.mustCome(t, 1, n, "bad", "203.0.113.1")
		sim.lose(id)
		bad = append(bad, id)
	}
	for n := range uint32(4) {
		sim.mustCome(t, 0, 10+n, "new", fmt.Sprint("198.51.100.", n))
	}
	if open := sim.open.Load(); open != 10 {
		t.Errorf("%d are open before the loop has ended them", open)
	}
	expectEnded(t, sim, 0)
	expectEnded(t, sim, 1, bad[:4]...)
	if open := sim.open.Load(); open != 6 {
		t.Errorf("%d are open", open)
	}
	sim.mustCome(t, 1, 10, "new", "198.51.100.10") // a connection of each: who is away for longest
	expectEnded(t, sim, 0, good)
	sim.mustCome(t, 1, 11, "new", "198.51.100.11")
	if _, got := sim.come(1, 12, "new", "198.51.100.12"); got != full {
		t.Errorf("nobody is left, and a newcomer got %d", got)
	}
	expectEnded(t, sim, 1, bad[4])
}

func TestNobodyGivesWayToWhoIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		limit func(*settings)
		want  admission
		user  string // "": one who has five, and is not away
	}{
		"more are open than may be":               {func(s *settings) { s.maxConnections = 9 }, full, ""},
		"more of the address":                     {func(s *settings) { s.maxConnections, s.maxConnectionsPerAddress = 10, 4 }, addressFull, ""},
		"more of the user":                        {func(s *settings) { s.maxConnections, s.maxConnectionsPerUser = 10, 4 }, userFull, ""},
		"none of the address is away":             {func(s *settings) { s.maxConnections, s.maxConnectionsPerAddress = 10, 5 }, addressFull, ""},
		"none of the user is away":                {func(s *settings) { s.maxConnections, s.maxConnectionsPerUser = 10, 5 }, userFull, ""},
		"the user's limit; none of the address":   {func(s *settings) { s.maxConnectionsPerUser, s.maxConnectionsPerAddress = 5, 5 }, userFull, ""},
		"more are open; one of the user is away":  {func(s *settings) { s.maxConnections, s.maxConnectionsPerUser = 9, 1 }, full, "good1"},
		"none of the address; one of the user is": {func(s *settings) { s.maxConnectionsPerAddress, s.maxConnectionsPerUser = 5, 1 }, addressFull, "good1"},
	} {
		t.Run(name, func(t *testing.T) {
			sim := simulate(t, 2, Config{MaxConnectionsPerAddress: 100})
			for n := range uint32(5) {
				sim.mustCome(t, 0, n, "x", "203.0.113.1")
				sim.lose(sim.mustCome(t, 1, n, fmt.Sprint("good", n), fmt.Sprint("192.0.2.", n)))
			}
			sim.limit(test.limit)
			for range 3 {
				if _, got := sim.come(0, 20, cmp.Or(test.user, "x"), "203.0.113.1"); got != test.want {
					t.Errorf("a newcomer got %d, want %d", got, test.want)
				}
			}
			if open, ending := sim.open.Load(), sim.room.away.ending; open != 10 || ending != 0 {
				t.Errorf("%d are open, %d end", open, ending)
			}
			if n := sim.settings.addresses.count(BlockOf(netip.MustParseAddr("203.0.113.1"))); n != 5 {
				t.Errorf("%d of the address are counted", n)
			}
			expectEnded(t, sim, 0)
			expectEnded(t, sim, 1)
		})
	}
}

func TestANewcomerTakesThePlaceOfItsOwnUserOrAddress(t *testing.T) {
	for name, test := range map[string]struct {
		cfg  Config
		want int // which of first, second, other gives way; -1: none
	}{
		"user":              {Config{MaxConnectionsPerUser: 2}, 0},
		"address":           {Config{MaxConnectionsPerAddress: 2}, 0},
		"both":              {Config{MaxConnectionsPerUser: 2, MaxConnectionsPerAddress: 2}, 0},
		"all three":         {Config{MaxConnections: 3, MaxConnectionsPerUser: 2, MaxConnectionsPerAddress: 2}, 0},
		"room for the user": {Config{MaxConnectionsPerUser: 3}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			sim := simulate(t, 2, test.cfg)
			other := sim.mustCome(t, 1, 0, "other", "192.0.2.9")
			first := sim.mustCome(t, 1, 1, "me", "192.0.2.1")
			second := sim.mustCome(t, 0, 1, "me", "192.0.2.1")
			all := []netpoll.ID{first, second, other}
			for _, id := range []netpoll.ID{other, first, second} {
				sim.lose(id)
			}
			sim.mustCome(t, 0, 2, "me", "192.0.2.1")
			if test.want < 0 {
				expectEnded(t, sim, 1)
				return
			}
			sim.mustCome(t, 0, 3, "me", "192.0.2.1") // the loop of the first one has not ended it yet
			if _, got := sim.come(0, 4, "me", "192.0.2.1"); got == admitted {
				t.Error("nobody of the same is away, and a newcomer was admitted")
			}
			expectEnded(t, sim, 0, second)
			expectEnded(t, sim, 1, all[test.want])
			if open := sim.open.Load(); open != 3 {
				t.Errorf("%d are open", open)
			}
			if _, got := sim.come(0, 4, "me", "192.0.2.1"); got == admitted {
				t.Error("nobody of the same is away, and a newcomer was admitted")
			}
		})
	}
}

func TestWhoComesBackBeforeItsLoopHasEndedItStays(t *testing.T) {
	sim := simulate(t, 2, Config{MaxConnections: 2})
	back := sim.mustCome(t, 1, 0, "back", "192.0.2.1")
	sim.lose(back)
	there := sim.mustCome(t, 1, 1, "there", "192.0.2.2")
	sim.mustCome(t, 0, 0, "new", "192.0.2.3")
	sim.comeBack(back, nil)
	expectEnded(t, sim, 1)
	sim.lose(back)
	expectEnded(t, sim, 1) // what it was asked to do before is about another absence
	if _, got := sim.come(0, 1, "new", "192.0.2.4"); got != full || sim.room.away.ending != 0 {
		t.Errorf("one more is open than may be, and a newcomer got %d", got)
	}
	sim.leave(there)
	sim.mustCome(t, 0, 1, "new", "192.0.2.4")
	expectEnded(t, sim, 1, back)
}

// Sessions of another process come in the order of their connecting.
func TestRestoredSessionsGiveWayInTheOrderOfGoingAway(t *testing.T) {
	sim := simulate(t, 2, Config{MaxConnections: 3})
	var ids []netpoll.ID
	for n, away := range []time.Duration{time.Minute, time.Hour, time.Second} {
		id := sim.mustCome(t, n%2, uint32(n), "u", fmt.Sprint("192.0.2.", n))
		ls := sim.loops[n%2]
		sim.restoreAway(ls, id, ls.sessions.At(id.Slot()), away)
		ids = append(ids, id)
	}
	for n := range uint32(2) {
		sim.mustCome(t, 0, 10+n, "new", fmt.Sprint("198.51.100.", n))
	}
	expectEnded(t, sim, 1, ids[1])
	expectEnded(t, sim, 0, ids[0])
	sim.leave(ids[2])
	if n := sim.room.away.sessions; n != 0 {
		t.Errorf("%d are away", n)
	}
}

// Loops that act at once: nobody is counted twice or lost, and more are not open than may be,
// except for who comes back while it is being ended.
func TestLimitsHoldWhileManyComeGoAndReturn(t *testing.T) {
	const loops, slots, most, perUser, perAddress, steps = 4, 40, 60, 8, 10, 10_000
	sim := simulate(t, loops, Config{MaxConnections: most, MaxConnectionsPerUser: perUser, MaxConnectionsPerAddress: perAddress})
	var returned, gaveWay, refused atomic.Int64
	var all sync.WaitGroup
	var left [loops]map[uint32]netpoll.ID
	for loop := range loops {
		left[loop] = make(map[uint32]netpoll.ID)
		all.Go(func() {
			random, ls, open := rand.New(rand.NewPCG(uint64(loop), 3)), sim.loops[loop], left[loop]
			for range steps {
				slot := random.Uint32N(slots)
				id, there := open[slot]
				switch {
				case random.IntN(4) == 0:
					for _, id := range sim.endGivenUpOf(loop) {
						delete(open, id.Slot())
						gaveWay.Add(1)
					}
				case !there:
					id, got := sim.come(loop, slot, fmt.Sprint("user", random.IntN(12)), fmt.Sprint("192.0.2.", random.IntN(10)))
					if got == admitted {
						open[slot] = id
					} else {
						refused.Add(1)
					}
				case !ls.sessions.At(slot).Away():
					if random.IntN(8) == 0 {
						sim.leave(id)
						delete(open, slot)
					} else {
						sim.lose(id)
					}
				case random.IntN(6) == 0:
					sim.comeBack(id, func() { returned.Add(1) })
				}
				sim.room.lock()
				if n := sim.open.Load() - int64(sim.room.away.ending); n > most+returned.Load() {
					t.Errorf("%d are open", n)
				}
				sim.room.mu.Unlock()
			}
		})
	}
	all.Wait()
	if gaveWay.Load() == 0 || refused.Load() == 0 || returned.Load() == 0 {
		t.Errorf("%v gave way, %v were refused, %v came back", &gaveWay, &refused, &returned)
	}
	for loop := range loops {
		for _, id := range sim.endGivenUpOf(loop) {
			delete(left[loop], id.Slot())
		}
		for _, id := range left[loop] {
			sim.leave(id)
		}
	}
	addresses, _ := sim.settings.addresses.counted()
	if away := &sim.room.away; sim.open.Load() != 0 || addresses != 0 || sim.directory.Users() != 0 || away.sessions != 0 || away.ending != 0 || len(away.ranking) != 0 {
		t.Errorf("of nobody %d are open, %d addresses and %d users are counted, %d are away, %d ending", sim.open.Load(), addresses, sim.directory.Users(), away.sessions, away.ending)
	}
}

// awayOn leaves n sessions behind that the loop owns.
func (g *gateway) awayOn(loop, n int) {
	g.t.Helper()
	var rest []*client
	for left := n; left > 0; {
		c := g.dial("away", func(o *websocket.DialOptions) { o.Subprotocols = []string{"ws-gateway.resume.v1"} })
		if id, ok := g.ParseID([]byte(c.id)); !ok || id.Loop() != loop {
			rest = append(rest, c)
			continue
		}
		c.CloseNow()
		left--
	}
	for _, c := range rest {
		c.Close(websocket.StatusNormalClosure, "")
	}
	g.app.count(g.t, "close", len(rest))
}

// A loop whose mailbox is full ends who has given way all the same, and nobody waits for it.
func TestALoopWithAFullMailboxEndsWhoHasGivenWay(t *testing.T) {
	const away = 3
	g := start(t, Config{MaxConnections: 100}, netpoll.Config{ResumeFor: time.Hour})
	g.awayOn(1, away)
	for g.server.Stats().Away != away { // its counters are published before it waits
		g.on(1, func(*netpoll.Loop) {})
	}
	closed := len(g.app.await(t, "", func([]event) bool { return true }))
	held := make(chan struct{})
	holding, release := context.WithCancel(t.Context())
	loop := g.server.Loops()[1]
	if err := loop.Post(func(*netpoll.Loop) bool { close(held); <-holding.Done(); return false }); err != nil {
		t.Fatal(err)
	}
	defer release()
	<-held
	for loop.TryPost(func(*netpoll.Loop) bool { return false }) == nil {
	}
	g.on(0, func(*netpoll.Loop) {
		ls := g.loops[0]
		s := *ls.settings
		s.maxConnections = away
		ls.settings = &s
		for n := range uint32(away + 1) {
			want := admitted
			if n == away {
				want = full
			}
			if got := g.enter(ls, netpoll.MakeID(0, 1000+n, 1), handshakeFields{remote: netip.MustParseAddrPort("192.0.2.1:1")}); got != want {
				t.Errorf("newcomer %d got %d, want %d", n, got, want)
			}
		}
	})
	release()
	events := g.app.await(t, "the close events", func(events []event) bool { return len(events) >= closed+away })
	for _, e := range events[closed:] {
		if e.action != "close" || e.end.Code != 1006 || e.end.Initiator != "network" {
			t.Errorf("%+v", e)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for g.open.Load() != away && ctx.Err() == nil {
		g.on(1, func(*netpoll.Loop) {})
	}
	if n := g.open.Load(); n != away {
		t.Errorf("%d are open", n)
	}
}
