package hubsim

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"ws-gateway/bench/report"
	"ws-gateway/hub/groups"
)

// RunGroups simulates so many sessions, each in one group of per sessions with a name
// of 16 bytes, and measures what the memberships take. Times are of one loop that has
// all of them. It changes the process's GC percentage.
func RunGroups(ctx context.Context, sessions, per int) ([]report.Figure, error) {
	if err := fits(sessions); err != nil {
		return nil, err
	}
	if per < 1 || per > sessions {
		return nil, fmt.Errorf("a group has 1 to %s sessions, not %d", report.Count(float64(sessions)), per)
	}
	debug.SetGCPercent(gcPercent)
	sim := &groupSimulation{heads: make([]uint32, sessions), per: per}
	sim.directory = groups.NewDirectory()
	sim.table = groups.NewTable(sim.directory, 0, func(slot uint32) *uint32 { return &sim.heads[slot] })
	for _, step := range []func() error{sim.fill, sim.collect, sim.walk, sim.rejoin, sim.close} {
		if err := step(); err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return sim.figures, nil
}

// groupSimulation is one under way.
type groupSimulation struct {
	directory *groups.Directory
	table     *groups.Table
	heads     []uint32 // of a session's memberships: in the hub they are in what a session has to spare
	per       int
	figures   []report.Figure
}

func (sim *groupSimulation) add(name, unit string, value float64) {
	sim.figures = append(sim.figures, report.Figure{Name: name, Unit: unit, Value: value})
}

// name is that of a session's group. The sessions of a group are spread over the
// slots, as they would be if they came in any order.
func (sim *groupSimulation) name(slot int) []groups.Name {
	return []groups.Name{sim.directory.Name(fmt.Sprintf("room-%011d", slot%max(1, len(sim.heads)/sim.per)))}
}

// timed is how many nanoseconds f takes for each session, the collector's work and the
// making of names included.
func (sim *groupSimulation) timed(f func(slot int)) float64 {
	began := time.Now()
	for slot := range sim.heads {
		f(slot)
	}
	return float64(time.Since(began).Nanoseconds()) / float64(len(sim.heads))
}

func (sim *groupSimulation) join(slot int) { sim.table.Join(uint32(slot), sim.name(slot), 100) }

func (sim *groupSimulation) fill() error {
	before, _, err := memory()
	if err != nil {
		return err
	}
	took := sim.timed(sim.join)
	after, _, err := memory()
	if err != nil {
		return err
	}
	sim.add("heap, each membership", "B", (float64(after)-float64(before))/float64(len(sim.heads)))
	sim.add("counted, each membership", "B", float64(sim.directory.Bytes())/float64(len(sim.heads)))
	sim.add("joins", "1/s", 1e9/took)
	return nil
}

// collect measures full collections: with the memberships, and how much is theirs.
func (sim *groupSimulation) collect() error {
	sim.add("full collection, CPU", "ms", fullCollection())
	return nil
}

// walk goes through all groups, as sends to them do.
func (sim *groupSimulation) walk() error {
	met, groups := 0, max(1, len(sim.heads)/sim.per)
	began := time.Now()
	for slot := range groups {
		w := sim.table.Walk(sim.name(slot))
		for {
			_, found, more := w.Next()
			if !more {
				break
			}
			if found {
				met++
			}
		}
	}
	sim.add("walk through members, each", "ns", float64(time.Since(began).Nanoseconds())/float64(met))
	if met != len(sim.heads) {
		return fmt.Errorf("%d members were met, not %d", met, len(sim.heads))
	}
	return nil
}

// rejoin has each session leave its group by a call, and join it again.
func (sim *groupSimulation) rejoin() error {
	sim.add("leave and join, each", "ns", sim.timed(func(slot int) {
		sim.table.Leave(uint32(slot), sim.name(slot))
		sim.join(slot)
	}))
	if n := sim.table.Members(); n != len(sim.heads) {
		return fmt.Errorf("there are %d memberships, not %d", n, len(sim.heads))
	}
	return nil
}

// close ends all sessions, and looks whether the memory comes back.
func (sim *groupSimulation) close() error {
	sim.add("leave at a close, each", "ns", sim.timed(func(slot int) { sim.table.LeaveAll(uint32(slot)) }))
	if bytes := sim.directory.Bytes(); bytes > 1<<20 || sim.directory.Groups() != 0 {
		return fmt.Errorf("%d bytes and %d groups are left of nothing", bytes, sim.directory.Groups())
	}
	return nil
}
