package hub

import (
	"context"
	"fmt"

	"github.com/gobwas/ws"

	"ws-gateway/netpoll"
)

// Close closes the targets; they are off the list when it returns. Code is 1000,
// for which 0 stands too, or 3000 to 4999; only the first 123 bytes of reason are
// sent. The report says how many targets there were. ctx bounds the wait for the
// loops, not what they do.
func (h *Hub) Close(ctx context.Context, t Targets, code ws.StatusCode, reason string) (Report, error) {
	if code == 0 {
		code = ws.StatusNormalClosure
	}
	if code != ws.StatusNormalClosure && (code < 3000 || code > 4999) {
		return Report{}, fmt.Errorf("hub: close code %d is neither 1000 nor within 3000 to 4999", code)
	}
	h.awaitReplies(ctx, t)
	cmd := &command{
		aim:  h.resolve(t),
		cost: closeCost,
		do: func(_ *loopState, c *netpoll.Conn, r *Report) {
			r.Matched++
			c.Close(netpoll.AppClosed, code, reason)
		},
		tally: new(tally),
	}
	if err := h.dispatch(ctx, cmd); err != nil {
		return Report{}, err
	}
	return cmd.tally.wait(ctx)
}
