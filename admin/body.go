package admin

import (
	"errors"
	"io"
	"net"

	"github.com/valyala/fasthttp"

	"ws-gateway/admin/budget"
)

// atOnce is how much is allocated for a Content-Length before bytes arrive.
const atOnce = 64 << 10

// readBody reads the request's body, at most limit bytes. The slice belongs to the caller
// and is never reused: strings may point into it. If the body is refused the connection
// ends with the answer. The body counts twice in mem, because a message of about its size
// is made of it.
//
// fasthttp does not tell when the connection ends after a whole chunk that is not the last
// one. A body cut short there is either no valid JSON or lacks nothing.
func readBody(ctx *fasthttp.RequestCtx, limit int, mem *budget.Reservation) ([]byte, refusal) {
	stream := ctx.RequestBodyStream()
	if stream == nil {
		return nil, refusal{}
	}
	connOf(ctx).Unread = false                     // what is still missing is late or lost
	declared := ctx.Request.Header.ContentLength() // negative for a chunked body
	if declared > limit {
		return nil, tooLarge(ctx)
	}
	size := min(declared, atOnce)
	if declared < 0 {
		size = bytesPerRead
	}
	if !mem.Grow(2 * int64(max(declared, size))) {
		return nil, noRoom(ctx)
	}
	body := make([]byte, 0, size)
	for {
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
			if more := 2*int64(cap(body)) - mem.Held(); declared < 0 && more > 0 && !mem.Grow(more) {
				return nil, noRoom(ctx)
			}
		}
		n, err := stream.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > limit:
			return nil, tooLarge(ctx)
		case err == io.EOF && len(body) < declared:
			ctx.SetConnectionClose()
			return nil, refusal{fasthttp.StatusBadRequest, "the request body ends before its Content-Length"}
		case err == io.EOF:
			return body, refusal{}
		case err != nil:
			ctx.SetConnectionClose()
			return nil, unreadable(err)
		}
	}
}

const bytesPerRead = 4 << 10

// noRoom is the answer if other commands hold all the memory.
func noRoom(ctx *fasthttp.RequestCtx) refusal {
	connOf(ctx).Unread = true
	ctx.SetConnectionClose()
	ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, "1")
	return refusal{fasthttp.StatusServiceUnavailable, budget.ErrFull.Error()}
}

func tooLarge(ctx *fasthttp.RequestCtx) refusal {
	connOf(ctx).Unread = true
	ctx.SetConnectionClose()
	return refusal{fasthttp.StatusRequestEntityTooLarge, "the request body is larger than --max-api-body"}
}

// unreadable says what is wrong with a request that did not arrive whole.
func unreadable(err error) refusal {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return refusal{fasthttp.StatusRequestTimeout, "the request did not arrive in time"}
	case errors.As(err, new(*fasthttp.ErrSmallBuffer)):
		return refusal{fasthttp.StatusRequestHeaderFieldsTooLarge, "the request head is too large"}
	}
	return refusal{fasthttp.StatusBadRequest, "the request is malformed"}
}
