package hub

import (
	"ws-gateway/hub/groups"
	"ws-gateway/netpoll"
)

// Regroup has a connection leave and join groups, in this order, because the app's
// answer to one of its events says so. Key is the event's forward.Source.Key. Names
// that groups.CheckName refuses are left out.
//
// It returns before that has happened, as Reply does: the changes of a connection are
// made in the order of the calls, before replies to it that are given to Reply later
// and, if Config.Settle is set, before a Send, Close, Join or Leave that is called
// later. What a connection may not join, because it is in MaxGroupsPerConnection groups
// or GroupMemory is used up, it does not join; that is counted, and logged once. A
// change for a connection that is gone is counted. Regroup must not be called on a
// loop.
func (h *Hub) Regroup(key uint64, join, leave []string) {
	id := netpoll.ID(key)
	if id.Loop() >= len(h.loops) || len(join)+len(leave) == 0 {
		return
	}
	if h.replies.acquire(h.ctx) != nil {
		return // nobody waits for loops any more
	}
	ls := h.loops[id.Loop()]
	err := ls.loop.PostContext(h.ctx, func(l *netpoll.Loop) bool {
		if l.Lookup(id) != nil {
			h.regroup(ls, id.Slot(), join, leave)
		} else {
			h.stats.lateRegroups.Add(1)
		}
		h.replies.release()
		return false
	})
	if err != nil { // the loop has ended, and the connection with it
		h.replies.release()
	}
}

// regroup runs on the connection's loop.
func (h *Hub) regroup(ls *loopState, slot uint32, join, leave []string) {
	if len(leave) > 0 {
		ls.leave(ByAnswer, slot, h.groups.Names(leave))
	}
	names := h.namesIn(join)
	if len(names) == 0 {
		return
	}
	n := ls.table(h).Need(slot, names)
	if n.Missing == 0 {
		return
	}
	bytes := n.Bytes + groups.GroupBytes(names)
	if !h.groups.Reserve(bytes) {
		h.stats.groupsOverMemory.Add(uint64(n.Missing))
		h.overGroupMemory.Do(func() {
			h.cfg.Log.Warn().Msg("an answer of the app joins groups for which there is no memory: they are left out, and counted; this is logged once")
		})
		return
	}
	over := ls.join(h, ByAnswer, slot, names, ls.settings.maxGroups)
	h.groups.Release(bytes)
	if over > 0 {
		h.stats.groupsOverLimit.Add(uint64(over))
		h.overGroups.Do(func() {
			h.cfg.Log.Warn().Int("limit", ls.settings.maxGroups).Msg("an answer of the app joins a connection to too many groups: what is over is left out, and counted; this is logged once")
		})
	}
}

// namesIn prepares the names that an answer gives, in its order.
func (h *Hub) namesIn(answer []string) (names []groups.Name) {
	for _, text := range answer {
		if groups.CheckName(text) == nil {
			names = append(names, h.groups.Name(text))
		}
	}
	return names
}
