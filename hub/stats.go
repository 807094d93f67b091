package hub

import "sync/atomic"

// Stats are counters since the start, unless marked as a gauge.
type Stats struct {
	Connections, Users  int64 // gauges
	Pings               uint64
	Dropped             uint64 // messages that came while no Forwarder was configured
	RefusedUser         uint64 // 400 and 401
	RefusedOrigin       uint64
	RefusedLimit        uint64 // MaxConnections
	RefusedUserLimit    uint64
	RefusedAddressLimit uint64
	RefusedOverload     uint64 // recovering included
	RefusedDraining     uint64
	RefusedPending      uint64 // MaxPendingAuthorizations
	Sends               uint64 // calls of Send
	Matched             uint64 // targets of all sends
	Queued, Slow        uint64
	LateReplies         uint64 // replies of the app that found their connection gone, or full

	// Times that a connection went over Rates and was stopped or closed for it.
	OverMessageRate, OverByteRate uint64
}

// counters are what is counted for the hub as a whole; what is counted for each
// message is counted by loop.
type counters struct {
	refusedUser, refusedOrigin, refusedLimit, refusedUserLimit atomic.Uint64
	refusedAddressLimit, refusedOverload, refusedDraining      atomic.Uint64
	refusedPending                                             atomic.Uint64
	sends, matched, queued, slow                               atomic.Uint64
	lateReplies                                                atomic.Uint64
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
		Sends:               c.sends.Load(),
		Matched:             c.matched.Load(),
		Queued:              c.queued.Load(),
		Slow:                c.slow.Load(),
		LateReplies:         c.lateReplies.Load(),
	}
	for _, ls := range h.loops {
		s.Pings += ls.userPings.Load()
		s.Dropped += ls.dropped.Load()
		s.OverMessageRate += ls.overMessages.Load()
		s.OverByteRate += ls.overBytes.Load()
	}
	return s
}
