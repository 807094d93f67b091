package groups

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// model is what is obviously right: for each loop and slot the groups.
type model []map[uint32]map[string]bool

func newModel(loops int) model {
	m := make(model, loops)
	for i := range m {
		m[i] = map[uint32]map[string]bool{}
	}
	return m
}

func (m model) members(loop int, names ...string) (slots []uint32) {
	for slot, in := range m[loop] {
		if slices.ContainsFunc(names, func(n string) bool { return in[n] }) {
			slots = append(slots, slot)
		}
	}
	slices.Sort(slots)
	return slots
}

func TestATableKnowsExactlyWhoIsInWhichGroup(t *testing.T) {
	const loops, slots, most = 3, 40, 2_000
	rig, want, rnd := newRig(loops, slots), newModel(loops), random(1)
	name := func() string {
		n := rnd.IntN(1 + rnd.IntN(most))
		return fmt.Sprint("room-", n, strings.Repeat("x", n%7*30))
	}
	for turn := range 15_000 {
		loop, slot := rnd.IntN(loops), rnd.Uint32N(slots)
		in := want[loop][slot]
		if in == nil {
			in = map[string]bool{}
			want[loop][slot] = in
		}
		switch rnd.IntN(20) {
		default:
			var names []string
			for range rnd.IntN(8) {
				names = append(names, name())
			}
			before := len(in)
			for _, n := range names {
				in[n] = true
			}
			if joined := rig.join(loop, slot, names...); joined != len(in)-before {
				t.Fatalf("turn %d: %d joined, want %d", turn, joined, len(in)-before)
			}
		case 0, 1, 2, 3, 4, 5, 6, 7:
			var names []string
			for n := range in {
				if rnd.IntN(3) > 0 {
					names = append(names, n)
				}
			}
			names = append(names, name())
			before := len(in)
			for _, n := range names {
				delete(in, n)
			}
			if left := rig.leave(loop, slot, names...); left != before-len(in) {
				t.Fatalf("turn %d: %d left, want %d", turn, left, before-len(in))
			}
		case 8, 9, 10:
			if left := rig.tables[loop].LeaveAll(slot); left != len(in) {
				t.Fatalf("turn %d: %d left, want %d", turn, left, len(in))
			}
			clear(in)
		}
		if turn%200 == 0 {
			rig.compare(t, want, name(), name(), name())
		}
	}
	for loop := range loops {
		for slot := range uint32(slots) {
			rig.tables[loop].LeaveAll(slot)
		}
	}
	if rig.Groups() != 0 {
		t.Errorf("%d groups are left", rig.Groups())
	}
	for i := range rig.tables {
		if n := rig.tables[i].count; n != 0 {
			t.Errorf("loop %d has %d groups left", i, n)
		}
	}
}

// compare holds what the tables say to the model.
func (r *rig) compare(t *testing.T, want model, some ...string) {
	t.Helper()
	all, memberships := map[string]int{}, make([]int, len(want))
	for loop := range want {
		for slot, in := range want[loop] {
			var names []string
			for n := range in {
				names = append(names, n)
				all[n]++
			}
			memberships[loop] += len(in)
			got := r.tables[loop].GroupsOf(nil, slot)
			if r.tables[loop].InAny(slot, r.Names(some)) != slices.ContainsFunc(some, func(n string) bool { return in[n] }) {
				t.Fatalf("loop %d, slot %d is in %q: is it in any of %q?", loop, slot, names, some)
			}
			slices.Sort(got)
			slices.Sort(names)
			if !slices.Equal(got, names) {
				t.Fatalf("slot %d of loop %d is in %q, want %q", slot, loop, got, names)
			}
		}
		if n := r.tables[loop].Members(); n != memberships[loop] {
			t.Fatalf("loop %d has %d memberships, want %d", loop, n, memberships[loop])
		}
		if got, want := r.members(t, loop, some...), want.members(loop, some...); !slices.Equal(got, want) {
			t.Fatalf("the members of %q on loop %d are %v, want %v", some, loop, got, want)
		}
		if got, want := r.members(t, loop, some[0]), want.members(loop, some[0]); !slices.Equal(got, want) {
			t.Fatalf("the members of %q on loop %d are %v, want %v", some[0], loop, got, want)
		}
	}
	if r.Groups() != len(all) {
		t.Fatalf("there are %d groups, want %d", r.Groups(), len(all))
	}
	listed := map[string]int{}
	for after := uint64(0); ; {
		hashes := r.Hashes(nil, after, 7)
		if len(hashes) == 0 {
			break
		}
		for _, hash := range hashes {
			if hash <= after {
				t.Fatal("hashes do not ascend")
			}
			after = hash
			r.LoopsOf(hash, func(loop int) {
				r.tables[loop].Lookup(hash, func(name []byte, n int) { listed[string(name)] += n })
			})
		}
	}
	for n, size := range all {
		if listed[n] != size {
			t.Fatalf("%q is listed with %d members, want %d", n, listed[n], size)
		}
	}
	if len(listed) != len(all) {
		t.Fatalf("%d groups are listed, want %d", len(listed), len(all))
	}
	for _, n := range some {
		var loops []int
		for loop := range want {
			if len(want.members(loop, n)) > 0 {
				loops = append(loops, loop)
			}
		}
		if got := r.loopsOf(n); !slices.Equal(got, loops) {
			t.Fatalf("%q is on the loops %v, want %v", n, got, loops)
		}
	}
}

func TestAWalkMeetsThoseWhoAreThereThroughoutOnce(t *testing.T) {
	const slots = 60
	for seed := range uint64(300) {
		rig, rnd := newRig(1, slots), random(seed)
		names := []string{"a", "b", "c"}[:1+rnd.IntN(3)]
		throughout := map[uint32]bool{}
		for slot := range uint32(slots) {
			for _, n := range names {
				if rnd.IntN(2) == 0 {
					rig.join(0, slot, n)
					throughout[slot] = true
				}
			}
			rig.join(0, slot, "other")
		}
		met := map[uint32]int{}
		w := rig.tables[0].Walk(rig.Names(names))
		for {
			slot, found, more := w.Next()
			if !more {
				break
			}
			if found {
				met[slot]++
			}
			for range rnd.IntN(3) {
				other := rnd.Uint32N(slots)
				switch rnd.IntN(3) {
				case 0: // it is in none of them for a while
					rig.leave(0, other, names...)
					delete(throughout, other)
				case 1:
					rig.tables[0].LeaveAll(other)
					delete(throughout, other)
				case 2:
					if !throughout[other] {
						rig.join(0, other, names[rnd.IntN(len(names))])
					}
				}
			}
		}
		for slot := range throughout {
			if met[slot] != 1 {
				t.Fatalf("seed %d: slot %d was a member throughout and met %d times", seed, slot, met[slot])
			}
		}
		if len(rig.tables[0].walks) != 0 {
			t.Fatal("a walk that has ended is remembered")
		}
	}
}

func TestTwoNamesWithOneHashAreTwoGroups(t *testing.T) {
	rig := newRig(2, 4)
	a, b := Name{"a", 77}, Name{"b", 77}
	rig.tables[0].Join(1, []Name{a}, 10)
	rig.tables[0].Join(2, []Name{b}, 10)
	rig.tables[1].Join(3, []Name{a}, 10)
	if got := rig.tables[0].GroupsOf(nil, 2); !slices.Equal(got, []string{"b"}) {
		t.Errorf("slot 2 is in %q", got)
	}
	if left := rig.tables[0].Leave(2, []Name{a}); left != 0 {
		t.Error("slot 2 left a group that it was not in")
	}
	rig.tables[0].Leave(1, []Name{a, b})
	count := 0
	rig.Loops(b, func(int) { count++ })
	if count != 2 {
		t.Errorf("b has members on a loop that does not count: %d", count)
	}
	rig.tables[0].LeaveAll(2)
	count = 0
	rig.Loops(b, func(int) { count++ })
	if count != 1 {
		t.Errorf("%d loops have members, want 1", count)
	}
}

func TestMemoryIsGivenBack(t *testing.T) {
	rig := newRig(1, 1)
	slots := make([]uint32, 50_000)
	rig.tables[0].head = func(slot uint32) *uint32 { return &slots[slot] }
	for slot := range uint32(len(slots)) {
		rig.join(0, slot, fmt.Sprintf("room-%011d", slot))
	}
	full := rig.Bytes()
	if each := full / int64(len(slots)); each > 160 {
		t.Errorf("a group of one takes %d bytes", each)
	}
	for slot := range slots {
		if slot%10 != 0 {
			rig.tables[0].LeaveAll(uint32(slot))
		}
	}
	if rest := rig.Bytes(); rest > full/2 {
		t.Errorf("a tenth of %d bytes takes %d", full, rest)
	}
	for slot := range slots {
		rig.tables[0].LeaveAll(uint32(slot))
	}
	if rest := rig.Bytes(); rest != 0 {
		t.Errorf("%d bytes are left of nothing", rest)
	}
	for i := range 3_000 { // one group after the other
		rig.join(0, 0, fmt.Sprintf("room-%d", i))
		rig.tables[0].LeaveAll(0)
	}
	if rest := rig.Bytes(); rest != 0 {
		t.Errorf("of one group at a time %d bytes are left", rest)
	}
}

func TestTablesWithoutGroupsLeaveAllMemoryToOthers(t *testing.T) {
	const limit = 1 << 20
	rig := newRig(maxLoops, 1)
	rig.SetLimit(limit)
	for loop := range maxLoops {
		rig.join(loop, 0, "room")
	}
	for loop := range maxLoops {
		rig.leave(loop, 0, "room")
	}
	if !rig.Reserve(limit) {
		t.Errorf("without a group %d of %d bytes are taken", rig.Bytes(), limit)
	}
}

func TestALimitIsKeptAndWhatIsOverIsCounted(t *testing.T) {
	rig := newRig(1, 2)
	names := []Name{rig.Name("a"), rig.Name("b"), rig.Name("a"), rig.Name("c"), rig.Name("d")}
	if joined, over := rig.tables[0].Join(0, names, 3); joined != 3 || over != 1 {
		t.Errorf("%d joined, %d over", joined, over)
	}
	got := rig.tables[0].GroupsOf(nil, 0)
	slices.Sort(got)
	if !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("joined %q", got)
	}
	if n := rig.tables[0].Need(0, names); n.Groups != 4 || n.Missing != 1 || n.Bytes != recordBytes {
		t.Errorf("need %+v", n)
	}
}

func TestMemoryThatIsReservedIsNotGivenAwayTwice(t *testing.T) {
	d := NewDirectory()
	d.SetLimit(100)
	if !d.Reserve(60) || d.Reserve(60) || !d.Reserve(40) || !d.Reserve(0) {
		t.Error("not 100 bytes were given away")
	}
	d.Release(60)
	if !d.Reserve(60) {
		t.Error("what was released is not there")
	}
}

func TestMarksAndStampsMayRunOver(t *testing.T) {
	rig := newRig(1, 4)
	for slot := range uint32(4) {
		rig.join(0, slot, "a", "b")
	}
	rig.members(t, 0, "a", "b")
	rig.tables[0].marked, rig.tables[0].stamp = ^uint32(0)-1, ^uint32(0)-1
	for range 4 {
		if got := rig.members(t, 0, "a", "b"); len(got) != 4 {
			t.Errorf("met %v", got)
		}
		if joined := rig.join(0, 0, "a", "b", "a"); joined != 0 {
			t.Errorf("joined %d groups twice", joined)
		}
	}
}
