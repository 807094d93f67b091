package admin

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/valyala/fasthttp"
)

// panicked answers a request whose handling has ended with p.
func (s *Server) panicked(ctx *fasthttp.RequestCtx, r route, p any, text bool) {
	s.logPanic(r, p)
	ctx.ResetBody()
	s.requests[r][answerRefusal(ctx, refusal{fasthttp.StatusInternalServerError, "internal error"}, text)].Add(1)
}

// handle answers one request, on its connection's goroutine.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	t, no := targetOf(&ctx.Request.Header)
	r, began := routeOf(t.path), time.Now()
	defer func() {
		if p := recover(); p != nil {
			ctx.SetConnectionClose()
			s.panicked(ctx, r, p, r.text())
		}
	}()
	if s.door.closed.Load() {
		ctx.SetConnectionClose()
	}
	callerOf(ctx).unread = ctx.Request.IsBodyStream()
	if no.status != 0 {
		ctx.SetConnectionClose()
		s.requests[r][answerRefusal(ctx, no, false)].Add(1)
		return
	}
	result := s.dispatch(ctx, r, &t)
	if result != streamed {
		s.requests[r][result].Add(1)
	}
	if result == served && r != routeProfile {
		s.took(r, began)
	}
}

// dispatch lets a request through the gates, in the order that tells strangers
// least, to its route's handler.
func (s *Server) dispatch(ctx *fasthttp.RequestCtx, r route, t *target) outcome {
	path, query := t.path, t.query
	if s.forClients(path) {
		// A proxy has sent a client on a connection that it had used for
		// management; a new one is upgraded where connections come in.
		ctx.SetConnectionClose()
		return answerRefusal(ctx, refusal{fasthttp.StatusMisdirectedRequest, "clients are not served on this connection: open a new one"}, false)
	}
	from := callerOf(ctx).from
	if r.public() {
		if from == remotePeer {
			ctx.SetConnectionClose() // strangers keep nothing
		}
	} else if no := s.admit(ctx, r); no.status != 0 {
		return answerRefusal(ctx, no, r.text())
	} else if no := s.guard.checkAuthority(t.authority, &ctx.Request.Header, from); no.status != 0 {
		return answerRefusal(ctx, no, r.text())
	}
	if r == routeUnknown || r == routeProfile && !s.settings.Load().profiles {
		// On a proxy's pooled connection a stranger's wrong path must not bring the
		// next client here.
		ctx.SetConnectionClose()
		return answerRefusal(ctx, refusal{fasthttp.StatusNotFound, "no such route"}, false)
	}
	if !r.takes(ctx.Method()) {
		ctx.Response.Header.Set(fasthttp.HeaderAllow, r.allow())
		return answerRefusal(ctx, refusal{fasthttp.StatusMethodNotAllowed, "this route answers " + r.allow()}, r.text())
	}
	if known, has := queries[r]; has {
		if err := checkQuery(query, known); err != nil {
			return answerInvalid(ctx, fasthttp.StatusBadRequest, err.Error())
		}
	}
	switch r {
	case routeSend:
		return s.command(ctx, s.send)
	case routeClose:
		return s.command(ctx, s.close)
	case routeList:
		return s.list(ctx, query)
	case routeCount:
		return s.count(ctx)
	case routeGet:
		return s.get(ctx, query)
	case routeEvents:
		return s.events(ctx, query)
	case routeStatus:
		return s.status(ctx)
	case routeConfig:
		return s.config(ctx)
	case routeHealth:
		return answer(ctx, textType, []byte("ok\n"))
	case routeReady:
		return s.ready(ctx)
	case routeProfile:
		return s.profile(ctx, path, query)
	case routeConsole:
		return s.console(ctx, path)
	default:
		return s.writeMetrics(ctx)
	}
}

// forClients reports whether path is the one that clients connect to.
func (s *Server) forClients(path []byte) bool {
	own := s.cfg.ClientPath
	if len(path) == len(own)+1 && path[len(own)] == '/' {
		path = path[:len(own)]
	}
	return string(path) == own
}

// handleMalformed answers what is not a request that handle could be given.
func (s *Server) handleMalformed(ctx *fasthttp.RequestCtx, err error) {
	no := unreadable(err)
	if other := callerOf(ctx).mistaken; other != nil {
		no = refusal{other.Status, other.Text}
	}
	s.requests[routeUnknown][answerRefusal(ctx, no, false)].Add(1)
}

// logPanic is called where a panic was recovered: one request has failed, and
// nothing else.
func (s *Server) logPanic(r route, p any) {
	s.cfg.Log.Error().Stringer("route", r).Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("a management request failed")
}
