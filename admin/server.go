package admin

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"ws-gateway/admin/access"
	"ws-gateway/admin/budget"
	"ws-gateway/admin/connlimit"
)

// Bounds of what callers can hold. The app on the same host needs none of them.
const (
	maxLocal  = 4096          // connections from this host, counted apart: strangers never take the app's
	maxRemote = 1024          // connections from elsewhere
	maxPeer   = maxRemote / 4 // of these, one peer's: nobody can take them all

	longestRead  = 30 * time.Second  // from a request's first byte to its last
	longestWrite = 60 * time.Second  // for the whole of an answer, a streamed list included
	longestIdle  = 120 * time.Second // between two requests, longer than clients keep connections
	longestHub   = 10 * time.Second  // for the loops to take a command
	maxHeadBytes = 16 << 10          // also each connection's read buffer
)

// Server answers management requests.
type Server struct {
	// Static after New.
	cfg      Config
	rules    *access.Rules
	http     fasthttp.Server
	registry *prometheus.Registry
	ctx      context.Context // of calls to the hub; done when Shutdown gives up
	cancel   context.CancelFunc

	settings atomic.Pointer[settings]

	conns    *connlimit.Limit
	scrapes  *fasthttp.Server
	scrapers *connlimit.Limit
	scraping chan struct{} // one answer with metrics at a time, for those who only look
	memory   memory
	answers  budget.Budget // of answers that are being written, see heldAnswer

	gathering chan struct{} // one answer with metrics at a time, for managers
	started   time.Time
	closing   chan struct{}                         // closed by Shutdown
	retiring  atomic.Bool                           // commands are refused
	requests  [][outcomes]atomic.Uint64             // by route
	times     *prometheus.HistogramVec              // of requests, by route
	timed     []atomic.Pointer[prometheus.Observer] // of times, by route: nil until one was served

	mu        sync.Mutex // guards following
	listeners []net.Listener
}

// New checks cfg. Nothing runs before Serve.
func New(cfg Config) (*Server, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, started: time.Now(), closing: make(chan struct{}), scraping: make(chan struct{}, 1), gathering: make(chan struct{}, 1), requests: make([][outcomes]atomic.Uint64, len(routes)), timed: make([]atomic.Pointer[prometheus.Observer], len(routes))}
	full := wholeRefusal("too many management connections")
	s.conns = connlimit.New(connlimit.Config{Local: maxLocal, Remote: maxRemote, PerPeer: maxPeer, Refusal: full, Clock: cfg.Clock})
	s.scrapers = connlimit.New(connlimit.Config{Any: maxScrapes, Refusal: full, Clock: cfg.Clock})
	s.memory.configure(cfg.Memory)
	s.answers.SetLimit(maxAnswers)
	wait := s.wait
	if cfg.holdBack != nil {
		wait = cfg.holdBack(wait)
	}
	var err error
	if s.rules, err = access.New(access.Config{UserHeader: cfg.UserHeader, Token: cfg.Token, OwnAddress: cfg.OwnAddress, Wait: wait, Now: cfg.now, Log: cfg.Log}); err != nil {
		return nil, err
	}
	s.settings.Store(newSettings(&cfg, make(chan struct{})))
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.times = newRequestTimes()
	s.registry = newRegistry(s)
	s.http = fasthttp.Server{
		Handler:            s.handle,
		ErrorHandler:       s.handleMalformed,
		ConnState:          s.connState,
		Logger:             quietLogger{cfg.Log},
		Concurrency:        maxLocal + maxRemote, // never reached: the limit is lower
		ReadBufferSize:     maxHeadBytes,
		ReadTimeout:        cfg.readTimeout,
		WriteTimeout:       longestWrite,
		IdleTimeout:        longestIdle,
		MaxRequestBodySize: cfg.MaxBodyBytes,

		// fasthttp calls the handler before it reads the body: a caller who may not
		// send one is refused first.
		StreamRequestBody:            true,
		DisablePreParseMultipartForm: true,

		SecureErrorLogMessage: true, // heads carry tokens and cookies
		NoDefaultServerHeader: true,
		NoDefaultDate:         true,
		NoDefaultContentType:  true,
	}
	s.scrapes = newScrapes(s)
	return s, nil
}

// wait waits, but not beyond Shutdown.
func (s *Server) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.closing:
	}
}

// HasToken reports whether there is an admin token. It may be called at any time.
func (s *Server) HasToken() bool { return s.rules.HasToken() }

// RefuseMutations answers send and close calls with 503 from now on. It is the first step
// of a shutdown: no new work comes in, while lists, health and metrics go on.
func (s *Server) RefuseMutations() { s.retiring.Store(true) }

// Shutdown closes the listeners, lets the requests under way finish and ends the
// connections. If ctx is done first, it cuts the requests off and returns ctx's error. No
// request is under way any more when it returns.
func (s *Server) Shutdown(ctx context.Context) error {
	s.RefuseMutations()
	s.closeListeners()
	s.conns.Shut()
	s.scrapers.Shut()
	gone := make(chan struct{})
	go func() {
		s.conns.Wait()
		s.scrapers.Wait()
		close(gone)
	}()
	defer s.cancel()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	s.cancel() // no handler waits for loops any more; all else that one waits for is its connection:
	s.conns.Cut()
	s.scrapers.Cut()
	<-gone
	return ctx.Err()
}

// open remembers a listener for Shutdown. It returns false if that has begun.
func (s *Server) open(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closing:
		return false
	default:
	}
	s.listeners = append(s.listeners, ln)
	return true
}

func (s *Server) forget(ln net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = slices.DeleteFunc(s.listeners, func(other net.Listener) bool { return other == ln })
}

func (s *Server) closeListeners() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closing:
		return
	default:
	}
	close(s.closing)
	for _, ln := range s.listeners {
		ln.Close()
	}
}

// connOf is the connection of a request.
func connOf(ctx *fasthttp.RequestCtx) *connlimit.Conn { return ctx.Conn().(*connlimit.Conn) }

// connState is called by fasthttp when a request begins and ends.
func (s *Server) connState(c net.Conn, state fasthttp.ConnState) {
	switch state {
	case fasthttp.StateActive:
		s.conns.SetBusy(c.(*connlimit.Conn), true)
	case fasthttp.StateIdle:
		s.conns.SetBusy(c.(*connlimit.Conn), false)
	}
}

// quietLogger logs what fasthttp says about single requests.
type quietLogger struct{ log zerolog.Logger }

func (l quietLogger) Printf(format string, args ...any) {
	l.log.Debug().Msgf("management: "+format, args...)
}
