package hub

import (
	"fmt"
	"net/netip"
	"testing"

	"ws-gateway/netpoll"
)

// simulation is a Simulation for tests, whose sessions need only a user.
type simulation struct{ *Simulation }

func simulate(t testing.TB, loops int, cfg Config) *simulation {
	t.Helper()
	sim, err := NewSimulation(cfg, loops)
	if err != nil {
		t.Fatal(err)
	}
	return &simulation{sim}
}

var agents = []string{
	"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
	"LarePass/1.4 (Android 15)",
	"",
}

// enter opens a session in a slot that is free. As for a real loop, calls for
// one loop come from one goroutine.
func (sim *simulation) enter(loop int, slot uint32, user string) (netpoll.ID, admission) {
	return sim.admit(loop, slot, profile{
		user: user, agent: agents[int(slot)%len(agents)],
		remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(slot >> 16), byte(slot >> 8), byte(slot)}), uint16(slot)),
	})
}

func (sim *simulation) mustEnter(t testing.TB, loop int, slot uint32, user string) netpoll.ID {
	t.Helper()
	id, got := sim.enter(loop, slot, user)
	if got != admitted {
		t.Fatalf("slot %d of loop %d was not admitted: %d", slot, loop, got)
	}
	return id
}

func (sim *simulation) leave(id netpoll.ID) { sim.Leave(id) }

func (sim *simulation) public(id netpoll.ID) string { return string(sim.instance.appendID(nil, id)) }

// heard is what a run of List said, checked for what no run may say.
type heard struct {
	ids   map[string]string // user by id
	order []string          // ids
	left  map[string]bool   // users that were listed and left
	user  string
	any   bool
}

func newHeard() *heard { return &heard{ids: map[string]string{}, left: map[string]bool{}} }

func (l *heard) yield(user string, conns []Info) error {
	if l.any && user != l.user {
		l.left[l.user] = true
	}
	if l.left[user] {
		return fmt.Errorf("user %q comes a second time", user)
	}
	if len(conns) == 0 {
		return fmt.Errorf("user %q has no connection", user)
	}
	l.user, l.any = user, true
	for _, c := range conns {
		if _, ok := l.ids[c.ID]; ok {
			return fmt.Errorf("connection %s comes a second time", c.ID)
		}
		if c.User != user {
			return fmt.Errorf("connection %s of %q is listed under %q", c.ID, c.User, user)
		}
		l.ids[c.ID] = user
		l.order = append(l.order, c.ID)
	}
	return nil
}

// list lists everything, in pages of limit, which 0 makes one.
func (sim *simulation) list(t testing.TB, users []string, limit int) *heard {
	t.Helper()
	l := newHeard()
	q := Query{Users: users, Limit: limit}
	for {
		before := len(l.order)
		next, err := sim.List(q, l.yield)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(l.order) - before; limit > 0 && (n > limit || next != "" && n < limit) {
			t.Fatalf("a page of %d has %d connections, and the next one is %q", limit, n, next)
		}
		if next == "" {
			return l
		}
		q.Cursor = next
	}
}

// A user who is named often is looked for once: its connections as often as its name
// would be memory without bound.
func TestAUserNamedAgainAndAgainIsLookedForOnce(t *testing.T) {
	const sessions, times = 1000, 1000
	sim := simulate(t, 1, Config{})
	for n := range uint32(sessions) {
		sim.mustEnter(t, 0, n, "many")
	}
	users := make([]string, times)
	for i := range users {
		users[i] = []string{"many", "nobody"}[i%2]
	}
	for _, targets := range []Targets{{Users: users}, {Users: users, Exclude: []string{"x"}}, {Conn: sim.public(netpoll.MakeID(0, 0, 1)), Users: users}} {
		ids := sim.resolve(targets).ids[0]
		if len(ids) != sessions || cap(ids) > 4*sessions {
			t.Errorf("%d ids, room for %d", len(ids), cap(ids))
		}
	}
}
