package hub

import (
	"bytes"
	"context"
	"sync"

	"github.com/gobwas/ws"

	"ws-gateway/forward"
	"ws-gateway/netpoll"
)

// maxReplies is how many replies may be on their way to the loops: with the
// largest ones 16 MiB. Whoever has one more waits.
const maxReplies = 256

// room counts what is on its way, and lets those wait for whom there is none. The
// zero value is empty.
type room struct {
	mu   sync.Mutex
	free chan struct{} // closed when used falls; nil while nobody waits for that
	used int
}

// enter waits for room, as long as ctx lasts.
func (r *room) enter(ctx context.Context, limit int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.used >= limit {
		if r.free == nil {
			r.free = make(chan struct{})
		}
		free := r.free
		r.mu.Unlock()
		select {
		case <-free:
			r.mu.Lock()
		case <-ctx.Done():
			r.mu.Lock()
			return ctx.Err()
		}
	}
	r.used++
	return nil
}

func (r *room) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used--
	if r.free != nil {
		close(r.free)
		r.free = nil
	}
}

// Reply gives a connection what the app's answer to one of its events says; it is
// forward.Config.Reply. Replies of one connection arrive in the order of the calls,
// and before a Send or Close that is called later, Config.Settle being set. A reply
// to a connection that is gone is counted. It must not be called on a loop.
func (h *Hub) Reply(key uint64, r forward.Reply) {
	id := netpoll.ID(key)
	if id.Loop() >= len(h.loops) {
		return
	}
	r.Body = bytes.Clone(r.Body)
	if h.replies.enter(h.ctx, maxReplies) != nil {
		return // nobody waits for loops any more
	}
	err := h.loops[id.Loop()].loop.PostContext(h.ctx, func(l *netpoll.Loop) bool {
		h.reply(l.Lookup(id), r)
		h.replies.leave()
		return false
	})
	if err != nil { // the loop has ended, and the connection with it
		h.replies.leave()
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

// settledConns is how many connections are looked for among the app's answers one
// by one; where more are named, everybody's are waited for.
const settledConns = 64

// awaitReplies lets what the app's answers say reach the loops first.
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
