package hub

import (
	"net/netip"
	"testing"

	"ws-gateway/netpoll"
)

// simulation is a hub whose connections are sessions alone. Its loops have no
// goroutines: what they do the test does, and calls for one loop must not overlap.
// Send and Close have no loops to go to.
type simulation struct {
	*Hub
	generation []uint32 // of the newest session, by loop
}

func simulate(t testing.TB, loops int, cfg Config) *simulation {
	t.Helper()
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.attach(make([]*netpoll.Loop, loops), func(*netpoll.Frame) {})
	return &simulation{Hub: h, generation: make([]uint32, loops)}
}

var agents = []string{
	"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
	"LarePass/1.4 (Android 15)",
	"",
}

// enter opens a session in a slot that is free.
func (sim *simulation) enter(loop int, slot uint32, user string) (netpoll.ID, admission) {
	sim.generation[loop]++
	id := netpoll.MakeID(loop, slot, sim.generation[loop])
	return id, sim.Hub.enter(sim.loops[loop], id, handshakeFields{
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

func (sim *simulation) leave(id netpoll.ID) { sim.exit(sim.loops[id.Loop()], id) }

func (sim *simulation) public(id netpoll.ID) string { return string(sim.instance.appendID(nil, id)) }

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
