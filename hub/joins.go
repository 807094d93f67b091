package hub

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"ws-gateway/hub/groups"
)

// joins are the memberships of a loop that have begun in the last seconds. A message of
// another gateway that comes late, as that did not know of members here, must not reach
// connections that have joined since it was sent. Memberships at rest take nothing.
//
// Of more than mostJoins the first are forgotten: a message that is older than these reaches
// whoever is a member, which is counted.
type joins struct {
	all       []joined      // in the order of at; those before first are forgotten
	first     int           // of all
	forgotten time.Duration // at of the last one that was forgotten
	unknown   atomic.Uint64 // see Stats.JoinsUnknown
}

type joined struct {
	at    time.Duration // by Hub.clock
	group uint64        // its hash
	slot  uint32
}

const (
	mostJoins = 1 << 14          // 24 bytes each, in 1 MiB at most
	joinsFor  = 30 * time.Second // as old as a message is at most: twice --cluster-hold of 15 s
)

// add notes a membership that begins.
func (j *joins) add(slot uint32, group uint64, now time.Duration) {
	if len(j.all)-j.first >= mostJoins {
		j.forget(1)
	}
	j.all = append(j.all, joined{now, group, slot})
}

// forget forgets the first n.
func (j *joins) forget(n int) {
	if n == 0 {
		return
	}
	j.first += n
	j.forgotten = j.all[j.first-1].at
	switch {
	case j.first == len(j.all):
		j.all, j.first = nil, 0
	case j.first > len(j.all)/2:
		j.all, j.first = append(make([]joined, 0, len(j.all)-j.first+1), j.all[j.first:]...), 0
	}
}

// expire forgets those that began before a time.
func (j *joins) expire(before time.Duration) { j.forget(j.before(before)) }

// before is how many began before a time, of those that are not forgotten.
func (j *joins) before(at time.Duration) int {
	n, _ := slices.BinarySearchFunc(j.all[j.first:], at, func(one joined, at time.Duration) int { return cmp.Compare(one.at, at) })
	return n
}

// late are memberships that have begun too late for a message, by slot and hash of the group.
type late map[joinedAs]struct{}

type joinedAs struct {
	slot  uint32
	group uint64
}

// since returns those memberships of groups that began after a time. whole says that none of
// these is forgotten. names are in the order of Directory.Names.
func (j *joins) since(at time.Duration, names []groups.Name) (found late, whole bool) {
	for _, one := range j.all[j.first:][j.before(at+1):] {
		if _, meant := slices.BinarySearchFunc(names, one.group, func(n groups.Name, hash uint64) int { return cmp.Compare(n.Hash(), hash) }); meant {
			if found == nil {
				found = late{}
			}
			found[joinedAs{one.slot, one.group}] = struct{}{}
		}
	}
	return found, j.forgotten <= at
}

// lookForLate finds out, before each slice, who has joined the task's groups too late.
func (t *loopTask) lookForLate() {
	if t.openBy == 0 || t.groups == nil || t.ls.joins == nil {
		return
	}
	found, whole := t.ls.joins.since(t.openBy, t.groups.byLoop[t.ls.index])
	if t.late = found; !whole && t.walk == nil {
		t.ls.joins.unknown.Add(1)
	}
}

// joinedLate reports whether the connection in a slot has joined all of the task's groups that
// it is in too late to be a target.
func (t *loopTask) joinedLate(slot uint32) bool {
	if len(t.late) == 0 {
		return false
	}
	names := t.groups.byLoop[t.ls.index]
	for i := range names {
		_, since := t.late[joinedAs{slot, names[i].Hash()}]
		if !since && t.ls.groups.InAny(slot, names[i:i+1]) {
			return false
		}
	}
	return true
}
