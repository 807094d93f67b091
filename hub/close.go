package hub

import (
	"context"
	"fmt"

	"github.com/gobwas/ws"

	"ws-gateway/netpoll"
)

// Close closes the targets; they are off the list when it returns. Code is 1000
// (also where it is 0) or 3000 to 4999; of reason the first 123 bytes are sent.
// The report says how many there were. ctx bounds the wait for the loops, not
// what they do.
func (h *Hub) Close(ctx context.Context, t Targets, code ws.StatusCode, reason string) (Report, error) {
	if code == 0 {
		code = ws.StatusNormalClosure
	}
	if code != ws.StatusNormalClosure && (code < 3000 || code > 4999) {
		return Report{}, fmt.Errorf("hub: close code %d is neither 1000 nor within 3000 to 4999", code)
	}
	h.awaitReplies(ctx, t)
	e := &errand{
		aim:  h.resolve(t),
		cost: closeCost,
		do: func(_ *loopState, c *netpoll.Conn, r *Report) {
			r.Matched++
			c.Close(netpoll.AppClosed, code, reason)
		},
		sum: new(sum),
	}
	if err := h.dispatch(ctx, e); err != nil {
		return Report{}, err
	}
	return e.sum.wait(ctx)
}
