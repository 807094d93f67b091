package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"github.com/rs/zerolog"

	"ws-gateway/cluster/bus"
	"ws-gateway/cluster/call"
	"ws-gateway/cluster/interest"
	"ws-gateway/cluster/members"
	"ws-gateway/cluster/packet"
	"ws-gateway/cluster/stream"
	"ws-gateway/hub"
	"ws-gateway/hub/meta"
	"ws-gateway/netpoll"
)

// Connections are those of one gateway, which its hub knows, or of all instances, which a
// Cluster knows: what a call may be about. Package hub says what each method does.
type Connections interface {
	SendThen(ctx context.Context, t hub.Targets, frame *netpoll.Frame, wait bool, done hub.Releaser) (hub.Report, error)
	Close(ctx context.Context, t hub.Targets, code ws.StatusCode, reason string) (hub.Report, error)
	Join(ctx context.Context, t hub.Targets, groups []string) (matched int, err error)
	Leave(ctx context.Context, t hub.Targets, groups []string) (matched int, err error)
	SetMeta(ctx context.Context, t hub.Targets, v *meta.Value) (matched int, err error)

	Readable
}

// Readable are connections that can be listed.
type Readable interface {
	ListMembers(ctx context.Context, groups []string, q hub.Query, yield func(user string, conns []hub.Info) error) (next string, err error)
	CountMembers(ctx context.Context, groups []string, q hub.Query) (connections, users int, err error)
	ListGroups(ctx context.Context, q hub.GroupQuery, yield func([]hub.Group) error) (next string, err error)
	Describe(ctx context.Context, id string) (info hub.Info, groups []string, ok bool, err error)
}

// Local is what the cluster needs of this instance's hub.
type Local interface {
	Connections
	ParseMeta(json string) (*meta.Value, error)
	Post(ctx context.Context, t hub.Targets, frame *netpoll.Frame, done hub.Releaser) (reported func(context.Context) (hub.Report, error), err error)
	Tap(f hub.TapFilter) (*hub.Tap, error)
	ParseID(name []byte) (id netpoll.ID, ok bool)
}

var (
	_ Local       = (*hub.Hub)(nil)
	_ Connections = (*Cluster)(nil)
	_ Readable    = (*Part)(nil)
)

// Config of a Cluster. Zero values mean the defaults named beside them.
type Config struct {
	Hub      Local           // required
	Bus      bus.Bus         // required; Stop closes it
	Instance packet.Instance // required: a number that no other instance has, nor another run of this one
	Makes    packet.Instance // the hub's, with which the ids of its connections begin; default: Instance
	App      string          // required
	Name     string          // of this instance, for people; required
	Version  string          // of the program, for people

	Timeout   time.Duration // for other instances to answer; default 2 s
	Hold      time.Duration // for which a message to an instance is held that is not heard; default 2 s
	Buffer    int           // bytes of all that is held; default 16 MiB
	DeadAfter time.Duration // silence after which an instance counts as gone; default 15 s
	MaxCall   int           // bytes of the largest call; default 16 MiB; Buffer is that at the least

	// Names knows who is here; it is the hub's Config.Names. nil: the others are not told,
	// and send everything.
	Names *Names

	// Sessions are the gateway's connections, for clients that come back at other instances;
	// nil: nobody does, here or there.
	Sessions Sessions
	Relays   int // clients that are carried to sessions of others at a time, and as many to sessions here; default 1024; below 0: none

	// Refuse has calls that change something do nothing if they cannot reach everybody.
	Refuse bool

	// Loops says, for the others' operators, how many loops there are and by how much the
	// slowest is behind; nil: nothing.
	Loops func() (n int, lag time.Duration)

	// Draining says, for the others' operators, whether this instance ends its connections
	// and takes no new ones; nil: it does not.
	Draining func() bool

	// Returns says for how long clients that come to others for sessions here should wait for
	// the next run, which has them; nil or 0: this instance does not end, or for good. Others
	// wait for a minute at most.
	Returns func() time.Duration

	Log zerolog.Logger

	clock     func() time.Duration // since the start; for tests
	lastWords time.Duration        // for tests; default: the constant longestBye
	listenFor time.Duration        // for tests; default: the constant; below 0: whoever is there counts as known at once
}

// The defaults.
const (
	defaultTimeout   = 2 * time.Second
	defaultHold      = 2 * time.Second
	defaultBuffer    = 16 << 20
	defaultDeadAfter = 15 * time.Second
	defaultMaxCall   = 16 << 20
	defaultRelays    = 1024

	clockStart = time.Second // on the instance's own clock: times of streams are above 0

	callOverhead = 64 << 10 // what a message may have beside its call
)

func (cfg *Config) complete() error {
	switch {
	case cfg.Hub == nil || cfg.Bus == nil || cfg.Instance == (packet.Instance{}) || cfg.App == "":
		return errors.New("cluster: Config.Hub, Bus, Instance and App are required")
	case members.CheckName(cfg.Name) != nil:
		return fmt.Errorf("cluster: Config.Name: %w", members.CheckName(cfg.Name))
	}
	cfg.Makes = cmp.Or(cfg.Makes, cfg.Instance)
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultTimeout)
	cfg.Hold = cmp.Or(cfg.Hold, defaultHold)
	cfg.DeadAfter = cmp.Or(cfg.DeadAfter, defaultDeadAfter)
	cfg.Relays = max(0, cmp.Or(cfg.Relays, defaultRelays))
	cfg.MaxCall = cmp.Or(cfg.MaxCall, defaultMaxCall) + callOverhead
	cfg.Buffer = max(cmp.Or(cfg.Buffer, defaultBuffer), cfg.MaxCall+callOverhead)
	if cfg.Hold >= cfg.DeadAfter {
		return fmt.Errorf("cluster: Config.Hold, %s, must be shorter than DeadAfter, %s", cfg.Hold, cfg.DeadAfter)
	}
	cfg.listenFor = cmp.Or(cfg.listenFor, listenFor)
	cfg.lastWords = cmp.Or(cfg.lastWords, longestBye)
	if cfg.clock == nil {
		started := time.Now().Add(-clockStart)
		cfg.clock = func() time.Duration { return time.Since(started) }
	}
	return nil
}

// Cluster is all instances of an app's gateway, as seen from one of them. Its calls are
// those of the hub; a call that could not reach everybody returns what it has and a
// *MissingError. Make it with New.
type Cluster struct {
	// Static.
	cfg     Config
	hub     Local
	key     interest.Key
	mailbox *mailbox
	started bool
	made    time.Time
	ctx     context.Context // of what executors do; ends with Stop
	cancel  context.CancelFunc
	met     chan struct{}  // closed when the others know this instance, as far as they are there
	ending  chan struct{}  // closed by Stop
	ended   chan struct{}  // closed when the router has ended
	work    sync.WaitGroup // executors and what they have begun
	slots   chan struct{}  // one for each call of another instance that is being done

	view      atomic.Pointer[view]
	instances atomic.Pointer[[]Instance] // the others
	stats     counters
	watches   watches
	watched   atomic.Uint64 // Taps that there have been
	relays    *relays

	router // for the router alone
}

// mostRemote is how many calls of other instances are done at a time.
const mostRemote = 256

// New checks cfg. Nothing runs before Start.
func New(cfg Config) (*Cluster, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	c := &Cluster{
		cfg: cfg, hub: cfg.Hub, made: time.Now(), key: interest.NewKey(cfg.App), mailbox: newMailbox(cfg.Buffer),
		met: make(chan struct{}), ending: make(chan struct{}), ended: make(chan struct{}), slots: make(chan struct{}, mostRemote),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.router = router{
		members:  members.New(members.Config{Self: cfg.Instance, Makes: cfg.Makes, Name: cfg.Name, DeadAfter: cfg.DeadAfter}),
		peers:    map[packet.Instance]*peer{},
		pending:  map[uint64]*pending{},
		holds:    stream.NewBuffer(cfg.Buffer),
		arrivals: stream.NewBuffer(2 * cfg.Buffer),
		table:    interest.NewTable(rand.Uint64(), mostNames),
		away:     returning{},
		upSince:  clockStart,
	}
	c.relays = newRelays(c)
	c.view.Store(&view{missing: []string{Unknown}, since: clockStart, deadAfter: cfg.DeadAfter, next: make(chan struct{})})
	c.instances.Store(new([]Instance))
	return c, nil
}

// Start begins to look for other instances.
func (c *Cluster) Start() {
	c.started = true
	go c.run()
}

// Introduce returns when the others know this instance: what is called at them from then on
// reaches whoever connects here. It waits for no longer than they need to answer, or for a
// second if the link does not come up, nor is known to be down.
func (c *Cluster) Introduce() {
	timer := time.NewTimer(linkWithin)
	defer timer.Stop()
	select {
	case <-c.met:
	case <-timer.C:
	}
}

// linkWithin is how long Introduce waits for the link.
const linkWithin = time.Second

// Up reports whether the link to the others is up.
func (c *Cluster) Up() bool { return c.view.Load().up }

// Whole reports whether the link is up and all other instances are known, though some of
// them may be silent.
func (c *Cluster) Whole() bool { return c.view.Load().whole }

// hearLast returns when the others have told of all who had connected there, or joined a
// group, before it was called. What was sent to these and has missed them is sent to them
// then: after its goodbye nothing of this instance is taken any more. An answer comes behind
// all that its instance has to tell, whatever was asked.
func (c *Cluster) hearLast() {
	ctx, cancel := context.WithTimeout(c.ctx, c.cfg.lastWords)
	defer cancel()
	nothing := call.Call{Targets: hub.Targets{Conn: "-"}}
	if p, err := c.post(ctx, &route{others: true}, call.Describe, &nothing, nil, true); err == nil {
		c.wait(ctx, p)
	}
}

// longestBye is how long Stop waits for the others to say who is there, and then for them to
// have what was sent to them.
const longestBye = time.Second

// Stop tells the others that this instance ends, and ends. Calls must have ended.
func (c *Cluster) Stop() {
	c.relays.stop()
	if c.started {
		c.hearLast()
	}
	close(c.ending)
	if c.started {
		<-c.ended
	}
	c.cancel()
	c.work.Wait()
	c.watches.end(func(watchKey, *watch) bool { return true })
	c.cfg.Bus.Close()
}
