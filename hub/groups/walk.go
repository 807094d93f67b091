package groups

// Walk goes through the members of groups. While it is under way others may join and
// leave: a connection that is in one of the groups throughout is met exactly once.
//
// A member that leaves moves the walks that stand at it on, and those who join a
// group do so before its first member, behind every walk that is in it. If there are
// several groups a stamp for each slot says who has been met; there is one such walk
// at a time, because a loop finishes a task before it begins the next.
type Walk struct {
	t     *Table
	names []Name // still to be walked through
	at    uint32 // the next member's record
	stamp uint32 // 0: there is one group
}

// Walk begins a walk. It must be walked to its end.
func (t *Table) Walk(names []Name) *Walk {
	w := &Walk{t: t, names: names}
	if len(names) > 1 {
		w.stamp = t.nextStamp()
	}
	t.walks = append(t.walks, w)
	return w
}

// Next takes one step, which is O(1). It meets the connection in slot unless found
// is false. more is false behind the last step.
func (w *Walk) Next() (slot uint32, found, more bool) {
	t := w.t
	if w.at == 0 {
		if len(w.names) == 0 {
			t.forget(w)
			return 0, false, false
		}
		if g := t.find(w.names[0]); g != 0 {
			w.at = t.groups.at(g).first
		}
		w.names = w.names[1:]
		return 0, false, true
	}
	r := t.records.at(w.at)
	w.at = r.next
	return r.slot, w.stamp == 0 || t.put(w.stamp, r.slot), true
}

func (t *Table) forget(w *Walk) {
	for i, other := range t.walks {
		if other == w {
			last := len(t.walks) - 1
			t.walks[i], t.walks[last] = t.walks[last], nil
			t.walks = t.walks[:last]
			return
		}
	}
}

func (t *Table) nextStamp() uint32 {
	if t.stamp++; t.stamp == 0 {
		for _, c := range t.stamps.list {
			clear(c[:])
		}
		t.stamp = 1
	}
	return t.stamp
}

// put reports whether the slot did not have the stamp.
func (t *Table) put(stamp, slot uint32) bool {
	t.spend(t.stamps.grow(slot))
	at := t.stamps.at(slot)
	if *at == stamp {
		return false
	}
	*at = stamp
	return true
}
