package directory

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"unique"

	"ws-gateway/netpoll"
)

func TestTheDirectoryKnowsExactlyWhoIsThere(t *testing.T) {
	dir := newRig(3)
	random := rand.New(rand.NewPCG(7, 8))
	model := map[string][]netpoll.ID{}
	slots := map[[2]uint32]string{}
	byID := map[[2]uint32]netpoll.ID{}
	for range 20_000 {
		loop, slot := random.Uint32N(3), random.Uint32N(300)
		at := [2]uint32{loop, slot}
		if user, ok := slots[at]; ok {
			id := byID[at]
			dir.leave(id)
			delete(slots, at)
			model[user] = slices.DeleteFunc(model[user], func(other netpoll.ID) bool { return other == id })
			if len(model[user]) == 0 {
				delete(model, user)
			}
			continue
		}
		user := fmt.Sprint("user", random.Uint32N(1+random.Uint32N(200)))
		id := dir.enter(int(loop), slot, user)
		slots[at], byID[at] = user, id
		model[user] = append(model[user], id)
	}
	for user, want := range model {
		if got := dir.members(user); !slices.Equal(got, want) {
			t.Errorf("%s has %v, want %v", user, got, want)
		}
	}
	if users := dir.Users(); users != len(model) {
		t.Errorf("%d users are counted, there are %d", users, len(model))
	}
	if l := dir.list(t, nil, 0); len(l.ids) != len(slots) {
		t.Errorf("%d are listed, there are %d", len(l.ids), len(slots))
	}
	for at := range slots {
		dir.leave(byID[at])
	}
	if l := dir.list(t, nil, 0); len(l.ids) != 0 || dir.Users() != 0 {
		t.Errorf("%d sessions and %d users are left", len(l.ids), dir.Users())
	}
}

func TestAStripeGrowsAndShrinksWithItsUsers(t *testing.T) {
	const users = 500
	dir := newRig(1)
	at, _ := dir.locate("")
	st := &dir.stripes[at]
	ids := map[string]netpoll.ID{}
	for i, name := range dir.neighbours(users) {
		ids[name] = dir.enter(0, uint32(i), name)
	}
	gone := 0
	for name, id := range ids { // in any order
		if got := dir.members(name); len(got) != 1 || got[0] != id {
			t.Fatalf("%q has %v, want %v", name, got, id)
		}
		dir.leave(id)
		if got := dir.members(name); len(got) != 0 {
			t.Fatalf("%q is gone and has %v", name, got)
		}
		if gone++; gone%50 == 0 && len(dir.list(t, nil, 7).ids) != users-gone {
			t.Fatalf("%d are gone, and the list has not %d", gone, users-gone)
		}
	}
	if len(st.entries) != 0 || len(st.buckets) != 0 {
		t.Errorf("an empty stripe keeps %d entries and %d buckets", len(st.entries), len(st.buckets))
	}
	id := dir.enter(0, 0, "")
	if got := dir.members(""); len(got) != 1 || got[0] != id {
		t.Errorf("after that, \"\" has %v", got)
	}
}

func TestTheSessionsOfAUserShareTheirStrings(t *testing.T) {
	dir := newRig(1)
	a := dir.enter(0, 0, string([]byte("alice")))
	b := dir.enter(0, 4, string([]byte("alice")))
	one, two := dir.at(refOf(a)), dir.at(refOf(b))
	if !sameMemory(one.User, two.User) || one.Agent != two.Agent {
		t.Error("what repeats is there twice")
	}
	dir.leave(a)
	if one.User != "" || one.Agent != (unique.Handle[string]{}) || one.listing() != 0 {
		t.Error("a session that is gone keeps something alive")
	}
}

func TestTimesOfJoiningIncreaseWhateverTheClockDoes(t *testing.T) {
	dir := newRig(1)
	var last int64
	for slot, now := range []int64{1000, 1000, 900, 1001, 5000, 1} {
		s := dir.session(0, uint32(slot))
		if !dir.Join(netpoll.MakeID(0, uint32(slot), 1), s, "bob", 0, now) {
			t.Fatal("not joined")
		}
		if s.connected <= last || s.connected < now {
			t.Errorf("at %d one joined at %d, after %d", now, s.connected, last)
		}
		last = s.connected
	}
}
