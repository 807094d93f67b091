package cluster

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ws-gateway/cluster/interest"
	"ws-gateway/hub"
)

// informed waits until each instance knows who is at all others: a message to nobody
// goes to none of them.
func informed(t *testing.T, all []*instance) {
	t.Helper()
	for _, i := range all {
		i.await("what the others have told", func() bool {
			before := i.Stats().Skipped
			i.mustSend(hub.Targets{Users: []string{"nobody"}}, "to nobody")
			i.settled()
			return i.Stats().Skipped-before == uint64(len(all)-1)
		})
	}
}

// settled returns when the router has done what was posted before.
func (i *instance) settled() {
	i.t.Helper()
	if _, _, err := i.CountMembers(i.t.Context(), nil, hub.Query{}); err != nil {
		i.t.Fatal(err)
	}
}

func TestAMessageGoesOnlyToInstancesThatHaveATarget(t *testing.T) {
	_, all := together(t, 3)
	a, b, c := all[0], all[1], all[2]
	bob, carol := b.dial("bob"), c.dial("carol")
	informed(t, all)
	if _, err := a.Join(t.Context(), hub.Targets{Users: []string{"carol"}}, []string{"red"}); err != nil {
		t.Fatal(err)
	}
	before, executed := a.Stats().Skipped, b.Stats().Executed+c.Stats().Executed
	a.mustSend(hub.Targets{Users: []string{"bob"}}, "to bob")
	a.mustSend(hub.Targets{Users: []string{"carol"}}, "to carol")
	a.mustSend(hub.Targets{Users: []string{"bob", "carol"}}, "to both")
	a.mustSend(hub.Targets{Groups: []string{"red"}}, "to red")
	a.mustSend(hub.Targets{Users: []string{"nobody"}}, "to nobody")
	bob.expect("to bob", "to both")
	carol.expect("to carol", "to both", "to red")
	// The first two and the message to both, whose payload is longer than the names, so that
	// it goes to both with both names: ahead of it each is sent what it has missed of its own.
	if got := b.Stats().Executed + c.Stats().Executed - executed; got != 7 {
		t.Errorf("%d messages went to others, want 7", got)
	}
	a.settled() // nobody has received the last
	if got := a.Stats().Skipped - before; got != 5 {
		t.Errorf("%d instances were skipped, want 5", got)
	}
	a.mustSend(hub.Targets{All: true}, "to all") // after everything that had gone to some only
	bob.expect("to all")
	carol.expect("to all")
}

// A client connects at one instance, and at once there is a message for it at another.
func TestAConnectionThatHasJustOpenedIsFoundByEverySend(t *testing.T) {
	const workers = 4
	connections := int64(2000)
	if testing.Short() {
		connections = 400
	}
	_, all := together(t, 2)
	a, b := all[0], all[1]
	informed(t, all)
	before := a.Stats()
	var running sync.WaitGroup
	var next atomic.Int64
	for range workers {
		running.Go(func() {
			for n := next.Add(1); n <= connections && !t.Failed(); n = next.Add(1) {
				greet(t, a, b, fmt.Sprint("user-", n))
			}
		})
	}
	running.Wait()
	after := a.Stats()
	t.Logf("%d of %d messages were repaired, %d went to all", after.Repaired-before.Repaired, connections, after.Crowded-before.Crowded)
	if after.Repaired == before.Repaired {
		t.Error("no message had to be repaired: the test has not tested that")
	}
}

// The app at one instance puts a connection into a group, and at once there is a message
// for the group at another.
func TestAGroupThatHasJustGotAMemberIsFoundByEverySend(t *testing.T) {
	groups := 200
	if testing.Short() {
		groups = 100
	}
	_, all := together(t, 2)
	a, b := all[0], all[1]
	bob := b.dial("bob")
	informed(t, all)
	before := a.Stats().Repaired
	for n := range groups {
		group := []string{fmt.Sprint("group-", n)}
		if _, err := b.hub.Join(t.Context(), hub.Targets{Conn: bob.id}, group); err != nil {
			t.Fatal(err)
		}
		a.mustSend(hub.Targets{Groups: group}, group[0])
		bob.expect(group[0])
		if _, err := a.Leave(t.Context(), hub.Targets{Users: []string{"bob"}}, group); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Join(t.Context(), hub.Targets{Conn: bob.id}, group); err != nil {
			t.Fatal(err)
		}
		a.mustSend(hub.Targets{Groups: group}, "again")
		bob.expect("again")
		if _, err := b.hub.Leave(t.Context(), hub.Targets{All: true}, group); err != nil {
			t.Fatal(err)
		}
	}
	if after := a.Stats().Repaired; after == before {
		t.Error("no message had to be repaired: the test has not tested that")
	}
}

// What is known of the others is what they have told, whatever came and went, and what
// is gone with an instance is forgotten.
func TestTheNamesThatAreKnownAreThoseThatWereTold(t *testing.T) {
	_, all := together(t, 3)
	informed(t, all)
	for n := range 30 {
		c := all[n%3].dial(fmt.Sprint("user-", n/2))
		if n%4 == 0 {
			c.CloseNow()
		} else if _, err := all[0].Join(t.Context(), hub.Targets{Conn: c.id}, []string{fmt.Sprint("group-", n/5)}); err != nil {
			t.Fatal(err)
		}
	}
	equal := func() bool {
		told, sum := [3]int64{}, int64(0)
		for n, i := range all {
			s := i.Stats()
			users, groups := int64(0), int64(0)
			i.hub.List(hub.Query{}, func(string, []hub.Info) error { users++; return nil })
			i.hub.ListGroups(t.Context(), hub.GroupQuery{}, func(g []hub.Group) error { groups += int64(len(g)); return nil })
			if told[n] = s.Told; told[n] != users+groups || s.Known != 2 {
				return false
			}
			sum += told[n]
		}
		for n, i := range all {
			if i.Stats().Names != sum-told[n] {
				return false
			}
		}
		return true
	}
	all[0].await("tables that are equal", equal)
}

// greet connects a user at an instance, and has another send to it. The message comes
// once.
func greet(t *testing.T, from, at *instance, user string) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+at.addr+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{"X-Bfl-User": {user}}})
	if err != nil {
		t.Error(err)
		return
	}
	defer c.CloseNow()
	for _, text := range []string{"first ", "second "} {
		if err := from.send(hub.Targets{Users: []string{user}}, text+user); err != nil {
			t.Error(err)
			return
		}
	}
	for _, want := range []string{"first ", "second "} {
		if _, got, err := c.Read(ctx); err != nil || string(got) != want+user {
			t.Errorf("%s got %q %v, want %q", user, got, err, want+user)
			return
		}
	}
}

// Whoever comes and goes wakes the router of a gateway that has no other to tell once a second,
// and not every two milliseconds.
func TestWhileThereIsNobodyToTellNothingIsToldForASecond(t *testing.T) {
	n := NewNames("shop", 1)
	c := &Cluster{cfg: Config{Names: n}}
	const now = time.Hour
	n.UserCame("alice")
	if due := c.tellNames(now, false); due != never || n.local.Digest().Count != 1 {
		t.Errorf("the first: told at %v, %d known", due, n.local.Digest().Count)
	}
	n.UserCame("bob")
	<-n.wake
	for _, at := range []time.Duration{now, now + interest.Interval, now + aloneInterval - 1} {
		if due := c.tellNames(at, false); due != now+aloneInterval {
			t.Errorf("at %v the next is to be told at %v", at, due)
		}
		n.UserGone("alice")
		n.UserCame("alice")
	}
	select {
	case <-n.wake:
		t.Error("the router is woken again")
	default:
	}
	if due := c.tellNames(now+aloneInterval, false); due != never || n.local.Digest().Count != 2 {
		t.Errorf("after a second: told at %v, %d known", due, n.local.Digest().Count)
	}
}
