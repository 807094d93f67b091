package admin

import (
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"ws-gateway/admin/access"
)

// handle answers one request, on its connection's goroutine.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	t, no := targetOf(&ctx.Request.Header)
	began := time.Now()
	defer func() {
		if p := recover(); p != nil {
			ctx.SetConnectionClose()
			s.panicked(ctx, t.route, p, t.route.text)
		}
	}()
	if s.conns.Closed() {
		ctx.SetConnectionClose()
	}
	connOf(ctx).Unread = ctx.Request.IsBodyStream()
	if no.Status != 0 {
		ctx.SetConnectionClose()
		s.done(t.route, answerRefusal(ctx, no, false), began)
		return
	}
	s.done(t.route, s.heldAnswer(ctx, t.route, s.dispatch(ctx, t)), began)
}

// done counts a request, unless its answer is still to be written, and if it was served
// observes the time since it began.
func (s *Server) done(r *route, result outcome, began time.Time) {
	if result == streamed {
		return
	}
	s.requests[r.nth][result].Add(1)
	if result == served && !r.untimed {
		s.timesOf(r).Observe(time.Since(began).Seconds())
	}
}

// timesOf is where the durations of a route's requests go. To look it up by its name would
// take longer than to observe one.
func (s *Server) timesOf(r *route) prometheus.Observer {
	if o := s.timed[r.nth].Load(); o != nil {
		return *o
	}
	o := s.times.WithLabelValues(r.name)
	s.timed[r.nth].Store(&o)
	return o
}

// dispatch checks a request, in the order that tells strangers least, and calls its route's
// handler.
func (s *Server) dispatch(ctx *fasthttp.RequestCtx, t target) outcome {
	r := t.route
	if s.forClients(t.path) {
		// A proxy has sent a client on a connection that it had used for management.
		// On a new connection netpoll upgrades it.
		ctx.SetConnectionClose()
		return answerRefusal(ctx, refusal{fasthttp.StatusMisdirectedRequest, "clients are not served on this connection: open a new one"}, false)
	}
	peer := connOf(ctx).Peer
	if r.who == access.Everybody {
		if peer.Place == access.Remote {
			ctx.SetConnectionClose() // strangers keep no connection
		}
	} else if no, retry := s.rules.Admit(&ctx.Request.Header, peer, r.who); no.Status != 0 {
		if retry > 0 {
			ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(int(retry/time.Second)))
		}
		return answerRefusal(ctx, refusal(no), r.text)
	} else if no := s.rules.CheckAuthority(t.authority, &ctx.Request.Header, peer.Place); no.Status != 0 {
		return answerRefusal(ctx, refusal(no), r.text)
	}
	if r == unknown || r.optIn && !s.settings.Load().profiles {
		// A proxy may reuse the connection. A stranger's wrong path must not bring the
		// next client here.
		ctx.SetConnectionClose()
		return answerRefusal(ctx, refusal{fasthttp.StatusNotFound, "no such route"}, false)
	}
	if !r.takes(ctx.Method()) {
		ctx.Response.Header.Set(fasthttp.HeaderAllow, r.allow())
		return answerRefusal(ctx, refusal{fasthttp.StatusMethodNotAllowed, "this route answers " + r.allow()}, r.text)
	}
	if r.query != nil {
		if err := r.query.check(t.query); err != nil {
			return answerInvalid(ctx, fasthttp.StatusBadRequest, err.Error())
		}
	}
	if r.command != nil {
		return s.command(ctx, r)
	}
	return r.answer(s, ctx, t)
}

// forClients reports whether path is the one that clients connect to.
func (s *Server) forClients(path []byte) bool {
	own := s.cfg.ClientPath
	if len(path) == len(own)+1 && path[len(own)] == '/' {
		path = path[:len(own)]
	}
	return string(path) == own
}

// handleMalformed answers bytes that fasthttp could not read as a request.
func (s *Server) handleMalformed(ctx *fasthttp.RequestCtx, err error) {
	no := unreadable(err)
	if other := connOf(ctx).Mistaken; other != nil {
		no = refusal{other.Status, other.Text}
	}
	s.requests[unknown.nth][answerRefusal(ctx, no, false)].Add(1)
}

// panicked answers a request whose handler panicked with p.
func (s *Server) panicked(ctx *fasthttp.RequestCtx, r *route, p any, text bool) {
	logPanic(s.logOf(ctx), r, p)
	ctx.ResetBody()
	s.requests[r.nth][answerRefusal(ctx, refusal{fasthttp.StatusInternalServerError, "internal error"}, text)].Add(1)
}

// logPanic is called when a panic was recovered: one request has failed, and nothing
// else.
func logPanic(log *zerolog.Logger, r *route, p any) {
	log.Error().Stringer("route", r).Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("a management request failed")
}
