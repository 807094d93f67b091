package hub

import (
	"sync/atomic"

	"ws-gateway/hub/meta"
)

// Stats are counters since the start, unless marked as a gauge.
type Stats struct {
	Connections, Users  int64 // gauges
	HeadBytes           int64 // gauge: what connections keep of their handshakes
	Pings               uint64
	Dropped             uint64 // messages that came while no Forwarder was configured
	RefusedUser         uint64 // 400 and 401
	RefusedOrigin       uint64
	RefusedLimit        uint64 // MaxConnections
	RefusedUserLimit    uint64
	RefusedAddressLimit uint64
	RefusedOverload     uint64 // and while recovering
	RefusedDraining     uint64
	RefusedPending      uint64 // MaxPendingAuthorizations
	RefusedHead         uint64 // no memory for what the connection would keep: see netpoll.Conn.Keep
	LateReplies         uint64 // replies of the app that found their connection gone, or full

	ResumesUntold uint64 // ResumeEvents that were left out, as too much waited for the app

	Groups, Memberships int64                // gauges
	GroupBytes          int64                // gauge: memory that groups and metadata take
	GroupMemory         int64                // gauge: Config.GroupMemory
	Joins               [ByClose]uint64      // memberships that began, by a call or an answer
	Leaves              [GroupOrigins]uint64 // memberships that ended
	GroupsOverLimit     uint64               // joins over MaxGroupsPerConnection: calls, and memberships in answers
	GroupsOverMemory    uint64               // joins over GroupMemory: likewise
	Meta                meta.Stats           // gauges
	MetaOverMemory      uint64               // calls that give connections metadata for which there was no memory
	JoinsUnknown        uint64               // sends of OpenFor to groups for which it was not known any more who had joined since
	LateRegroups        uint64               // answers that change the groups of a connection that is gone

	Sends  [SendKinds]Sends
	Closes Closes

	Taps                               int64  // gauge
	TapEvents, TapDropped, TapsRefused uint64 // events that taps took; events that they were too slow for; taps over MaxTaps

	WheelLag int64 // gauge: seconds by which the slowest loop is behind with ping deadlines

	// How often a connection went over Rates and was stopped or closed for it.
	OverMessageRate, OverByteRate uint64
}

// SendKind is whom a send is for.
type SendKind uint8

// The kinds of sends.
const (
	SendConn   SendKind = iota // connections named one by one
	SendUsers                  // all connections of some users
	SendAll                    // everybody
	SendGroups                 // all connections in some groups
	sendKinds
)

// SendKinds is how many there are.
const SendKinds = int(sendKinds)

// String returns the kind's name in metrics.
func (k SendKind) String() string { return [sendKinds]string{"conn", "users", "all", "group"}[k] }

// Sends counts the sends of a kind.
type Sends struct {
	Calls   uint64
	Matched uint64 // connections that were targets
	Queued  uint64 // of these, took the frame
	Slow    uint64 // of these, were closed because too much waited for them
}

type sends struct{ calls, matched, queued, slow atomic.Uint64 }

// counters are those of the hub as a whole. What happens with each message is
// counted by its loop.
type counters struct {
	refusedUser, refusedOrigin, refusedLimit, refusedUserLimit atomic.Uint64
	refusedAddressLimit, refusedOverload, refusedDraining      atomic.Uint64
	refusedPending, refusedHead                                atomic.Uint64
	sends                                                      [sendKinds]sends
	lateReplies, resumesUntold                                 atomic.Uint64
	groupsOverLimit, groupsOverMemory, lateRegroups            atomic.Uint64
	metaOverMemory                                             atomic.Uint64
}

// Stats returns a snapshot.
func (h *Hub) Stats() Stats {
	connections, users := h.Count()
	c := &h.stats
	s := Stats{
		Connections:         int64(connections),
		Users:               int64(users),
		RefusedUser:         c.refusedUser.Load(),
		RefusedOrigin:       c.refusedOrigin.Load(),
		RefusedLimit:        c.refusedLimit.Load(),
		RefusedUserLimit:    c.refusedUserLimit.Load(),
		RefusedAddressLimit: c.refusedAddressLimit.Load(),
		RefusedOverload:     c.refusedOverload.Load(),
		RefusedDraining:     c.refusedDraining.Load(),
		RefusedPending:      c.refusedPending.Load(),
		RefusedHead:         c.refusedHead.Load(),
		ResumesUntold:       c.resumesUntold.Load(),
		LateReplies:         c.lateReplies.Load(),

		Groups:           int64(h.groups.Groups()),
		GroupBytes:       h.groups.Bytes(),
		GroupMemory:      h.groups.Limit(),
		GroupsOverLimit:  c.groupsOverLimit.Load(),
		GroupsOverMemory: c.groupsOverMemory.Load(),
		LateRegroups:     c.lateRegroups.Load(),

		Meta:           h.cfg.Meta.Stats(),
		MetaOverMemory: c.metaOverMemory.Load(),
	}
	s.TapEvents, s.TapDropped, s.TapsRefused = h.taps.events.Load(), h.taps.dropped.Load(), h.taps.refused.Load()
	if list := h.taps.list.Load(); list != nil {
		s.Taps = int64(len(*list))
	}
	for k := range c.sends {
		from := &c.sends[k]
		s.Sends[k] = Sends{from.calls.Load(), from.matched.Load(), from.queued.Load(), from.slow.Load()}
	}
	for _, ls := range h.loops {
		ls.closes.addTo(&s.Closes)
		ls.grouping.addTo(&s)
		if ls.joins != nil {
			s.JoinsUnknown += ls.joins.unknown.Load()
		}
		s.WheelLag = max(s.WheelLag, ls.lag.Load())
		s.Pings += ls.userPings.Load()
		s.HeadBytes += ls.heads.Load()
		s.Dropped += ls.dropped.Load()
		s.OverMessageRate += ls.overMessages.Load()
		s.OverByteRate += ls.overBytes.Load()
	}
	return s
}
