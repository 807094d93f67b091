package hub

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"ws-gateway/hub/directory"
	"ws-gateway/netpoll"
)

// A session that is away gives way for a client that is there. The limits count what is open;
// if one is reached, who is away decides:
//
//	loop of the newcomer: enter ──▶ room: give up a session, let the newcomer in
//	                                  └──▶ loop of that session: endGivenUp
//
// The newcomer does not wait for that. Until the session has ended it is listed and counted as
// before, and known as ending, which the limits take into account: more may be open for that
// long than a limit says, by as many as are ending. If its client comes back first, it stays,
// and newcomers are refused until somebody has left.

// room lets newcomers in when a limit is reached. Loops that don't find one reached, and whose
// sessions aren't away, don't touch it.
type room struct {
	mu       sync.Mutex
	away     awaySessions
	restored []*awaySession // that are not yet in away: they come in any order
}

// lock locks r for use. It is the first lock to be taken: others may be while it is held.
func (r *room) lock() {
	r.mu.Lock()
	if len(r.restored) == 0 {
		return
	}
	slices.SortStableFunc(r.restored, func(a, b *awaySession) int { return cmp.Compare(a.since, b.since) })
	for _, s := range r.restored {
		r.away.add(s, s.address.block, s.user.name)
	}
	r.restored = nil
}

// givingWay is a loop's part of it, guarded by room.mu.
type givingWay struct {
	away    *netpoll.Slab[*awaySession] // by slot; nil if none was ever away
	givenUp []netpoll.ID                // to be ended by the loop
}

// wentAway notes that a session is away. Only its loop may call it.
func (h *Hub) wentAway(ls *loopState, id netpoll.ID, s *directory.Session) {
	h.directory.SetAway(s, true)
	h.room.lock()
	defer h.room.mu.Unlock()
	a := &awaySession{id: id, since: h.clock()}
	h.room.away.add(a, BlockOf(s.Addr()), s.User)
	ls.keepAway(a)
}

// restoreAway is wentAway for a session of another process, before the loops run.
func (h *Hub) restoreAway(ls *loopState, id netpoll.ID, s *directory.Session, away time.Duration) {
	h.directory.SetAway(s, true)
	h.room.mu.Lock()
	defer h.room.mu.Unlock()
	a := &awaySession{
		id: id, since: h.clock() - away,
		address: &holder{block: BlockOf(s.Addr())}, user: &awayUser{name: s.User},
	}
	h.room.restored = append(h.room.restored, a)
	ls.keepAway(a)
}

// Restored puts those who were restored in order. It is to be called before the loops run: with a
// million of them it takes a second, for which loops would wait.
func (h *Hub) Restored() {
	h.room.lock()
	h.room.mu.Unlock()
}

func (ls *loopState) keepAway(a *awaySession) {
	g := &ls.givingWay
	if g.away == nil {
		g.away = new(netpoll.Slab[*awaySession])
	}
	g.away.Grow(a.id.Slot())
	*g.away.At(a.id.Slot()) = a
}

// noLongerAwayLocked forgets a session that was away.
func (h *Hub) noLongerAwayLocked(ls *loopState, slot uint32) {
	at := ls.givingWay.away.At(slot)
	h.room.away.remove(*at)
	*at = nil
}

// cameBack notes that a session that was away is not any more.
func (h *Hub) cameBack(ls *loopState, slot uint32) {
	h.room.lock()
	defer h.room.mu.Unlock()
	h.noLongerAwayLocked(ls, slot)
}

// admitInstead is admit for a newcomer that a limit keeps out: sessions that are away give way,
// unless it is refused anyway. It may be called within a Handler method, but not within one
// about a connection that is away.
func (h *Hub) admitInstead(ls *loopState, id netpoll.ID, s *directory.Session, user string) admission {
	givenUp, outcome := h.swap(ls, id, s, user)
	for _, a := range givenUp {
		if a != 0 {
			h.end(ls, a)
		}
	}
	return outcome
}

// swapTries is how often a newcomer is tried whom others forestall that find no limit reached.
const swapTries = 8

// swap has sessions give way to a newcomer, and lists it, if that makes room for it.
func (h *Hub) swap(ls *loopState, id netpoll.ID, s *directory.Session, user string) (givenUp [2]netpoll.ID, outcome admission) {
	h.room.lock()
	defer h.room.mu.Unlock()
	for range swapTries {
		var chosen [2]*awaySession
		var more excess
		if chosen, more, outcome = h.chooseLocked(ls, id, s, user); outcome != admitted {
			break
		}
		if outcome = h.admit(ls, id, s, user, more); outcome != admitted {
			continue
		}
		for i, a := range chosen {
			if a != nil {
				h.room.away.giveUp(a)
				givenUp[i] = a.id
			}
		}
		break
	}
	return givenUp, outcome
}

// chooseLocked chooses the sessions that would give way to a newcomer. A limit that has become
// lower than what is open keeps newcomers out, and nobody gives way.
func (h *Hub) chooseLocked(ls *loopState, id netpoll.ID, s *directory.Session, user string) (chosen [2]*awaySession, more excess, outcome admission) {
	away, limits, block := &h.room.away, ls.settings, BlockOf(s.Addr())
	more = excess{open: away.ending, user: away.endingUsers[user], address: away.endingBlocks[block]}
	if limit := limits.maxConnectionsPerUser; limit > 0 {
		n := h.directory.Count(user) - more.user
		if n == limit {
			chosen[0] = away.ofUser(user)
		}
		if n >= limit && chosen[0] == nil {
			return chosen, more, userFull
		}
	}
	makesRoom := chosen[0] != nil && chosen[0].address.block == block // at the address too
	if limit := limits.maxConnectionsPerAddress; ls.counts(id.Slot()) {
		n := limits.addresses.count(block) - more.address
		if n == limit && !makesRoom {
			chosen[1] = away.ofAddress(block)
		}
		if n > limit || n == limit && !makesRoom && chosen[1] == nil {
			return chosen, more, addressFull
		}
	}
	if chosen[0] != nil {
		more.open++
		more.user++
	}
	if makesRoom {
		more.address++
	}
	if chosen[1] != nil {
		more.open++
		more.address++
	}
	if limit := limits.maxConnections; limit > 0 {
		n := int(h.open.Load()) - away.ending
		if n == limit && chosen == [2]*awaySession{} {
			chosen[0] = away.ofMost()
			more.open++
		}
		if n > limit || n == limit && chosen == [2]*awaySession{} {
			return chosen, more, full
		}
	}
	return chosen, more, admitted
}

// mayFit reports whether one more newcomer could be let in, if so many wait already.
func (h *Hub) mayFit(waiting, limit int64) bool {
	r := &h.room
	r.lock()
	defer r.mu.Unlock()
	open := h.open.Load() - int64(r.away.ending)
	return open <= limit && open-int64(r.away.sessions)+waiting <= limit
}

// end has the loop of a session that has been given up end it. If the loop's mailbox is full,
// its next tick does it.
func (h *Hub) end(ls *loopState, id netpoll.ID) {
	of := h.loops[id.Loop()]
	h.room.lock()
	of.givingWay.givenUp = append(of.givingWay.givenUp, id)
	posted := of.givesWay.Swap(true)
	h.room.mu.Unlock()
	switch {
	case of.loop == nil: // in a simulation
	case of == ls:
		h.endGivenUp(ls)
	case !posted:
		_ = of.loop.TryPost(func(*netpoll.Loop) bool { return h.endGivenUp(of) })
	}
}

// giveWayBudget is how many sessions a turn ends: a few microseconds each.
const giveWayBudget = 64

// endGivenUp ends sessions that have been given up, some in each call.
func (h *Hub) endGivenUp(ls *loopState) (more bool) {
	for range giveWayBudget {
		id := h.nextGivenUp(ls)
		if id == 0 {
			return false
		}
		if c := ls.loop.Lookup(id); c == nil || !c.GiveWay() {
			return false // they are being written down, and end with that
		}
	}
	return true
}

// nextGivenUp is a session of the loop that has been given up and has not ended; 0: there is
// none.
func (h *Hub) nextGivenUp(ls *loopState) netpoll.ID {
	h.room.lock()
	defer h.room.mu.Unlock()
	g := &ls.givingWay
	for ; len(g.givenUp) > 0; g.givenUp = g.givenUp[1:] {
		id := g.givenUp[0]
		if a := *g.away.At(id.Slot()); a != nil && a.id == id && a.since == givenUp {
			return id
		}
	}
	g.givenUp = nil
	ls.givesWay.Store(false)
	return 0
}
