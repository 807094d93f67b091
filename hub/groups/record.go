package groups

// record is a membership. It is in two lists: that of its group, and that of its
// connection, which begins where the Table's head says. 0 is no record.
//
// The two lists take the 16 bytes that an array for each group and a way back from
// it would take, without an allocator for arrays and the room in them that is not
// used; and a walk through a list can stand at a member while others come and go.
type record struct {
	slot  uint32 // the connection
	group uint32

	next, prev    uint32 // of the group: newest first
	after, before uint32 // of the connection: newest first
}

// insert makes slot a member of group g.
func (t *Table) insert(slot, g uint32) {
	t.members++
	r := t.members
	t.spend(t.records.grow(r))
	head, in := t.head(slot), t.groups.at(g)
	*t.records.at(r) = record{slot: slot, group: g, next: in.first, after: *head}
	if in.first != 0 {
		t.records.at(in.first).prev = r
	}
	if *head != 0 {
		t.records.at(*head).before = r
	}
	in.first, *head = r, r
	if in.count++; in.count == 1 {
		t.dir.appear(in.hash, t.loop)
		if w := t.dir.watcher; w != nil {
			w.GroupCame(string(t.names.text(in.name)))
		}
	}
}

// remove ends membership r. The last record takes its place, so that the array is
// always full. It is O(1).
func (t *Table) remove(r uint32) {
	gone := *t.records.at(r)
	for _, w := range t.walks {
		if w.at == r {
			w.at = gone.next
		}
	}
	t.unlink(&gone)
	last := t.members
	t.members--
	if r != last {
		t.move(last, r)
	}
	t.spend(-t.records.cut(last - 1))
	if in := t.groups.at(gone.group); in.count == 1 {
		t.destroy(gone.group)
	} else {
		in.count--
	}
}

// unlink takes a record out of its lists.
func (t *Table) unlink(r *record) {
	*t.toMember(r) = r.next
	*t.toOwn(r) = r.after
	if r.next != 0 {
		t.records.at(r.next).prev = r.prev
	}
	if r.after != 0 {
		t.records.at(r.after).before = r.before
	}
}

// toMember is the link of the group's list that leads to r.
func (t *Table) toMember(r *record) *uint32 {
	if r.prev != 0 {
		return &t.records.at(r.prev).next
	}
	return &t.groups.at(r.group).first
}

// toOwn is the link of the connection's list that leads to r.
func (t *Table) toOwn(r *record) *uint32 {
	if r.before != 0 {
		return &t.records.at(r.before).after
	}
	return t.head(r.slot)
}

// move gives a record another place.
func (t *Table) move(from, to uint32) {
	r := t.records.at(to)
	*r = *t.records.at(from)
	*t.toMember(r), *t.toOwn(r) = to, to
	if r.next != 0 {
		t.records.at(r.next).prev = to
	}
	if r.after != 0 {
		t.records.at(r.after).before = to
	}
	for _, w := range t.walks {
		if w.at == from {
			w.at = to
		}
	}
}
