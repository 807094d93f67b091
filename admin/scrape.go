package admin

import (
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// How many connections are served at --metrics-listen, to Prometheus and an orchestrator's
// probes. One more ends the oldest connection of the peer that has most, so that nobody can
// hold them all: not by sending no request, nor by not reading the answer, nor by asking
// again and again.
const maxScrapes = 64

// How long one of these requests may take.
const (
	longestScrapeRead  = 5 * time.Second // from accepting the connection to the end of the head
	longestScrapeWrite = 10 * time.Second
)

// newScrapes returns the server for --metrics-listen.
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
		DisableKeepalive:             true, // a connection that is kept keeps others out
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true,
		NoDefaultServerHeader:        true,
		NoDefaultDate:                true,
		NoDefaultContentType:         true,
	}
}

// ServeMetrics answers /metrics, /healthz and /readyz, and nothing else, to everybody who
// connects to ln, without a token. It ends as Serve does, and both may run at a time.
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

// scrape answers with metrics, one request at a time, so that many at once do not take the
// processors. A connection that waits for its turn may be evicted for another.
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
