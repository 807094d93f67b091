package hub

import (
	"sync/atomic"

	"ws-gateway/hub/groups"
)

// GroupOrigin is what made a connection join or leave a group.
type GroupOrigin uint8

// The origins.
const (
	ByCall   GroupOrigin = iota // Join and Leave
	ByAnswer                    // the app's answer to an event
	ByClose                     // the connection has ended
	groupOrigins
)

// GroupOrigins is how many there are.
const GroupOrigins = groupOrigins

// String returns the origin's name in metrics.
func (o GroupOrigin) String() string { return [groupOrigins]string{"call", "answer", "close"}[o] }

// groupCounters are a loop's. Only the loop writes them.
type groupCounters struct {
	members atomic.Int64
	joins   [ByClose]atomic.Uint64
	leaves  [groupOrigins]atomic.Uint64
}

func (c *groupCounters) joined(by GroupOrigin, t *groups.Table, n int) {
	c.joins[by].Add(uint64(n))
	c.members.Store(int64(t.Members()))
}

func (c *groupCounters) restored(t *groups.Table) { c.members.Store(int64(t.Members())) }

func (c *groupCounters) left(by GroupOrigin, t *groups.Table, n int) {
	c.leaves[by].Add(uint64(n))
	c.members.Store(int64(t.Members()))
}

func (c *groupCounters) addTo(s *Stats) {
	s.Memberships += c.members.Load()
	for by := range s.Joins {
		s.Joins[by] += c.joins[by].Load()
	}
	for by := range s.Leaves {
		s.Leaves[by] += c.leaves[by].Load()
	}
}
