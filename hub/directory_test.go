package hub

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"unique"

	"ws-gateway/netpoll"
)

// members are the sessions of a user in the order of joining.
func (sim *simulation) members(user string) (ids []netpoll.ID) {
	w := sim.directory.walkUser(user)
	defer w.end()
	for w.step(3, func(_ *stripe, r ref, s *session) { ids = append(ids, r.id(s.listing().generation())) }) {
	}
	return ids
}

func TestTheDirectoryKnowsExactlyWhoIsThere(t *testing.T) {
	sim := simulate(t, 3, Config{})
	random := rand.New(rand.NewPCG(7, 8))
	model := map[string][]netpoll.ID{}
	slots := map[[2]uint32]string{}
	byID := map[[2]uint32]netpoll.ID{}
	for range 20_000 {
		loop, slot := random.Uint32N(3), random.Uint32N(300)
		at := [2]uint32{loop, slot}
		if user, ok := slots[at]; ok {
			id := byID[at]
			sim.leave(id)
			delete(slots, at)
			model[user] = slices.DeleteFunc(model[user], func(other netpoll.ID) bool { return other == id })
			if len(model[user]) == 0 {
				delete(model, user)
			}
			continue
		}
		user := fmt.Sprint("user", random.Uint32N(1+random.Uint32N(200)))
		id := sim.mustEnter(t, int(loop), slot, user)
		slots[at], byID[at] = user, id
		model[user] = append(model[user], id)
	}
	for user, want := range model {
		if got := sim.members(user); !slices.Equal(got, want) {
			t.Errorf("%s has %v, want %v", user, got, want)
		}
	}
	if connections, users := sim.Count(); connections != len(slots) || users != len(model) {
		t.Errorf("%d connections and %d users are counted, there are %d and %d", connections, users, len(slots), len(model))
	}
	if l := sim.list(t, nil, 0); len(l.ids) != len(slots) {
		t.Errorf("%d are listed, there are %d", len(l.ids), len(slots))
	}
	for at := range slots {
		sim.leave(byID[at])
	}
	if connections, users := sim.Count(); connections != 0 || users != 0 {
		t.Errorf("%d connections and %d users are left", connections, users)
	}
}

// neighbours are users of the same stripe as the user "".
func (sim *simulation) neighbours(n int) (names []string) {
	wanted, _ := sim.directory.locate("")
	for i := 0; len(names) < n; i++ {
		name := fmt.Sprint(i)
		if at, _ := sim.directory.locate(name); at == wanted {
			names = append(names, name)
		}
	}
	return names
}

func TestAStripeGrowsAndShrinksWithItsUsers(t *testing.T) {
	const users = 500
	sim := simulate(t, 1, Config{})
	at, _ := sim.directory.locate("")
	st := &sim.directory.stripes[at]
	ids := map[string]netpoll.ID{}
	for i, name := range sim.neighbours(users) {
		ids[name] = sim.mustEnter(t, 0, uint32(i), name)
	}
	gone := 0
	for name, id := range ids { // in any order
		if got := sim.members(name); len(got) != 1 || got[0] != id {
			t.Fatalf("%q has %v, want %v", name, got, id)
		}
		sim.leave(id)
		if got := sim.members(name); len(got) != 0 {
			t.Fatalf("%q is gone and has %v", name, got)
		}
		if gone++; gone%50 == 0 && len(sim.list(t, nil, 7).ids) != users-gone {
			t.Fatalf("%d are gone, and the list has not %d", gone, users-gone)
		}
	}
	if len(st.entries) != 0 || len(st.buckets) != 0 {
		t.Errorf("an empty stripe keeps %d entries and %d buckets", len(st.entries), len(st.buckets))
	}
	id := sim.mustEnter(t, 0, 0, "")
	if got := sim.members(""); len(got) != 1 || got[0] != id {
		t.Errorf("after that, \"\" has %v", got)
	}
}

func TestTheSessionsOfAUserShareTheirStrings(t *testing.T) {
	sim := simulate(t, 1, Config{})
	a := sim.mustEnter(t, 0, 0, string([]byte("alice")))
	b := sim.mustEnter(t, 0, 4, string([]byte("alice")))
	one, two := sim.directory.at(refOf(a)), sim.directory.at(refOf(b))
	if !sameMemory(one.user, two.user) || one.agent != two.agent {
		t.Error("what repeats is there twice")
	}
	sim.leave(a)
	if one.user != "" || one.agent != (unique.Handle[string]{}) || one.listing() != 0 {
		t.Error("a session that is gone keeps something alive")
	}
}

func TestTimesOfJoiningIncreaseWhateverTheClockDoes(t *testing.T) {
	sim := simulate(t, 1, Config{})
	var last int64
	for slot, now := range []int64{1000, 1000, 900, 1001, 5000, 1} {
		s := sim.session(0, uint32(slot))
		if !sim.directory.join(netpoll.MakeID(0, uint32(slot), 1), s, "bob", 0, now) {
			t.Fatal("not joined")
		}
		if s.connected <= last || s.connected < now {
			t.Errorf("at %d one joined at %d, after %d", now, s.connected, last)
		}
		last = s.connected
	}
}

// session is a session in a slot, in use or not.
func (sim *simulation) session(loop int, slot uint32) *session {
	ls := sim.loops[loop]
	ls.sessions.Grow(slot)
	return ls.sessions.At(slot)
}

func TestLimitsHoldWhileSeveralLoopsAdmit(t *testing.T) {
	for name, c := range map[string]struct {
		cfg     Config
		refused admission
	}{
		"of the gateway": {Config{MaxConnections: 10}, full},
		"of a user":      {Config{MaxConnectionsPerUser: 10}, userFull},
	} {
		t.Run(name, func(t *testing.T) {
			const loops = 4
			sim := simulate(t, loops, c.cfg)
			var inside, most, refused atomic.Int64
			var wg sync.WaitGroup
			for loop := range loops {
				wg.Go(func() {
					random := rand.New(rand.NewPCG(9, uint64(loop)))
					ids := map[uint32]netpoll.ID{}
					for range 5_000 {
						slot := random.Uint32N(8)
						if id, ok := ids[slot]; ok {
							inside.Add(-1)
							sim.leave(id)
							delete(ids, slot)
							continue
						}
						switch id, got := sim.enter(loop, slot, "carol"); got {
						case admitted:
							ids[slot] = id
							if n := inside.Add(1); n > most.Load() {
								most.Store(n)
							}
						case c.refused:
							refused.Add(1)
						default:
							t.Errorf("refused with %d", got)
						}
					}
				})
			}
			wg.Wait()
			if most.Load() > 10 || refused.Load() == 0 {
				t.Errorf("%d were inside at a time, %d were refused", most.Load(), refused.Load())
			}
			if connections, _ := sim.Count(); int64(connections) != inside.Load() {
				t.Errorf("%d are counted, %d are inside", connections, inside.Load())
			}
		})
	}
}

func TestGetFindsWhoIsThereAndNobodyElse(t *testing.T) {
	sim := simulate(t, 2, Config{})
	id := sim.mustEnter(t, 1, 9, "dave")
	info, ok := sim.Get(sim.public(id))
	if !ok || info.User != "dave" || info.ID != sim.public(id) || info.UserAgent != agents[1] ||
		info.RemoteAddr != "127.0.0.9:9" || info.ConnectedAt.IsZero() {
		t.Errorf("%+v, %v", info, ok)
	}
	sim.leave(id)
	reused := sim.mustEnter(t, 1, 9, "erin")
	for name, other := range map[string]string{
		"gone, its slot reused": sim.public(id),
		"slot never used":       sim.public(netpoll.MakeID(1, 70_000, 1)),
		"loop that is not":      sim.public(netpoll.MakeID(2, 9, 1)),
		"garbage":               "x",
	} {
		if info, ok := sim.Get(other); ok {
			t.Errorf("%s: %+v", name, info)
		}
	}
	if info, ok := sim.Get(sim.public(reused)); !ok || info.User != "erin" {
		t.Errorf("%+v, %v", info, ok)
	}
}
