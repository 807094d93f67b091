package hub

import (
	"context"

	"ws-gateway/forward"
	"ws-gateway/netpoll"
)

// Each gives all open connections to yield, each on its loop, in slices. Before each slice it
// calls room, which may wait. Those that open or close meanwhile may be missing. Sources have
// no number, and yield copies ConnID.
func (h *Hub) Each(ctx context.Context, room func(context.Context) error, yield func(forward.Source)) error {
	for _, ls := range h.loops {
		for slot, more := uint32(0), true; more; {
			if err := room(ctx); err != nil {
				return err
			}
			done := make(chan struct{})
			err := ls.loop.PostContext(ctx, func(l *netpoll.Loop) bool {
				defer close(done)
				for spent := 0; spent < sliceBudget; spent++ {
					if more = slot < l.Slots(); !more {
						return false
					}
					if c := l.At(slot); c != nil {
						s := ls.sessions.At(slot)
						yield(forward.Source{Key: uint64(c.ID()), ConnID: h.instance.appendID(ls.connID[:0], c.ID()), User: s.User, Headers: s.Headers})
						spent += sendCost
					}
					slot++
				}
				return false
			})
			if err != nil {
				return err
			}
			select {
			case <-done:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}
