package hub

import (
	"ws-gateway/hub/groups"
	"ws-gateway/netpoll"
)

// Regroup has a connection leave and join groups, in this order, because the app's
// answer to one of its events says so. Key is the event's forward.Source.Key. Names
// that groups.CheckName refuses are left out.
//
// It returns when that has happened, for only then does the directory know the loop of
// a group's first member. So the changes of a connection are made in the order of the
// calls, before replies to it that are given to Reply later and, if Config.Settle is
// set, before a Send, Close, Join or Leave that is called later. What a connection may
// not join, because it is in MaxGroupsPerConnection groups or GroupMemory is used up,
// it does not join; that is counted, and logged once. A change for a connection that
// is gone is counted. Regroup must not be called on a loop.
func (h *Hub) Regroup(key uint64, join, leave []string) {
	id := netpoll.ID(key)
	if id.Loop() >= len(h.loops) || len(join)+len(leave) == 0 {
		return
	}
	change := h.regrouping(join, leave)
	if h.joining.Acquire(h.ctx, 1) != nil {
		return // nobody waits for loops any more
	}
	defer h.joining.Release(1)
	if h.replies.acquire(h.ctx) != nil {
		return
	}
	ls, done := h.loops[id.Loop()], make(chan struct{})
	err := ls.loop.PostContext(h.ctx, func(l *netpoll.Loop) bool {
		if l.Lookup(id) != nil {
			h.regroup(ls, id.Slot(), &change)
		} else {
			h.stats.lateRegroups.Add(1)
		}
		h.replies.release()
		close(done)
		return false
	})
	if err != nil { // the loop has ended, and the connection with it
		h.replies.release()
		return
	}
	select {
	case <-done:
	case <-h.ctx.Done():
	}
}

// regrouping is what an answer changes, ready for the loop.
type regrouping struct {
	join, leave []groups.Name
	over        int // joins that are left out already
}

// regrouping prepares a change, so that the loop has the less to do. Of the joins it
// takes each once, and as many as a connection may be in: behind these there is none
// that is neither over the limit nor joined before.
func (h *Hub) regrouping(join, leave []string) (r regrouping) {
	if len(leave) > 0 {
		r.leave = h.groups.Names(leave)
	}
	seen := make(map[string]struct{}, len(join))
	limit := int(h.maxGroups.Load())
	for _, text := range join {
		if _, repeated := seen[text]; repeated || groups.CheckName(text) != nil {
			continue
		}
		seen[text] = struct{}{}
		if len(r.join) < limit {
			r.join = append(r.join, h.groups.Name(text))
		} else {
			r.over++
		}
	}
	return r
}

// regroup runs on the connection's loop.
func (h *Hub) regroup(ls *loopState, slot uint32, r *regrouping) {
	if len(r.leave) > 0 {
		ls.leave(ByAnswer, slot, r.leave)
	}
	if len(r.join) == 0 {
		return
	}
	n := ls.table(h).Need(slot, r.join)
	bytes := n.Bytes
	if n.Missing > 0 {
		bytes += groups.GroupBytes(r.join)
	}
	over := r.over
	if h.groups.Reserve(bytes) {
		over += ls.join(h, ByAnswer, slot, r.join, ls.settings.maxGroups)
		h.groups.Release(bytes)
	} else {
		h.stats.groupsOverMemory.Add(uint64(n.Missing))
		h.overGroupMemory.Do(func() {
			h.cfg.Log.Warn().Msg("an answer of the app joins groups for which there is no memory: they are left out, and counted; this is logged once")
		})
	}
	if over > 0 {
		h.stats.groupsOverLimit.Add(uint64(over))
		h.overGroups.Do(func() {
			h.cfg.Log.Warn().Int("limit", ls.settings.maxGroups).Msg("an answer of the app joins a connection to too many groups: what is over is left out, and counted; this is logged once")
		})
	}
}
