package hub

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"ws-gateway/hub/groups"
	"ws-gateway/netpoll"
)

// sendTo sends to groups what was called so long ago, and returns how many were targets.
func (g *gateway) sendTo(ago time.Duration, names ...string) int {
	g.t.Helper()
	r, err := g.Send(context.Background(), Targets{Groups: names, OpenFor: ago}, netpoll.NewFrame(ws.OpText, []byte("hello")), true)
	if err != nil {
		g.t.Fatal(err)
	}
	return r.Matched
}

func TestASendToAGroupReachesOnlyWhoHadJoinedWhenItWasCalled(t *testing.T) {
	var now atomic.Int64
	now.Store(int64(time.Minute))
	g := startWith(t, Config{Names: newRegister()}, netpoll.Config{Loops: 1}, func() time.Duration { return time.Duration(now.Load()) })
	a, b := g.dial("alice"), g.dial("bob")
	now.Add(int64(time.Second))
	g.join(Targets{Conn: a.id}, "old")
	now.Add(int64(time.Second))
	g.join(Targets{Conn: b.id}, "old", "new")
	g.join(Targets{Conn: a.id}, "new", "old") // in old, it is already
	now.Add(int64(time.Second))
	for _, want := range []struct {
		ago   time.Duration
		names []string
		reach int
	}{
		{0, []string{"old"}, 2},
		{time.Second, []string{"old"}, 2}, // when they joined, and not before
		{time.Second + 1, []string{"old"}, 1},
		{2 * time.Second, []string{"old"}, 1},
		{2*time.Second + 1, []string{"old"}, 0},
		{time.Second, []string{"new"}, 2},
		{time.Second + 1, []string{"new"}, 0},
		{time.Second + 1, []string{"new", "old"}, 1}, // one is in the other for long enough
		{time.Second + 1, []string{"old", "none"}, 1},
	} {
		if got := g.sendTo(want.ago, want.names...); got != want.reach {
			t.Errorf("called %v ago, to %q: %d targets, want %d", want.ago, want.names, got, want.reach)
		}
	}
	g.leave(Targets{Conn: a.id}, "old")
	g.join(Targets{Conn: a.id}, "old")
	if got := g.sendTo(1, "old"); got != 1 {
		t.Errorf("after one has left and joined again: %d targets", got)
	}
	if s := g.Stats(); s.JoinsUnknown != 0 {
		t.Errorf("%d are not known", s.JoinsUnknown)
	}
}

func TestWhoJoinsByAnAnswerOfTheAppHasJoinedThen(t *testing.T) {
	var now atomic.Int64
	now.Store(int64(time.Minute))
	g := startWith(t, Config{Names: newRegister()}, netpoll.Config{Loops: 1}, func() time.Duration { return time.Duration(now.Load()) })
	g.dial("alice")
	now.Add(int64(time.Second))
	g.Regroup(g.opened()[0].src.Key, []string{"room"}, nil)
	now.Add(int64(time.Second))
	if before, since := g.sendTo(2*time.Second, "room"), g.sendTo(time.Second, "room"); before != 0 || since != 1 {
		t.Errorf("called before: %d targets; called since: %d", before, since)
	}
}

// A connection comes into the slot of one that had joined.
func TestAConnectionHasNotJoinedWhatAnotherBeforeItInItsSlotHas(t *testing.T) {
	var now atomic.Int64
	now.Store(int64(time.Minute))
	g := startWith(t, Config{Names: newRegister()}, netpoll.Config{Loops: 1}, func() time.Duration { return time.Duration(now.Load()) })
	a := g.dial("alice")
	g.join(Targets{Conn: a.id}, "room")
	if _, err := g.Close(t.Context(), Targets{Conn: a.id}, 1000, ""); err != nil {
		t.Fatal(err)
	}
	g.app.count(t, "close", 1)
	b := g.dial("bob")
	now.Add(int64(time.Second))
	g.join(Targets{Conn: b.id}, "room")
	now.Add(int64(time.Second))
	if got := g.sendTo(time.Second, "room"); got != 1 {
		t.Errorf("%d targets", got)
	}
	if got := g.sendTo(time.Second+1, "room"); got != 0 {
		t.Errorf("%d targets of a message that is older than the membership", got)
	}
}

func TestAHubOfASingleGatewayRemembersNoJoins(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{Loops: 1})
	a := g.dial("alice")
	g.join(Targets{Conn: a.id}, "room")
	if g.loops[0].joins != nil {
		t.Error("it does")
	}
}

// A list of all joins, of which none is forgotten, says what is right.
func TestJoinsAreRememberedUntilThereAreTooManyOrTheyAreTooOld(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 9))
	dir := groups.NewDirectory()
	var texts []string
	for n := range 5 {
		texts = append(texts, fmt.Sprint("group-", n))
	}
	names := dir.Names(texts)
	var j joins
	var all []joined
	now := time.Second
	for turn := range 3 * mostJoins {
		now += time.Duration(random.IntN(3)) * time.Millisecond
		one := joined{now, names[random.IntN(5)].Hash(), uint32(random.IntN(100))}
		j.add(one.slot, one.group, one.at)
		all = append(all, one)
		if turn%1000 == 999 {
			before := now - time.Duration(random.IntN(20_000))*time.Millisecond
			j.expire(before)
		}
		if turn%500 != 0 {
			continue
		}
		at, meant := max(0, now-time.Duration(random.IntN(20_000))*time.Millisecond), names[random.IntN(2):2+random.IntN(3)]
		found, whole := j.since(at, meant)
		if kept := len(j.all) - j.first; kept > mostJoins || cap(j.all) > 5*mostJoins {
			t.Fatalf("%d are remembered, in %d places", kept, cap(j.all))
		}
		want := map[joinedAs]bool{}
		for _, one := range all[len(all)-(len(j.all)-j.first):] {
			if one.at > at && slices.ContainsFunc(meant, func(n groups.Name) bool { return n.Hash() == one.group }) {
				want[joinedAs{one.slot, one.group}] = true
			}
		}
		missed := slices.ContainsFunc(all[:len(all)-(len(j.all)-j.first)], func(one joined) bool { return one.at > at })
		if len(found) != len(want) || whole == missed {
			t.Fatalf("turn %d: %d found, want %d; whole: %v, missed: %v", turn, len(found), len(want), whole, missed)
		}
		for as := range found {
			if !want[as] {
				t.Fatalf("turn %d: %v", turn, as)
			}
		}
	}
	if j.expire(now + 1); j.all != nil || j.first != 0 {
		t.Errorf("in the end %d are left", len(j.all))
	}
}

// Who joins after more than can be remembered gets what was sent before, and that is counted.
func TestAMessageOlderThanAllJoinsThatAreRememberedReachesWhoeverIsAMember(t *testing.T) {
	var now atomic.Int64
	now.Store(int64(time.Minute))
	g := startWith(t, Config{Names: newRegister(), MaxGroupsPerConnection: mostJoins + 2}, netpoll.Config{Loops: 1}, func() time.Duration { return time.Duration(now.Load()) })
	a := g.dial("alice")
	now.Add(int64(time.Second))
	g.join(Targets{Conn: a.id}, "room")
	now.Add(int64(time.Second))
	var many []string
	for n := range mostJoins {
		many = append(many, fmt.Sprint("group-", n))
	}
	if got := g.sendTo(time.Second+1, "room"); got != 0 {
		t.Errorf("%d targets", got)
	}
	g.join(Targets{Conn: a.id}, many...)
	if got := g.sendTo(time.Second+1, "room"); got != 1 || g.Stats().JoinsUnknown != 1 {
		t.Errorf("%d targets, %d joins are not known", got, g.Stats().JoinsUnknown)
	}
}
