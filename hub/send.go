package hub

import (
	"context"

	"github.com/gobwas/ws"

	"ws-gateway/netpoll"
	"ws-gateway/tracecontext"
)

// Send gives frame, which must not have been sent before, to the targets' loops
// and returns. If a second Send begins after the first has returned, their frames
// reach each connection in that order. Live events show the trace that ctx has
// (tracecontext.With). With wait, Send returns when every loop has
// taken the frame, with counts, or with ctx's error. An id that is unknown, of
// another gateway or of a connection that is gone matches nothing, which is no
// error. Send holds 8 bytes of memory for each target until its loop is through
// with it; for All, none.
func (h *Hub) Send(ctx context.Context, t Targets, frame *netpoll.Frame, wait bool) (Report, error) {
	return h.SendThen(ctx, t, frame, wait, nil)
}

// Releaser is told that something is no longer needed. Release must not block.
type Releaser interface{ Release() }

// SendThen is a Send that releases done once, on any goroutine, when the last loop
// is through with frame: from then on only outboxes hold it.
func (h *Hub) SendThen(ctx context.Context, t Targets, frame *netpoll.Frame, wait bool, done Releaser) (Report, error) {
	if !wait {
		return Report{}, h.send(ctx, t, frame, nil, done)
	}
	reported, err := h.Post(ctx, t, frame, done)
	if err != nil {
		return Report{}, err
	}
	return reported(ctx)
}

// Post is a SendThen with wait in two steps: when it returns the loops have the frame,
// and reported waits for what has become of it, if that matters.
func (h *Hub) Post(ctx context.Context, t Targets, frame *netpoll.Frame, done Releaser) (reported func(context.Context) (Report, error), err error) {
	s := new(tally)
	return s.wait, h.send(ctx, t, frame, s, done)
}

// send gives frame to the loops. They report to s, which may be nil.
func (h *Hub) send(ctx context.Context, t Targets, frame *netpoll.Frame, s *tally, done Releaser) error {
	sends := &h.stats.sends[t.kind()]
	sends.calls.Add(1)
	h.awaitReplies(ctx, t)
	h.prepare(frame)
	targets, trace := h.resolve(t), tracecontext.From(ctx)
	frame.For(h.size(&targets))
	return h.dispatch(ctx, &command{
		aim:  targets,
		cost: sendCost,
		do: func(ls *loopState, c *netpoll.Conn, r *Report) {
			r.Matched++
			slow := ls.slow
			switch {
			case c.Send(frame):
				r.Queued++
				if c.Away() {
					r.Away++
				}
				if h.tapped() {
					op, payload := frame.Payload()
					h.show(ls, c.ID(), TapEvent{Action: TapSend, Size: len(payload), Binary: op == ws.OpBinary, Trace: trace}, payload)
				}
			case ls.slow != slow:
				r.Slow++
			}
		},
		each:  sends.add,
		tally: s,
		done:  done,
	})
}

// kind says which of Stats.Sends counts a send to t.
func (t *Targets) kind() SendKind {
	switch {
	case len(t.Groups) > 0:
		return SendGroups
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
