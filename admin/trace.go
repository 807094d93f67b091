package admin

import (
	"context"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"ws-gateway/tracecontext"
)

// traceOf returns a request's traceparent; "" if it has none, or not one that is valid.
func traceOf(ctx *fasthttp.RequestCtx) string {
	parent := ctx.Request.Header.Peek(tracecontext.Parent)
	if len(parent) == 0 || !tracecontext.ValidParent(parent) || len(ctx.Request.Header.PeekAll(tracecontext.Parent)) > 1 {
		return ""
	}
	return string(parent)
}

// traced is wait with the trace, if there is one.
func traced(wait *hubContext, trace string) context.Context {
	if trace == "" {
		return wait
	}
	return tracecontext.With(wait, trace)
}

// logOf is the log for lines about a request.
func (s *Server) logOf(ctx *fasthttp.RequestCtx) *zerolog.Logger {
	trace := traceOf(ctx)
	if trace == "" {
		return &s.cfg.Log
	}
	log := s.cfg.Log.With().Str("traceparent", trace).Logger()
	return &log
}
