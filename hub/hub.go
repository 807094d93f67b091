package hub

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"github.com/rs/zerolog"

	"ws-gateway/forward"
	"ws-gateway/netpoll"
)

// Forwarder is the hub's view of package forward.
type Forwarder interface {
	Open(src forward.Source, req forward.Request)
	Message(src forward.Source, data []byte, binary bool) (full bool)
	Close(src forward.Source, end forward.End)
}

// Config of a Hub. Zero values mean the defaults named beside them.
type Config struct {
	Forwarder    Forwarder     // nil: push-only, nothing is forwarded
	PingTimeout  time.Duration // default 75 s; kept to the second, rounded up
	KeepaliveAny bool          // any frame moves the deadline, not only pings and pongs
	// Settle, if there is one, is called before a send or a close and returns once the
	// app's answers that came before it have been dealt with; see
	// forward.Forwarder.Settle. Keys limits it to connections; none: all.
	Settle func(ctx context.Context, keys ...uint64)

	ServerPing               time.Duration  // send ping frames at this interval, rounded up to seconds; 0: never
	UserHeader               string         // default X-Bfl-User
	RequireUser              bool           // refuse who has no user name, or an empty one
	ForwardHeaders           []string       // headers of the handshake that go with each event; empty: Cookie
	AllowedOrigins           []string       // empty: any; "https://*.example.org" covers subdomains
	Subprotocols             []string       // empty: the first one offered is selected
	TrustedProxies           []netip.Prefix // whose Forwarded and X-Forwarded-For are believed; none: nobody's
	MaxConnections           int            // 0: no limit
	MaxConnectionsPerAddress int            // 0: no limit; an IPv6 address is its first 64 bits
	MaxConnectionsPerUser    int            // 0: no limit; the empty user name is one user
	Rates                    Rates

	// Authorize has the app decide about each upgrade; it is Forwarder.Authorize of
	// package forward, and wants a Forwarder. nil: all are accepted that the rules
	// above let through.
	Authorize                func(src forward.Source, req forward.Request, done func(forward.Answer))
	MaxPendingAuthorizations int // handshakes that wait for that; default 10,000

	Log zerolog.Logger
}

const (
	defaultPingTimeout = 75 * time.Second
	defaultUserHeader  = "X-Bfl-User"

	defaultPendingAuthorizations = 10_000
)

var _ netpoll.Handler = (*Hub)(nil)

// Hub knows who is connected. It implements netpoll.Handler.
type Hub struct {
	// Static after construction.
	cfg         Config
	instance    instance
	origins     originRules
	proxies     proxies
	limiter     limiter
	clock       func() time.Duration // since the start
	pingTimeout uint32               // ticks
	serverPing  uint32               // ticks; 0: never
	pong        *netpoll.Frame       // the answer to a ping message
	ping        *netpoll.Frame       // an empty ping frame

	// Static once attached.
	loops    []*loopState
	compress func(*netpoll.Frame)

	// Synchronised in itself.
	directory   *directory
	addresses   *addressCounts // nil where they are not limited
	open        atomic.Int64   // connections, those included that are about to be listed
	authorizing atomic.Int64   // handshakes that wait for the app
	attached    atomic.Bool
	overloaded  atomic.Bool
	recovering  atomic.Bool
	draining    atomic.Bool
	replies     room // from answers of the app, on their way to the loops
	taps        taps
	stats       counters
}

// loopState is the hub's part of one event loop. Only the loop's goroutine
// touches it, but for the slab, whose sessions have rules of their own.
type loopState struct {
	loop      *netpoll.Loop
	sessions  netpoll.Slab[session]
	now       uint32                // seconds, as the last Tick said
	open      int                   // sessions
	deadlines wheel                 // ping timeouts, by slot
	pings     wheel                 // server pings, by slot
	paused    wheel                 // when to look again at those that are over their rate, by slot
	meters    *netpoll.Slab[meters] // by slot; nil where there are no Rates

	slow      int           // connections that ended as slow consumers
	timeOut   func(uint32)  // deadlines' fire
	sendPing  func(uint32)  // pings' fire
	goOn      func(uint32)  // paused's fire
	connID    [idChars]byte // the id in the event under way; forward copies it
	userPings atomic.Uint64 // see Stats.Pings
	dropped   atomic.Uint64 // see Stats.Dropped

	overMessages, overBytes atomic.Uint64 // see Stats.OverMessageRate

	closes closes
	lag    atomic.Int64 // see Stats.WheelLag
}

// New checks cfg.
func New(cfg Config) (*Hub, error) {
	if cfg.PingTimeout == 0 {
		cfg.PingTimeout = defaultPingTimeout
	}
	if cfg.UserHeader == "" {
		cfg.UserHeader = defaultUserHeader
	}
	if cfg.MaxPendingAuthorizations == 0 {
		cfg.MaxPendingAuthorizations = defaultPendingAuthorizations
	}
	switch {
	case cfg.Authorize != nil && cfg.Forwarder == nil:
		return nil, errors.New("hub: Authorize without a Forwarder")
	case cfg.MaxPendingAuthorizations < 0:
		return nil, errors.New("hub: a limit of pending authorizations is negative")
	case cfg.PingTimeout < 0:
		return nil, fmt.Errorf("hub: ping timeout %v is negative", cfg.PingTimeout)
	case cfg.ServerPing < 0:
		return nil, fmt.Errorf("hub: server ping interval %v is negative", cfg.ServerPing)
	case cfg.MaxConnections < 0 || cfg.MaxConnectionsPerUser < 0 || cfg.MaxConnectionsPerAddress < 0:
		return nil, errors.New("hub: a limit of connections is negative; 0 means none")
	case !isToken(cfg.UserHeader):
		return nil, fmt.Errorf("hub: %q cannot be the name of a header", cfg.UserHeader)
	}
	for _, p := range cfg.Subprotocols {
		if !isToken(p) {
			return nil, fmt.Errorf("hub: %q cannot be a subprotocol: RFC 6455 wants a token", p)
		}
	}
	origins, err := parseOrigins(cfg.AllowedOrigins)
	if err != nil {
		return nil, err
	}
	trusted, err := newProxies(cfg.TrustedProxies)
	if err != nil {
		return nil, err
	}
	limiter, err := newLimiter(cfg.Rates)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	h := &Hub{
		cfg: cfg, instance: newInstance(), origins: origins, proxies: trusted,
		limiter: limiter, clock: func() time.Duration { return time.Since(started) },
		pingTimeout: ticks(cfg.PingTimeout), serverPing: ticks(cfg.ServerPing),
		pong:      netpoll.NewFrame(ws.OpText, pongMessage),
		ping:      netpoll.NewFrame(ws.OpPing, nil),
		directory: newDirectory(),
	}
	if cfg.MaxConnectionsPerAddress > 0 {
		h.addresses = newAddressCounts()
	}
	return h, nil
}

// ticks is d in seconds, rounded up, and never so many that adding them to a
// loop's tick could overflow.
func ticks(d time.Duration) uint32 {
	return uint32(min((d+time.Second-1)/time.Second, math.MaxInt32))
}

// Attach gives the hub its loops. It must be called before the server starts.
func (h *Hub) Attach(s *netpoll.Server) { h.attach(s.Loops(), s.Compress) }

func (h *Hub) attach(loops []*netpoll.Loop, compress func(*netpoll.Frame)) {
	h.compress = compress
	for _, loop := range loops {
		ls := &loopState{loop: loop}
		ls.timeOut = func(slot uint32) { h.timeOut(ls, slot) }
		ls.sendPing = func(slot uint32) { h.sendPing(ls, slot) }
		ls.goOn = func(slot uint32) { h.goOn(ls, slot) }
		if h.limiter.limited() {
			ls.meters = new(netpoll.Slab[meters])
		}
		h.loops = append(h.loops, ls)
		h.directory.slabs = append(h.directory.slabs, &ls.sessions)
	}
	h.attached.Store(true)
}

// SetOverloaded refuses upgrades with 503 while on.
func (h *Hub) SetOverloaded(on bool) { h.overloaded.Store(on) }

// SetRecovering refuses upgrades with 503 while on.
func (h *Hub) SetRecovering(on bool) { h.recovering.Store(on) }

// SetDraining refuses upgrades with 503 from now on.
func (h *Hub) SetDraining() { h.draining.Store(true) }

// Ready reports whether upgrades are taken, and why not: "starting", "draining",
// "recovering" or "overloaded". Having reached MaxConnections is not among the reasons.
func (h *Hub) Ready() (ok bool, why string) {
	switch {
	case !h.attached.Load():
		return false, "starting"
	case h.draining.Load():
		return false, "draining"
	case h.recovering.Load():
		return false, "recovering"
	case h.overloaded.Load():
		return false, "overloaded"
	default:
		return true, ""
	}
}
