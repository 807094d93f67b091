package hub

import (
	"context"

	"github.com/gobwas/ws"

	"ws-gateway/netpoll"
)

// Send gives frame, which must not have been sent before, to the targets' loops
// and returns. Two sends of which the second begins after the first returned reach
// a connection in that order. With wait it returns when every loop has taken the frame, with counts, or with
// ctx's error. Ids that are unknown, of another gateway or of connections that
// are gone match nothing, which is no error. It holds memory for its targets,
// 8 bytes each, until their loops are through with them; for All, none.
func (h *Hub) Send(ctx context.Context, t Targets, frame *netpoll.Frame, wait bool) (Report, error) {
	return h.SendThen(ctx, t, frame, wait, nil)
}

// Releaser is told that something is no longer needed. Release must not block.
type Releaser interface{ Release() }

// SendThen is Send that releases done once, on any goroutine, when the last loop is
// through with frame: from then on it is only held where it is in an outbox.
func (h *Hub) SendThen(ctx context.Context, t Targets, frame *netpoll.Frame, wait bool, done Releaser) (Report, error) {
	sends := &h.stats.sends[t.kind()]
	sends.calls.Add(1)
	h.awaitReplies(ctx, t)
	h.compress(frame)
	targets := h.resolve(t)
	frame.For(h.size(&targets))
	e := &errand{
		aim:  targets,
		cost: sendCost,
		do: func(ls *loopState, c *netpoll.Conn, r *Report) {
			r.Matched++
			slow := ls.slow
			switch {
			case c.Send(frame):
				r.Queued++
				if h.tapped() {
					op, payload := frame.Payload()
					h.show(ls, c.ID(), TapEvent{Action: TapSend, Size: len(payload), Binary: op == ws.OpBinary}, payload)
				}
			case ls.slow != slow:
				r.Slow++
			}
		},
		each: sends.add,
		done: done,
	}
	if wait {
		e.sum = new(sum)
	}
	if err := h.dispatch(ctx, e); err != nil || !wait {
		return Report{}, err
	}
	return e.sum.wait(ctx)
}

// kind is what the sends to t are counted as.
func (t *Targets) kind() SendKind {
	switch {
	case t.All:
		return SendAll
	case t.byConn():
		return SendConn
	default:
		return SendUsers
	}
}

func (c *sends) add(r Report) {
	if r.Matched == 0 {
		return
	}
	c.matched.Add(uint64(r.Matched))
	c.queued.Add(uint64(r.Queued))
	c.slow.Add(uint64(r.Slow))
}
