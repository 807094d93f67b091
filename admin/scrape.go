package admin

import (
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// How many connections are served beside management's, for those who only look:
// Prometheus, and an orchestrator's probes. One more takes the place of the oldest
// of the peer who has most, so that nobody can hold them all: neither who sends no
// request, nor who does not read the answer, nor who asks again and again.
const maxScrapes = 64

// How long one of them may take.
const (
	longestScrapeRead  = 5 * time.Second // from its accepting to the end of its head
	longestScrapeWrite = 10 * time.Second
)

// newScrapes returns the server of what is there to look at.
func newScrapes(s *Server) *fasthttp.Server {
	return &fasthttp.Server{
		Handler:        s.handleScrape,
		ErrorHandler:   s.handleMalformed,
		Logger:         quietLogger{s.cfg.Log},
		Concurrency:    2 * maxScrapes, // never reached: the limit is lower
		ReadBufferSize: maxHeadBytes,
		ReadTimeout:    longestScrapeRead,
		WriteTimeout:   longestScrapeWrite,

		StreamRequestBody:            true, // and nobody reads it
		DisableKeepalive:             true, // who keeps a connection keeps others out
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true,
		NoDefaultServerHeader:        true,
		NoDefaultDate:                true,
		NoDefaultContentType:         true,
	}
}

// ServeMetrics answers /metrics, /healthz and /readyz, and nothing else, to
// everybody who connects to ln, without a token. It ends as Serve does, and may be
// called beside it.
func (s *Server) ServeMetrics(ln net.Listener) error {
	return s.accept(ln, s.scrapers, s.scrapes.ServeConn)
}

// handleScrape answers one request.
func (s *Server) handleScrape(ctx *fasthttp.RequestCtx) {
	c := connOf(ctx)
	s.scrapers.SetBusy(c, true)
	c.Unread = ctx.Request.IsBodyStream()
	t, no := targetOf(&ctx.Request.Header)
	r, began := t.route, time.Now()
	defer func() {
		if p := recover(); p != nil {
			s.panicked(ctx, r, p, true)
		}
	}()
	switch {
	case no.Status != 0:
	case r.probe == nil:
		r, no = unknown, refusal{fasthttp.StatusNotFound, "no such route: here are /metrics, /healthz and /readyz alone"}
	case !r.takes(ctx.Method()):
		ctx.Response.Header.Set(fasthttp.HeaderAllow, r.allow())
		no = refusal{fasthttp.StatusMethodNotAllowed, "this route answers " + r.allow()}
	}
	if no.Status != 0 {
		s.done(r, answerRefusal(ctx, no, true), began)
		return
	}
	s.done(r, r.probe(s, ctx, t), began)
}

// scrape answers with metrics, when it is c's turn: many at once must not take the
// processors. Who waits may be shown out, so that others are let in meanwhile.
func (s *Server) scrape(ctx *fasthttp.RequestCtx, t target) outcome {
	c := connOf(ctx)
	select {
	case s.scraping <- struct{}{}:
		defer func() { <-s.scraping }()
	case <-c.Evicted:
	}
	if !s.scrapers.Hold(c, true) {
		return answerRefusal(ctx, refusal{fasthttp.StatusServiceUnavailable, "too many connections"}, true)
	}
	defer s.scrapers.Hold(c, false)
	return s.metrics(ctx, t)
}
