package gateway

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"ws-gateway/admin"
	"ws-gateway/cluster"
	"ws-gateway/cluster/bus"
	clusterjournal "ws-gateway/cluster/journal"
	"ws-gateway/cluster/packet"
	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/host"
	"ws-gateway/cmd/ws-gateway/internal/awake"
	"ws-gateway/cmd/ws-gateway/internal/reload"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/cmd/ws-gateway/systemd"
	"ws-gateway/forward"
	"ws-gateway/hub"
	"ws-gateway/hub/meta"
	"ws-gateway/netpoll"
)

// Gateway is the four packages wired together, in the order in which a message passes
// through them.
type Gateway struct {
	// Static after New.
	process    *program.Process
	cfg        *config.Config // at the start; config returns the one in force
	log        zerolog.Logger
	sockets    *netpoll.Server
	hub        *hub.Hub
	events     *forward.Forwarder                      // nil: push only
	recovery   *recovery                               // nil: no journal
	meta       *meta.Store                             // nil: connections have none
	reach      func(instance [8]byte) (bus.Bus, error) // the other instances; nil: there are none
	cluster    *cluster.Cluster                        // likewise
	takeover   *clusterjournal.Journal                 // of --cluster-journal; nil: none
	names      *cluster.Names                          // who is here, for them; likewise
	sessions   *sessions                               // nil: no --resume-state
	admin      *admin.Server
	address    net.Addr     // of the clients
	management net.Listener // the clients' own, or the one of --admin-listen
	metrics    net.Listener // nil: no --metrics-listen

	limits     host.Limits
	clock      *awake.Clock // for deadlines: it does not count times in which the process was stopped
	notifier   *systemd.Notifier
	collectors []prometheus.Collector // of metrics that the packages do not have
	beside     context.Context        // ends the goroutines that only observe
	endBeside  context.CancelFunc

	inForce atomic.Pointer[config.Config] // set by reload
	record  *reload.Record

	keptNone atomic.Bool // set by shutdown: no session was written down

	serving sync.WaitGroup
	failed  chan error // why the first part has ended by itself
}

// New builds a gateway for p and binds its addresses; nothing runs before Serve. After an
// error nothing is left behind.
func New(p *program.Process, c *config.Config, log zerolog.Logger) (*Gateway, error) {
	return NewIn(p, c, log, nil)
}

// NewIn is New for one of several gateways in this process, which answer as one. reach
// returns the bus of an instance, by its number.
func NewIn(p *program.Process, c *config.Config, log zerolog.Logger, reach func(instance [8]byte) (bus.Bus, error)) (*Gateway, error) {
	g := emptyGateway(p, c, log)
	if reach != nil {
		g.reach = reach
	}
	for _, step := range []func() error{g.limitConnections, g.openSessions, g.build, g.listen, g.beginSessions} {
		if err := step(); err != nil {
			g.Discard()
			return nil, err
		}
	}
	return g, nil
}

// emptyGateway returns a gateway without parts.
func emptyGateway(p *program.Process, c *config.Config, log zerolog.Logger) *Gateway {
	g := &Gateway{
		process: p, cfg: c, log: log,
		clock: awake.New(), notifier: systemd.NewNotifier(log), record: reload.NewRecord(time.Now()),
		failed: make(chan error, 1),
	}
	if c.Clustered() {
		g.reach = g.overNATS
	}
	g.collectors = []prometheus.Collector{g.record}
	g.inForce.Store(c)
	g.beside, g.endBeside = context.WithCancel(context.Background())
	return g
}

func (g *Gateway) limitConnections() (err error) {
	if g.limits, err = host.LookAround(g.cfg.MemoryShare); err != nil {
		return err
	}
	g.limits.Processors.Use(g.cfg.Loops).Apply()
	g.limits.Memory.Leave(g.cfg.Plan(g.connectionLimit(g.cfg)).KernelPart())
	g.limits.Memory.Apply()
	return g.warnOfLimits()
}

// build makes the parts, those that others call first: each one gets what it calls.
func (g *Gateway) build() (err error) {
	if g.cfg.Journal != "" && g.cfg.Callback != "" {
		if g.recovery, err = newRecovery(g); err != nil {
			return err
		}
	}
	if g.takesOver() {
		g.takeover = newTakeover(g)
		if g.sessions != nil && g.sessions.found != nil && g.sessions.found.journal != nil {
			g.takeover.GoOn(*g.sessions.found.journal)
		}
	}
	g.keepMeta()
	if g.cfg.Callback != "" {
		if g.events, err = forward.New(g.forwardConfig(g.cfg)); err != nil {
			return err
		}
	}
	if g.reach != nil {
		g.names = cluster.NewNames(g.cfg.ClusterApp, rand.Uint64())
	}
	if g.hub, err = hub.New(g.hubConfig(g.cfg)); err != nil {
		return err
	}
	if g.sockets, err = netpoll.New(g.netpollConfig(g.cfg)); err != nil {
		return err
	}
	g.hub.Attach(g.sockets)
	if g.reach != nil {
		if err = g.join(); err != nil {
			return err
		}
	}
	g.admin, err = admin.New(g.adminConfig(g.cfg))
	return err
}

// start starts the parts, those that others call first. shutdown must follow even after
// an error.
func (g *Gateway) start() error {
	if g.takeover != nil {
		g.takeover.Start(packet.Instance(g.hub.Instance()), packet.Instance(g.run()))
	}
	g.takeSessions()
	if g.events != nil {
		g.events.Start()
	}
	if g.recovery != nil {
		g.recovery.prepare()
	}
	g.serving.Go(func() { g.clock.Run(g.beside, g.slept) })
	g.serving.Go(func() { host.Trim(g.beside) })
	g.serving.Go(func() {
		if err := g.admin.Serve(g.management); err != nil {
			g.fail(err)
		}
	})
	if g.metrics != nil {
		g.serving.Go(func() {
			if err := g.admin.ServeMetrics(g.metrics); err != nil {
				g.fail(err)
			}
		})
	}
	g.sockets.Run()
	if g.cluster != nil {
		g.cluster.Start()
		g.cluster.Introduce()
	}
	if err := g.sockets.Start(); err != nil {
		return err
	}
	g.serving.Go(func() { g.notifier.KeepWatchdog(g.beside, g.sockets.Turns, g.status) })
	if g.cfg.Callback != "" {
		g.serving.Go(func() { g.lookForApp(g.beside) })
	}
	if g.recovery != nil {
		if len(g.recovery.lost) > 0 {
			g.notifier.Recovering(g.cfg.CallbackRetryFor + g.cfg.CallbackTimeout)
		}
		g.recovery.start()
	} else {
		g.logReady()
	}
	return nil
}

// notedSleep is the shortest time without running that is logged. Shorter ones only mean
// that the machine is busy.
const notedSleep = 3 * time.Second

func (g *Gateway) slept(d time.Duration) {
	if d >= notedSleep {
		g.log.Warn().Stringer("for", d.Round(100*time.Millisecond)).
			Msg("the process did not run for a while: was it stopped, or its virtual machine paused? What clients and the app have sent meanwhile still counts")
	}
}

// fail ends the gateway because a part has ended by itself. The first failure counts.
func (g *Gateway) fail(err error) {
	select {
	case g.failed <- err:
	default:
	}
}

// Try builds the parts of a gateway as New does, without its files, and discards them. It
// returns why they cannot be built.
func Try(c *config.Config, limits *host.Limits) error {
	g := emptyGateway(new(program.Process), c.WithoutOutputs(), zerolog.Nop())
	g.limits = *limits
	err := g.build()
	g.Discard()
	return err
}
