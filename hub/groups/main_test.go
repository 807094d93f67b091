package groups

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// rig is the tables of some loops, and the places of memberships that their sessions
// would have.
type rig struct {
	*Directory
	tables []*Table
	heads  [][]uint32
}

func newRig(loops, slots int) *rig {
	r := &rig{Directory: NewDirectory()}
	r.SetLimit(1 << 40)
	for loop := range loops {
		heads := make([]uint32, slots)
		r.heads = append(r.heads, heads)
		r.tables = append(r.tables, NewTable(r.Directory, loop, func(slot uint32) *uint32 { return &heads[slot] }))
	}
	return r
}

func (r *rig) join(loop int, slot uint32, names ...string) (joined int) {
	joined, _ = r.tables[loop].Join(slot, r.Names(names), 1<<20)
	return joined
}

func (r *rig) leave(loop int, slot uint32, names ...string) int {
	return r.tables[loop].Leave(slot, r.Names(names))
}

// members are those that a walk through the groups meets.
func (r *rig) members(t *testing.T, loop int, names ...string) (slots []uint32) {
	t.Helper()
	w := r.tables[loop].Walk(r.Names(names))
	for {
		slot, found, more := w.Next()
		if !more {
			break
		}
		if found {
			slots = append(slots, slot)
		}
	}
	slices.Sort(slots)
	return slots
}

func (r *rig) loopsOf(name string) (loops []int) {
	r.Loops(r.Name(name), func(loop int) { loops = append(loops, loop) })
	slices.Sort(loops)
	return loops
}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, seed+1)) }
