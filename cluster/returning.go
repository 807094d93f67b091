package cluster

import (
	"maps"
	"slices"
	"time"

	"ws-gateway/cluster/members"
	"ws-gateway/cluster/packet"
)

// An instance that restarts with its sessions says so, while it drains and with its goodbye.
// A client that comes here for one of them meanwhile is told to come back, and keeps its
// session; a new one would throw away what the instance has written down.

const (
	// longestReturn is for how long an instance is waited for at most: one that does not
	// come back keeps its clients waiting for so long.
	longestReturn = time.Minute

	// mostReturning is how many instances that are gone are waited for.
	mostReturning = 64
)

// returning are the instances that are gone, or not heard, and are waited for, by the number
// with which the ids of their connections begin. The router owns it.
type returning map[packet.Instance]absence

type absence struct {
	name  string
	until time.Duration
}

// left notes that a member is not heard, or gone.
func (r returning) left(m *members.Member, all *members.Members, now time.Duration) {
	if m.Returns == 0 {
		delete(r, m.Makes)
		return
	}
	for other := range all.All() {
		if other.ID != m.ID && (other.Makes == m.Makes || other.Name == m.Name) {
			return // it is back
		}
	}
	if _, known := r[m.Makes]; known {
		return
	}
	if len(r) >= mostReturning {
		r.dropFirst()
	}
	r[m.Makes] = absence{m.Name, now + min(m.Returns, longestReturn)}
}

// dropFirst drops the one whose time is over first.
func (r returning) dropFirst() {
	var id packet.Instance
	first := never
	for i, a := range r {
		if a.until < first {
			id, first = i, a.until
		}
	}
	delete(r, id)
}

// heard notes a member that is new, or heard again. If it goes on with the ids of one of
// these it has the sessions; if it has the name and other ids, nobody has them.
func (r returning) heard(m *members.Member) {
	for id, a := range r {
		if id == m.Makes || a.name == m.Name {
			delete(r, id)
		}
	}
}

// over forgets those that are not waited for any more, and reports whether there were any.
func (r returning) over(now time.Duration) bool {
	before := len(r)
	maps.DeleteFunc(r, func(_ packet.Instance, a absence) bool { return a.until <= now })
	return len(r) < before
}

// addTo adds those that are waited for to a view. Those that are gone are missing: their
// sessions go on, and nothing reaches these until then.
func (r returning) addTo(v *view, all *members.Members) {
	for id, a := range r {
		v.awaits(id, a.until)
		if !hasSessions(all, id) {
			if v.away == nil {
				v.away = map[packet.Instance]string{}
			}
			v.away[id] = a.name
		}
	}
	v.missing = append(v.missing, slices.Sorted(maps.Values(v.away))...)
}

// hasSessions reports whether a member has the sessions whose ids begin with makes.
func hasSessions(all *members.Members, makes packet.Instance) bool {
	for m := range all.All() {
		if m.Makes == makes {
			return true
		}
	}
	return false
}

func (v *view) awaits(makes packet.Instance, until time.Duration) {
	if v.awaited == nil {
		v.awaited = map[packet.Instance]time.Duration{}
	}
	v.awaited[makes] = until
}

// returns reports whether the instance that makes ids of owner restarts, and is waited for.
func (v *view) returns(owner packet.Instance, now time.Duration) bool { return now < v.awaited[owner] }

// returns is for how long others should wait for the next run of this instance.
func (c *Cluster) returns() time.Duration {
	if c.cfg.Returns == nil {
		return 0
	}
	return c.cfg.Returns()
}
