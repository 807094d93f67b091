package admin

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"ws-gateway/admin/budget"
)

// An answer stays in memory until its caller has taken it, and there may be thousands of
// callers who take nothing. Lists count in --api-memory, and the answers to commands are
// small.
const (
	largeAnswer = 4 << 10 // from so many bytes on another answer counts
	maxAnswers  = 4 << 20 // bytes of all that count; one always has room
)

// heldAnswer counts the memory of an answer to r until it is written. If there is none for
// it, it becomes a refusal.
func (s *Server) heldAnswer(ctx *fasthttp.RequestCtx, r *route, result outcome) outcome {
	if r.command != nil || ctx.Response.IsBodyStream() {
		return result
	}
	body := ctx.Response.Body()
	if len(body) < largeAnswer {
		return result
	}
	if own := ctx.Response.SwapBody(nil); len(own) > 0 { // otherwise it was set by SetBodyRaw, and is body
		body = own
	}
	mem := s.answers.Reserve()
	if !mem.Grow(int64(cap(body))) {
		mem.Release()
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, "1")
		return answerRefusal(ctx, refusal{fasthttp.StatusServiceUnavailable, "too many callers have not taken their answers: try again"}, r.text)
	}
	ctx.Response.SetBodyStream(&held{*bytes.NewReader(body), mem}, len(body))
	return result
}

// held is an answer's body. It holds its memory until it is written, or cannot be.
type held struct {
	bytes.Reader
	mem *budget.Reservation
}

// Close is called by fasthttp once the answer is out.
func (h *held) Close() error {
	h.mem.Release()
	h.mem = nil
	return nil
}
