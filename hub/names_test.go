package hub

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"ws-gateway/netpoll"
)

// register is a Names that keeps who is there, and counts what must not happen.
type register struct {
	mu     sync.Mutex
	users  map[string]bool
	groups map[string]int // loops that have it
	wrong  []string
}

func newRegister() *register {
	return &register{users: map[string]bool{}, groups: map[string]int{}}
}

func (r *register) UserCame(name string) { r.user(name, true) }
func (r *register) UserGone(name string) { r.user(name, false) }

func (r *register) user(name string, here bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.users[name] == here {
		r.wrong = append(r.wrong, fmt.Sprintf("%q, here: %v, a second time", name, here))
	}
	r.users[name] = here
}

func (r *register) GroupCame(name string) { r.group(name, 1) }
func (r *register) GroupGone(name string) { r.group(name, -1) }

func (r *register) group(name string, by int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.groups[name] += by; r.groups[name] < 0 {
		r.wrong = append(r.wrong, fmt.Sprintf("group %q has gone and was not here", name))
	}
}

// here returns the names that are there.
func (r *register) here() (users, groups []string, wrong []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, here := range r.users {
		if here {
			users = append(users, name)
		}
	}
	for name, loops := range r.groups {
		if loops > 0 {
			groups = append(groups, fmt.Sprint(name, " on ", loops))
		}
	}
	slices.Sort(users)
	slices.Sort(groups)
	return users, groups, r.wrong
}

// A few users come and go on all loops at once. What is told last is what is there.
func TestNamesAreToldOfUsersInTheOrderOfTheDirectory(t *testing.T) {
	const loops, turns, users = 4, 5000, 3
	names := newRegister()
	sim := simulate(t, loops, Config{Names: names})
	inside := make([]map[netpoll.ID]string, loops)
	var running sync.WaitGroup
	for loop := range loops {
		inside[loop] = map[netpoll.ID]string{}
		running.Go(func() {
			random := rand.New(rand.NewPCG(uint64(loop), 4))
			for range turns {
				if slot := uint32(random.IntN(4)); !sim.occupied(slot, inside[loop]) {
					user := fmt.Sprint("user-", random.IntN(users))
					inside[loop][sim.mustEnter(t, loop, slot, user)] = user
				}
				for id := range inside[loop] {
					if random.IntN(2) == 0 {
						sim.leave(id)
						delete(inside[loop], id)
					}
				}
			}
		})
	}
	running.Wait()
	var want []string
	for _, ids := range inside {
		for _, user := range ids {
			want = append(want, user)
		}
	}
	slices.Sort(want)
	want = slices.Compact(want)
	if got, _, wrong := names.here(); !slices.Equal(got, want) || wrong != nil {
		t.Errorf("told that %v are there, want %v; %v", got, want, wrong)
	}
}

func (sim *simulation) occupied(slot uint32, inside map[netpoll.ID]string) bool {
	for id := range inside {
		if id.Slot() == slot {
			return true
		}
	}
	return false
}

// When a user is told to have come, who looks for it finds it: it does not take a lock
// that the call holds before the directory has changed.
func TestAUserIsFoundAsSoonAsItIsToldToHaveCome(t *testing.T) {
	const users = 2000
	came := make(cameOnly, users) // a call must not wait
	sim := simulate(t, 1, Config{Names: came})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for user := range came {
			if n := len(sim.resolve(Targets{Users: []string{user}}).ids[0]); n != 1 {
				t.Errorf("%d connections of %q", n, user)
			}
		}
	}()
	for n := range uint32(users) {
		sim.mustEnter(t, 0, n, fmt.Sprint("user-", n))
	}
	close(came)
	<-done
}

type cameOnly chan string

func (c cameOnly) UserCame(name string) { c <- name }
func (c cameOnly) UserGone(string)      {}
func (c cameOnly) GroupCame(string)     {}
func (c cameOnly) GroupGone(string)     {}

func TestNamesAreToldOfGroupsAsLoopsGetAndLoseMembers(t *testing.T) {
	names := newRegister()
	g := start(t, Config{Names: names}, netpoll.Config{Loops: 1})
	a, b := g.dial("alice"), g.dial("bob")
	check := func(what string, want ...string) {
		t.Helper()
		if _, got, wrong := names.here(); !slices.Equal(got, want) || wrong != nil {
			t.Errorf("%s: %v, want %v; %v", what, got, want, wrong)
		}
	}
	g.join(Targets{Conn: a.id}, "red", "blue")
	check("after a join", "blue on 1", "red on 1")
	g.join(Targets{Conn: b.id}, "red")
	g.leave(Targets{Conn: a.id}, "red")
	check("with another member", "blue on 1", "red on 1")
	g.leave(Targets{Conn: b.id}, "red")
	check("without members", "blue on 1")
	if _, err := g.Close(context.Background(), Targets{Conn: a.id}, 1000, ""); err != nil {
		t.Fatal(err)
	}
	check("after a close")
	if users, _, _ := names.here(); !slices.Equal(users, []string{"bob"}) {
		t.Errorf("%v are there", users)
	}
}

func TestNamesAreToldOfAGroupForEachLoop(t *testing.T) {
	names := newRegister()
	g := start(t, Config{Names: names}, netpoll.Config{Loops: 3})
	on := map[int][]string{} // connections by loop
	for len(on) < 3 {
		c := g.dial("alice")
		id, _ := g.parse(c.id)
		on[id.Loop()] = append(on[id.Loop()], c.id)
	}
	g.join(Targets{All: true}, "red")
	if _, got, wrong := names.here(); !slices.Equal(got, []string{"red on 3"}) || wrong != nil {
		t.Errorf("%v, %v", got, wrong)
	}
	g.leave(Targets{Conns: on[1]}, "red")
	if _, got, wrong := names.here(); !slices.Equal(got, []string{"red on 2"}) || wrong != nil {
		t.Errorf("%v, %v", got, wrong)
	}
}

func TestWhoHasOpenedTooLateIsNoTarget(t *testing.T) {
	sim := simulate(t, 1, Config{Names: newRegister()})
	now := time.Minute
	sim.clock = func() time.Duration { return now }
	sim.mustEnter(t, 0, 3, "alice")
	now += time.Second
	for age, want := range map[time.Duration]bool{0: false, time.Nanosecond: false, time.Second: false, time.Second + 1: true, time.Hour: true} {
		a := sim.resolve(Targets{All: true, OpenFor: age})
		if got := a.tooYoung(sim.loops[0], 3); got != want {
			t.Errorf("open for a second, which is too young for %v: %v", age, got)
		}
	}
	plain := simulate(t, 1, Config{})
	plain.mustEnter(t, 0, 3, "alice")
	if a := plain.resolve(Targets{All: true, OpenFor: time.Hour}); a.tooYoung(plain.loops[0], 3) {
		t.Error("a hub without Names knows how long a connection has been open")
	}
}

func TestASendReachesOnlyWhoHasBeenOpenForSoLong(t *testing.T) {
	g := start(t, Config{Names: newRegister()}, netpoll.Config{})
	c := g.dial("alice")
	for _, targets := range []Targets{{All: true}, {Users: []string{"alice"}}, {Conn: c.id}} {
		for age, want := range map[time.Duration]int{0: 1, 1: 1, time.Hour: 0} {
			targets.OpenFor = age
			report, err := g.Send(context.Background(), targets, netpoll.NewFrame(ws.OpText, []byte("hello")), true)
			if err != nil || report.Matched != want || report.Queued != want {
				t.Errorf("%+v: %+v, %v; want %d", targets, report, err, want)
			}
		}
	}
}
