package groups

import (
	"cmp"
	"slices"
)

// Table has the groups of one loop, whose goroutine alone may touch it. Make it with
// NewTable.
type Table struct {
	// Static.
	dir  *Directory
	loop uint8
	head func(slot uint32) *uint32

	// Joined, if it is set, is told of each membership that Join begins.
	Joined func(slot uint32, group uint64)

	records chunks[record] // the first one is none
	members uint32         // records in use: all up to this one

	groups chunks[group] // the first one is none
	top    uint32        // the last group that was ever used
	free   uint32        // first unused group, chained by chain
	count  int
	index  [stripeCount]index
	names  names

	marked uint32         // see Mark
	stamps chunks[uint32] // by slot; see Walk
	stamp  uint32
	walks  []*Walk // under way

	spent int64 // bytes
}

// NewTable returns the table of a loop. head gives the place of a slot's memberships:
// a number that is the caller's to keep and the Table's to change, and 0 when a
// connection comes into the slot.
func NewTable(dir *Directory, loop int, head func(slot uint32) *uint32) *Table {
	return &Table{dir: dir, loop: uint8(loop), head: head}
}

// Members returns how many memberships there are.
func (t *Table) Members() int { return int(t.members) }

// spend counts bytes more, or fewer.
func (t *Table) spend(bytes int64) {
	if bytes != 0 {
		t.spent += bytes
		t.dir.used.Add(bytes)
	}
}

// Need is what a join would take.
type Need struct {
	Groups  int   // in how many groups the connection would be
	Missing int   // of these, in how many it is not yet
	Bytes   int64 // for the memberships; GroupBytes says what new groups take
}

// Need says what joining would take for the connection in slot.
func (t *Table) Need(slot uint32, names []Name) (n Need) {
	mark := t.Mark()
	for r := *t.head(slot); r != 0; r = t.records.at(r).after {
		t.groups.at(t.records.at(r).group).mark = mark
		n.Groups++
	}
	for _, name := range names {
		if g := t.find(name); g == 0 || t.groups.at(g).mark != mark {
			n.Missing++
		}
	}
	n.Groups += n.Missing
	n.Bytes = int64(n.Missing) * recordBytes
	return n
}

const recordBytes = 24

// groupBytes bounds what a loop keeps of a group beside its name and members: its
// entry, the head of its name, and its places in index and directory while these
// grow.
const groupBytes = 32 + nameHead + 8 + 32

// GroupBytes bounds what a loop keeps of these groups beside their members.
func GroupBytes(names []Name) (bytes int64) {
	for _, n := range names {
		bytes += groupBytes + int64(len(n.text))
	}
	return bytes
}

// Join makes the connection in slot a member of the groups, in their order, until it
// is in limit groups. over counts those that were too many.
func (t *Table) Join(slot uint32, names []Name, limit int) (joined, over int) {
	mark, have := t.Mark(), 0
	for r := *t.head(slot); r != 0; r = t.records.at(r).after {
		t.groups.at(t.records.at(r).group).mark = mark
		have++
	}
	for _, name := range names {
		g := t.find(name)
		if g != 0 && t.groups.at(g).mark == mark {
			continue
		}
		if have >= limit {
			over++
			continue
		}
		if g == 0 {
			g = t.create(name)
		}
		t.insert(slot, g)
		t.groups.at(g).mark = mark
		have++
		joined++
		if t.Joined != nil {
			t.Joined(slot, name.hash)
		}
	}
	return joined, over
}

// Leave takes the connection in slot out of those of the groups that it is in.
// names are in the order of Directory.Names. However many they are, Leave takes
// time for the groups that the connection is in.
func (t *Table) Leave(slot uint32, names []Name) (left int) {
	for r := *t.head(slot); r != 0; {
		at := t.records.at(r)
		next := at.after
		if t.among(at.group, names) {
			if next == t.members { // the last record takes the place of the one that goes
				next = r
			}
			t.remove(r)
			left++
		}
		r = next
	}
	return left
}

// InAny reports whether the connection in slot is in one of the groups. names are in
// the order of Directory.Names.
func (t *Table) InAny(slot uint32, names []Name) bool {
	for r := *t.head(slot); r != 0; r = t.records.at(r).after {
		if t.among(t.records.at(r).group, names) {
			return true
		}
	}
	return false
}

// among reports whether g is one of names, which are sorted.
func (t *Table) among(g uint32, names []Name) bool {
	e := t.groups.at(g)
	i, _ := slices.BinarySearchFunc(names, e.hash, func(n Name, hash uint64) int { return cmp.Compare(n.hash, hash) })
	for ; i < len(names) && names[i].hash == e.hash; i++ {
		if t.names.is(e.name, names[i].text) {
			return true
		}
	}
	return false
}

// LeaveAll takes the connection in slot out of all its groups, in O(1) for each.
func (t *Table) LeaveAll(slot uint32) (left int) {
	for head := t.head(slot); *head != 0; left++ {
		t.remove(*head)
	}
	return left
}

// GroupsOf appends the names of the groups that the connection in slot is in, in no
// order.
func (t *Table) GroupsOf(dst []string, slot uint32) []string {
	for r := *t.head(slot); r != 0; r = t.records.at(r).after {
		dst = append(dst, string(t.names.text(t.groups.at(t.records.at(r).group).name)))
	}
	return dst
}

// Mark returns a mark that no group has. It means something until the next call of
// Mark, Join or Need.
func (t *Table) Mark() uint32 {
	if t.marked++; t.marked == 0 {
		for g := range t.top {
			t.groups.at(g + 1).mark = 0
		}
		t.marked = 1
	}
	return t.marked
}

// Unmarked appends the hashes of the groups that the connection in slot is in and that
// do not have the mark, and gives it to them.
func (t *Table) Unmarked(dst []uint64, slot, mark uint32) []uint64 {
	for r := *t.head(slot); r != 0; r = t.records.at(r).after {
		if e := t.groups.at(t.records.at(r).group); e.mark != mark {
			e.mark = mark
			dst = append(dst, e.hash)
		}
	}
	return dst
}

// Lookup calls visit with each group that has this hash, which is nearly always one
// at most, and the number of its members.
func (t *Table) Lookup(hash uint64, visit func(name []byte, members int)) {
	for g := t.chain(hash); g != 0; g = t.groups.at(g).chain {
		if e := t.groups.at(g); e.hash == hash {
			visit(t.names.text(e.name), int(e.count))
		}
	}
}
