package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"ws-gateway/admin/access"
	"ws-gateway/admin/connlimit"
	"ws-gateway/forward"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

// Config of a Server. Zero values mean the defaults named beside them.
type Config struct {
	Hub       *hub.Hub             // required
	Sockets   func() netpoll.Stats // required
	Callbacks func() forward.Stats // nil: push-only, there are no callbacks to report

	// Health is what is known of the app; nil: push-only.
	Health func() forward.Health
	// Configuration returns the configuration in force for people to read, without its
	// secrets; nil: it is not shown.
	Configuration func() string
	// LastReload is what became of the last reload of it; nil: there is none to ask
	// about. ok is false where there has been none yet.
	LastReload func() (r LastReload, ok bool)

	// LogLost is how many lines of the log could not be written; nil: none.
	LogLost func() uint64

	// Collectors are further metrics.
	Collectors []prometheus.Collector

	// Ready reports whether new clients are taken, and if not, why. It is asked
	// by /readyz and for /metrics. Default: Hub.Ready.
	Ready func() (ok bool, why string)

	ClientPath   string // default "/ws"; requests for it are sent to a connection of their own
	UserHeader   string // default "X-Bfl-User"; who sends it is a proxy
	Token        string // "": loopback and unix peers are trusted, under the rules of the wire contract
	OwnAddress   bool   // management does not share the clients' port
	MaxBodyBytes int    // of a command's body; default 16 MiB
	Memory       int64  // bytes of all bodies, of messages on their way to the loops, and of lists that are written; default 128 MiB
	JSONDepth    int    // forward.Config's, for the data of live events; default its default
	Profiles     bool   // serve the Go runtime's profiles at /debug/pprof/
	Version      string // for /metrics

	// Clock is the time in which the process runs, from some instant on: what must
	// happen in a time has so much of it. Default: the wall's clock.
	Clock func() time.Duration

	Log zerolog.Logger

	readTimeout time.Duration // of a whole request; default below, tests have less time
	heartbeats  time.Duration // between lines of a stream of events; as above
	hubTimeout  time.Duration // for the loops to take a command; as above
	eventWrite  time.Duration // for a reader of it to take what is written at a time; as above

	// holdBack replaces how the answer to a wrong token waits; wait is how it does
	// without. For tests.
	holdBack func(wait func(time.Duration)) func(time.Duration)
}

// How long one request may take the server's time. A caller on the same host
// needs none of these; they bound what others can hold.
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
	ctx      context.Context // of calls to the hub; ends when Shutdown gives up
	cancel   context.CancelFunc

	settings atomic.Pointer[settings]

	conns    *connlimit.Limit
	scrapes  *fasthttp.Server
	scrapers *connlimit.Limit
	scraping chan struct{} // one answer with metrics at a time, for those who only look
	memory   memory
	started  time.Time
	closing  chan struct{}             // closed by Shutdown
	retiring atomic.Bool               // commands are refused
	requests [][outcomes]atomic.Uint64 // by route
	times    *prometheus.HistogramVec  // of requests, by route

	mu        sync.Mutex // guards following
	listeners []net.Listener
}

// New checks cfg. Nothing runs before Serve.
func New(cfg Config) (*Server, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, started: time.Now(), closing: make(chan struct{}), scraping: make(chan struct{}, 1), requests: make([][outcomes]atomic.Uint64, len(routes))}
	full := wholeRefusal("too many management connections")
	s.conns = connlimit.New(connlimit.Config{Local: maxLocal, Remote: maxRemote, PerPeer: maxPeer, Refusal: full, Clock: cfg.Clock})
	s.scrapers = connlimit.New(connlimit.Config{Any: maxScrapes, Refusal: full, Clock: cfg.Clock})
	s.memory.configure(cfg.Memory)
	wait := s.wait
	if cfg.holdBack != nil {
		wait = cfg.holdBack(wait)
	}
	var err error
	if s.rules, err = access.New(access.Config{UserHeader: cfg.UserHeader, Token: cfg.Token, OwnAddress: cfg.OwnAddress, Wait: wait, Log: cfg.Log}); err != nil {
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

		// The handler is called before the body is there, so that nobody's body is
		// read who may not send one.
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

// complete fills in defaults and refuses what cannot work.
func (cfg *Config) complete() error {
	if cfg.Hub == nil || cfg.Sockets == nil {
		return errors.New("admin: Config.Hub and Config.Sockets are required")
	}
	if cfg.Ready == nil {
		cfg.Ready = cfg.Hub.Ready
	}
	if cfg.ClientPath == "" {
		cfg.ClientPath = "/ws"
	}
	if r := routeOf([]byte(cfg.ClientPath)); r != unknown {
		return fmt.Errorf("admin: the client path %q is the path of the management route %s: choose another", cfg.ClientPath, r)
	}
	if cfg.UserHeader == "" {
		cfg.UserHeader = "X-Bfl-User"
	}
	if cfg.JSONDepth == 0 {
		cfg.JSONDepth = forward.MaxJSONDepth
	}
	if cfg.MaxBodyBytes == 0 {
		cfg.MaxBodyBytes = 16 << 20
	}
	if cfg.MaxBodyBytes < 0 {
		return fmt.Errorf("admin: Config.MaxBodyBytes is %d: it must be positive", cfg.MaxBodyBytes)
	}
	if cfg.Memory == 0 {
		cfg.Memory = 128 << 20
	}
	if cfg.Memory < 0 {
		return fmt.Errorf("admin: Config.Memory is %d: it must be positive", cfg.Memory)
	}
	if cfg.readTimeout == 0 {
		cfg.readTimeout = longestRead
	}
	if cfg.heartbeats == 0 {
		cfg.heartbeats = usualHeartbeats
	}
	if cfg.hubTimeout == 0 {
		cfg.hubTimeout = longestHub
	}
	if cfg.eventWrite == 0 {
		cfg.eventWrite = longestEventWrite
	}
	return nil
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

// RefuseMutations answers send and close calls with 503 from now on: the first
// step of a shutdown, after which no new work comes in while lists, health and
// metrics go on.
func (s *Server) RefuseMutations() { s.retiring.Store(true) }

// Shutdown closes the listeners, lets the requests under way finish and ends the
// connections. When ctx is done first, it cuts them and returns ctx's error. No
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
	s.cancel() // ends the waiting for loops; what else a handler waits for, its connection, ends with this:
	s.conns.Cut()
	s.scrapers.Cut()
	<-gone
	return ctx.Err()
}

// open remembers a listener for Shutdown, unless that has begun.
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

// connState is told by fasthttp whether a connection has a request.
func (s *Server) connState(c net.Conn, state fasthttp.ConnState) {
	switch state {
	case fasthttp.StateActive:
		s.conns.SetBusy(c.(*connlimit.Conn), true)
	case fasthttp.StateIdle:
		s.conns.SetBusy(c.(*connlimit.Conn), false)
	}
}

// quietLogger receives what fasthttp has to say about single requests.
type quietLogger struct{ log zerolog.Logger }

func (l quietLogger) Printf(format string, args ...any) {
	l.log.Debug().Msgf("management: "+format, args...)
}
