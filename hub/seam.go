package hub

import (
	"context"
	"errors"
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
	Forwarder             Forwarder     // nil: push-only, nothing is forwarded
	PingTimeout           time.Duration // default 75 s
	KeepaliveAny          bool          // any frame moves the deadline, not only pings and pongs
	ServerPing            time.Duration // send ping frames at this interval; 0: never
	UserHeader            string        // default X-Bfl-User
	RequireUser           bool
	AllowedOrigins        []string // empty: any; "https://*.example.org" covers subdomains
	Subprotocols          []string // empty: the first one offered is selected
	MaxConnections        int      // 0: no limit
	MaxConnectionsPerUser int      // 0: no limit
	Log                   zerolog.Logger
}

// Hub knows who is connected. It implements netpoll.Handler.
type Hub struct{ _ Config }

// New checks cfg.
func New(cfg Config) (*Hub, error) { panic("BUG: seam") }

// Attach gives the hub its loops. It must be called before the server starts.
func (h *Hub) Attach(s *netpoll.Server) { panic("BUG: seam") }

// Targets selects connections. The zero value selects none.
type Targets struct {
	All     bool
	Conn    string   // one connection; with Users set, only if it belongs to one of them
	Conns   []string // Close: these connections, besides those of Users
	Users   []string // all connections of these users, each connection once
	Exclude []string // connection ids that are left out
}

// Report counts what became of a send.
type Report struct {
	Matched int // connections that were targets
	Queued  int // of these, how many took the frame
	Slow    int // of these, how many were closed because too much waited for them
}

// ErrStopped is returned once the loops have ended.
var ErrStopped = errors.New("hub: stopped")

// Send gives frame to the targets' loops and returns. Two sends of which the
// second begins after the first returned reach a connection in that order.
// With wait it returns when every loop has taken the frame, with counts, or with
// ctx's error.
func (h *Hub) Send(ctx context.Context, t Targets, frame *netpoll.Frame, wait bool) (Report, error) {
	panic("BUG: seam")
}

// Close closes the targets; they are off the list when it returns.
func (h *Hub) Close(ctx context.Context, t Targets, code ws.StatusCode, reason string) (Report, error) {
	panic("BUG: seam")
}

// Info describes a connection.
type Info struct {
	ID          string
	User        string
	UserAgent   string
	RemoteAddr  string
	ConnectedAt time.Time
}

// Query selects and pages a list.
type Query struct {
	Users  []string // only these; nil: all
	Limit  int      // connections at most; 0: all
	Cursor string   // where the page before ended
}

// ErrCursor is returned for a cursor that List did not make.
var ErrCursor = errors.New("hub: not a cursor of this gateway")

// List calls yield with the connections grouped by user: consecutive calls may
// name the same user, but a user once left does not come again. The slice is
// valid during the call. No lock is held and no loop waits while yield runs,
// however long it takes. A connection that is there throughout is listed exactly
// once. next is the cursor of the page that follows, or "".
func (h *Hub) List(q Query, yield func(user string, conns []Info) error) (next string, err error) {
	panic("BUG: seam")
}

// Get describes one connection.
func (h *Hub) Get(id string) (Info, bool) { panic("BUG: seam") }

// Count returns how many connections and users with a connection there are.
func (h *Hub) Count() (connections, users int) { panic("BUG: seam") }

// Resume lets the connection that forward.Source.Key named be read again; it is
// forward.Config.Drained.
func (h *Hub) Resume(key uint64) { panic("BUG: seam") }

// SetOverloaded refuses upgrades with 503 while on.
func (h *Hub) SetOverloaded(on bool) { panic("BUG: seam") }

// SetDraining refuses upgrades with 503 from now on.
func (h *Hub) SetDraining() { panic("BUG: seam") }

// Ready reports whether upgrades are taken, and why not.
func (h *Hub) Ready() (ok bool, why string) { panic("BUG: seam") }

// Drain closes all connections with 1001 "going away", spread evenly over
// period, and returns when none is left or with ctx's error.
func (h *Hub) Drain(ctx context.Context, period time.Duration) error { panic("BUG: seam") }

// Stats are counters since the start, unless marked as a gauge.
type Stats struct {
	Connections, Users int64 // gauges
	Pings              uint64
	RefusedUser        uint64 // 400 and 401
	RefusedOrigin      uint64
	RefusedLimit       uint64 // MaxConnections
	RefusedUserLimit   uint64
	RefusedOverload    uint64
	RefusedDraining    uint64
	Sends              uint64 // calls of Send
	Matched            uint64 // targets of all sends
	Queued, Slow       uint64
}

// Stats returns a snapshot.
func (h *Hub) Stats() Stats { panic("BUG: seam") }
