package hub

import (
	"bytes"
	"context"

	"github.com/gobwas/ws"

	"ws-gateway/forward"
	"ws-gateway/netpoll"
)

// maxReplies is how many replies may be on their way to the loops, 16 MiB if they
// are as large as can be. A worker with one more waits.
const maxReplies = 256

// replySlots admits as many as its capacity.
type replySlots chan struct{}

// acquire waits until there is room, or for ctx's end.
func (s replySlots) acquire(ctx context.Context) error {
	select {
	case s <- struct{}{}:
		return nil
	default:
	}
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s replySlots) release() { <-s }

// Reply gives a connection the reply in the app's answer to one of its events. It
// is forward.Config.Reply. The replies to a connection arrive in the order of the
// calls, and, if Config.Settle is set, before a Send or Close that is called later.
// A reply to a connection that is gone is counted. Reply must not be called on a loop.
func (h *Hub) Reply(key uint64, r forward.Reply) {
	id := netpoll.ID(key)
	if id.Loop() >= len(h.loops) {
		return
	}
	r.Body = bytes.Clone(r.Body)
	if h.replies.acquire(h.ctx) != nil {
		return // nobody waits for loops any more
	}
	err := h.loops[id.Loop()].loop.PostContext(h.ctx, func(l *netpoll.Loop) bool {
		h.reply(l.Lookup(id), r)
		h.replies.release()
		return false
	})
	if err != nil { // the loop has ended, and the connection with it
		h.replies.release()
	}
}

// reply runs on the connection's loop.
func (h *Hub) reply(c *netpoll.Conn, r forward.Reply) {
	op := ws.OpBinary
	if r.Text {
		op = ws.OpText
	}
	if c == nil {
		h.stats.lateReplies.Add(1)
		return
	}
	if len(r.Body) > 0 {
		if !c.Reply(op, r.Body) {
			h.stats.lateReplies.Add(1)
		} else if h.tapped() {
			h.show(h.loops[c.ID().Loop()], c.ID(), TapEvent{Action: TapSend, Size: len(r.Body), Binary: !r.Text}, r.Body)
		}
	}
	if r.Close {
		c.Close(netpoll.AppClosed, ws.StatusCode(r.Code), r.Reason)
	}
}

// settledConns is for how many connections a send waits one by one. If it names
// more, it waits for the replies to everybody.
const settledConns = 64

// awaitReplies lets the replies in the app's answers reach the loops first.
func (h *Hub) awaitReplies(ctx context.Context, t Targets) {
	switch {
	case h.cfg.Settle == nil:
		return
	case !t.byConn() || len(t.Conns) > settledConns:
		h.cfg.Settle(ctx)
		return
	}
	keys := make([]uint64, 0, 1+len(t.Conns))
	if id, ok := h.parse(t.Conn); ok {
		keys = append(keys, uint64(id))
	}
	for _, s := range t.Conns {
		if id, ok := h.parse(s); ok {
			keys = append(keys, uint64(id))
		}
	}
	if len(keys) > 0 {
		h.cfg.Settle(ctx, keys...)
	}
}
