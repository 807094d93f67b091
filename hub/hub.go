package hub

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"github.com/rs/zerolog"
	"golang.org/x/sync/semaphore"

	"ws-gateway/forward"
	"ws-gateway/hub/directory"
	"ws-gateway/hub/groups"
	"ws-gateway/hub/meta"
	"ws-gateway/hub/wheel"
	"ws-gateway/netpoll"
)

// Forwarder is the hub's view of package forward.
type Forwarder interface {
	Open(src forward.Source, req forward.Request)
	Message(src forward.Source, data []byte, binary bool) (full bool)
	Close(src forward.Source, end forward.End)
	Resumed(src forward.Source, away time.Duration) (full bool)
}

// Config of a Hub. Zero values mean the defaults named beside them.
type Config struct {
	Forwarder    Forwarder     // nil: push-only, nothing is forwarded
	PingTimeout  time.Duration // default 75 s; kept to the second, rounded up
	KeepaliveAny bool          // any frame moves the deadline, not only pings and pongs

	// Settle, if there is one, is called before a send or a close. It returns once the
	// answers that the app has given before have been dealt with: those to events of
	// the connections in keys, or, without keys, all. See forward.Forwarder.Settle.
	Settle func(ctx context.Context, keys ...uint64)

	ServerPing               time.Duration  // send ping frames at this interval, rounded up to seconds; 0: never
	UserHeader               string         // default X-Bfl-User
	RequireUser              bool           // refuse clients without a user name, or with an empty one
	ForwardHeaders           []string       // headers of the handshake that go with each event; empty: Cookie
	AllowedOrigins           []string       // empty: any; "https://*.example.org" covers subdomains
	Subprotocols             []string       // empty: the first one offered is selected
	TrustedProxies           []netip.Prefix // proxies whose Forwarded and X-Forwarded-For the hub believes
	MaxConnections           int            // 0: no limit
	MaxConnectionsPerAddress int            // 0: no limit; an IPv6 address is its first 64 bits
	MaxConnectionsPerUser    int            // 0: no limit; the empty user name is one user
	MaxGroupsPerConnection   int            // default 100
	GroupMemory              int64          // bytes that groups and metadata may take, those of all loops together; default 256 MiB
	Rates                    Rates

	// Authorize has the app decide about each upgrade that the rules above let
	// through. It is forward.Forwarder.Authorize, and needs a Forwarder. nil: all of
	// these are accepted.
	Authorize                func(src forward.Source, req forward.Request, done func(forward.Answer))
	MaxPendingAuthorizations int // handshakes that wait for that; default 10,000

	// Meta has the metadata of connections, nil: they have none. It is the Forwarder's, too,
	// if there is one, which drops what a connection has after its close event.
	Meta *meta.Store

	// Origin is that of the hub whose sessions this one takes up, see Restore; nil: of none.
	Origin *Origin

	// ResumeEvents has the app told of each client that resumes its session.
	ResumeEvents bool

	// Names, if there is one, is told which users have connections here, and which
	// groups members.
	Names Names

	Log zerolog.Logger
}

// Names is told when a user has a first connection and when the last has gone, and, for
// each loop, when a group has a first member and when the last has gone. That is when
// whoever sends to them would find them, or find them no more. Calls come from loops,
// which hold a lock meanwhile: they must not wait, or call the hub.
type Names interface {
	directory.Watcher
	groups.Watcher
}

const (
	defaultPingTimeout = 75 * time.Second
	defaultUserHeader  = "X-Bfl-User"

	defaultPendingAuthorizations = 10_000

	defaultGroups      = 100
	defaultGroupMemory = 256 << 20
	mostGroupMemory    = 4 << 30 // the places of names are 32-bit numbers
)

var _ netpoll.Handler = (*Hub)(nil)

// Hub knows who is connected. It implements netpoll.Handler.
type Hub struct {
	// Static after construction.
	cfg      Config // as it was at the start; see settings for what a reload changes
	instance instance
	clock    func() time.Duration // since the start
	pong     *netpoll.Frame       // the answer to a ping message
	ping     *netpoll.Frame       // an empty ping frame

	// For New, Attach and Reload only, which must not overlap.
	settings *settings

	// Static once attached.
	loops   []*loopState
	prepare func(*netpoll.Frame)

	ctx    context.Context // ends with GiveUp
	giveUp context.CancelFunc

	// Synchronised in itself.
	directory   *directory.Directory
	groups      *groups.Directory
	open        atomic.Int64 // connections, including those that are about to be listed
	authorizing atomic.Int64 // handshakes that wait for the app
	attached    atomic.Bool
	overloaded  atomic.Bool
	recovering  atomic.Bool
	draining    atomic.Bool
	room        room
	maxGroups   atomic.Int64        // of a connection, for those who are not on a loop
	replies     replySlots          // of the app's answers, on their way to the loops
	joining     *semaphore.Weighted // of joins; see allShares
	taps        taps
	stats       counters

	overGroups, overGroupMemory sync.Once // for the log
}

// loopState is what the hub keeps for one event loop. Only the loop's goroutine
// touches it, except for the sessions, which have rules of their own, and for what
// is atomic.
type loopState struct {
	loop      *netpoll.Loop
	index     int
	settings  *settings // see Reload
	sessions  netpoll.Slab[directory.Session]
	now       uint32                       // seconds, as the last Tick said
	grace     uint32                       // tick before which nobody is closed for missing pings
	open      int                          // sessions
	deadlines wheel.Wheel                  // ping timeouts, by slot
	pings     wheel.Wheel                  // server pings, by slot
	paused    wheel.Wheel                  // when to look again at who is over its rate, by slot
	buckets   *netpoll.Slab[buckets]       // by slot; nil if there are no Rates
	groups    *groups.Table                // nil before the first join
	opened    *netpoll.Slab[time.Duration] // by slot, when by Hub.clock; nil without Config.Names
	joins     *joins                       // nil without Config.Names
	counted   uint32                       // the slots below it are counted by address, if that is limited

	slow      int           // connections that ended as slow consumers
	timeOut   func(uint32)  // deadlines' fire
	sendPing  func(uint32)  // pings' fire
	goOn      func(uint32)  // paused's fire
	connID    [idChars]byte // the id in the event under way; forward copies it
	userPings atomic.Uint64 // see Stats.Pings
	dropped   atomic.Uint64 // see Stats.Dropped
	heads     atomic.Int64  // see Stats.HeadBytes

	overMessages, overBytes atomic.Uint64 // see Stats.OverMessageRate

	givingWay givingWay   // guarded by Hub.room.mu
	givesWay  atomic.Bool // there are sessions to be ended for others

	grouping groupCounters
	closes   closeCounters
	lag      atomic.Int64 // see Stats.WheelLag
}

// New checks cfg.
func New(cfg Config) (*Hub, error) {
	cfg = cfg.withDefaults()
	if cfg.Authorize != nil && cfg.Forwarder == nil {
		return nil, errors.New("hub: Authorize without a Forwarder")
	}
	s, err := newSettings(&cfg)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	ctx, giveUp := context.WithCancel(context.Background())
	in := newInstance()
	if cfg.Origin != nil {
		in = cfg.Origin.instance
		cfg.Meta.GoOn(cfg.Origin.metaNumber)
	}
	users, dir := directory.New(in.appendID), groups.NewDirectory()
	dir.SetLimit(cfg.GroupMemory)
	cfg.Meta.Use(dir)
	if cfg.Names != nil {
		users.Watch(cfg.Names)
		dir.Watch(cfg.Names)
	}
	h := &Hub{
		cfg: cfg, settings: s, instance: in, ctx: ctx, giveUp: giveUp,
		clock:     func() time.Duration { return time.Since(started) },
		pong:      netpoll.NewFrame(ws.OpText, pongMessage),
		ping:      netpoll.NewFrame(ws.OpPing, nil),
		directory: users,
		groups:    dir,
		replies:   make(replySlots, maxReplies),
		joining:   semaphore.NewWeighted(allShares),
	}
	h.maxGroups.Store(int64(s.maxGroups))
	return h, nil
}

func (cfg Config) withDefaults() Config {
	cfg.PingTimeout = cmp.Or(cfg.PingTimeout, defaultPingTimeout)
	cfg.UserHeader = cmp.Or(cfg.UserHeader, defaultUserHeader)
	cfg.MaxGroupsPerConnection = cmp.Or(cfg.MaxGroupsPerConnection, defaultGroups)
	cfg.GroupMemory = cmp.Or(cfg.GroupMemory, defaultGroupMemory)
	cfg.MaxPendingAuthorizations = cmp.Or(cfg.MaxPendingAuthorizations, defaultPendingAuthorizations)
	return cfg
}

// ticks is d in seconds, rounded up, and small enough to be added to a loop's tick
// without overflow.
func ticks(d time.Duration) uint32 {
	return uint32(min((d+time.Second-1)/time.Second, math.MaxInt32))
}

// Attach gives the hub its loops. It must be called before the server starts.
func (h *Hub) Attach(s *netpoll.Server) { h.attach(s.Loops(), s.Prepare) }

func (h *Hub) attach(loops []*netpoll.Loop, prepare func(*netpoll.Frame)) {
	h.prepare = prepare
	for i, loop := range loops {
		ls := &loopState{loop: loop, index: i}
		if h.cfg.Names != nil {
			ls.opened = new(netpoll.Slab[time.Duration])
			ls.joins = new(joins)
		}
		ls.timeOut = func(slot uint32) { h.timeOut(ls, slot) }
		ls.sendPing = func(slot uint32) { h.sendPing(ls, slot) }
		ls.goOn = func(slot uint32) { h.goOn(ls, slot) }
		ls.configure(h.settings, 0)
		h.loops = append(h.loops, ls)
		h.directory.AddLoop(&ls.sessions)
	}
	h.attached.Store(true)
}

// GiveUp ends the waiting for event loops, now and from now on: Reply, Resume and
// the answers to Authorize then drop what they have. It is the last resort of a
// shutdown, so that a loop that hangs holds up no callback.
func (h *Hub) GiveUp() { h.giveUp() }

// SetOverloaded refuses upgrades with 503 while on.
func (h *Hub) SetOverloaded(on bool) { h.overloaded.Store(on) }

// SetRecovering refuses upgrades with 503 while on.
func (h *Hub) SetRecovering(on bool) { h.recovering.Store(on) }

// SetDraining refuses upgrades with 503 from now on.
func (h *Hub) SetDraining() { h.draining.Store(true) }

// Draining reports whether SetDraining has been called.
func (h *Hub) Draining() bool { return h.draining.Load() }

// Ready reports whether the hub takes upgrades, and if not, why: "starting",
// "draining", "recovering" or "overloaded". MaxConnections is not among the reasons.
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
