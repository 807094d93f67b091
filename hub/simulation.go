package hub

import (
	"fmt"
	"net/netip"

	"ws-gateway/netpoll"
)

// Simulation is a hub whose connections are sessions alone: all of the hub but
// the sockets, for measuring it at sizes that no machine has descriptors for.
// Enter, Leave, Heard and Tick are what a loop's goroutine does; as for a real
// loop, calls for one loop must not overlap. Send and Close have no loops to go
// to and must not be called.
type Simulation struct {
	*Hub
	generation []uint32 // of the newest session, by loop
	expired    int
}

// NewSimulation simulates a hub of so many loops, 1 to netpoll.MaxLoops.
func NewSimulation(cfg Config, loops int) (*Simulation, error) {
	if loops < 1 || loops > netpoll.MaxLoops {
		return nil, fmt.Errorf("hub: a simulation has 1 to %d loops, not %d", netpoll.MaxLoops, loops)
	}
	h, err := New(cfg)
	if err != nil {
		return nil, err
	}
	sim := &Simulation{Hub: h, generation: make([]uint32, loops)}
	h.attach(make([]*netpoll.Loop, loops), func(*netpoll.Frame) {})
	for _, ls := range h.loops {
		ls.timeOut = func(uint32) { sim.expired++ }
	}
	return sim, nil
}

// Enter opens a session in a slot that is free. It returns 0 where one of the
// limits in Config keeps it out.
func (sim *Simulation) Enter(loop int, slot uint32, user, agent string, remote netip.AddrPort) netpoll.ID {
	id, outcome := sim.admit(loop, slot, profile{user: user, agent: agent, remote: remote})
	if outcome != admitted {
		return 0
	}
	return id
}

func (sim *Simulation) admit(loop int, slot uint32, p profile) (netpoll.ID, admission) {
	sim.generation[loop]++
	id := netpoll.MakeID(loop, slot, sim.generation[loop])
	return id, sim.enter(sim.loops[loop], id, p)
}

// Leave ends a session.
func (sim *Simulation) Leave(id netpoll.ID) { sim.exit(sim.loops[id.Loop()], id) }

// Heard moves a session's deadline, as a ping does.
func (sim *Simulation) Heard(loop int, slot uint32) {
	ls := sim.loops[loop]
	ls.deadlines.Set(slot, ls.deadline())
}

// Tick is Hub.Tick for second now, a slice of its work; where more is true it is
// to be called again. A session whose deadline has passed is only counted.
func (sim *Simulation) Tick(loop int, now uint32) (more bool) {
	ls := sim.loops[loop]
	ls.now = max(ls.now, now)
	return ls.deadlines.Advance(now, wheelBudget, ls.timeOut)
}

// Expired is how many deadlines have passed.
func (sim *Simulation) Expired() int { return sim.expired }

// Resolve finds out whom a send to t would go to, and returns how many
// connections that are, 0 for All.
func (sim *Simulation) Resolve(t Targets) (connections int) {
	for _, ids := range sim.resolve(t).ids {
		connections += len(ids)
	}
	return connections
}
