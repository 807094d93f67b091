package gateway

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"ws-gateway/admin"
	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/host"
	"ws-gateway/cmd/ws-gateway/internal/awake"
	"ws-gateway/cmd/ws-gateway/internal/reload"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/cmd/ws-gateway/systemd"
	"ws-gateway/forward"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

// gateway is the four packages wired together, in the order in which a message
// passes through them.
type Gateway struct {
	// Static after newGateway.
	process    *program.Process
	cfg        *config.Config // of the start; see config for what is in force
	log        zerolog.Logger
	sockets    *netpoll.Server
	hub        *hub.Hub
	events     *forward.Forwarder // nil: push only
	recovery   *recovery          // nil: no journal
	admin      *admin.Server
	address    net.Addr     // of the clients
	management net.Listener // the clients' own, or the one of --admin-listen
	metrics    net.Listener // nil: no --metrics-listen

	limits     host.Limits
	clock      *awake.Clock // by which what takes too long is given up
	supervisor *systemd.Notifier
	collectors []prometheus.Collector // of metrics that none of the packages has
	beside     context.Context        // of goroutines that only look
	endBeside  context.CancelFunc

	inForce atomic.Pointer[config.Config] // set by reload, see config
	record  *reload.Record

	serving sync.WaitGroup
	failed  chan error // the first part that ended by itself, and why
}

// newGateway builds a gateway for p and binds its addresses; nothing runs before
// serve. An error leaves nothing behind.
func New(p *program.Process, c *config.Config, log zerolog.Logger) (*Gateway, error) {
	g := emptyGateway(p, c, log)
	for _, step := range []func() error{g.limitConnections, g.build, g.listen} {
		if err := step(); err != nil {
			g.Discard()
			return nil, err
		}
	}
	return g, nil
}

// emptyGateway has no parts yet.
func emptyGateway(p *program.Process, c *config.Config, log zerolog.Logger) *Gateway {
	g := &Gateway{
		process: p, cfg: c, log: log,
		clock: awake.New(), supervisor: systemd.NewNotifier(log), record: reload.NewRecord(time.Now()),
		failed: make(chan error, 1),
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
	g.limits.Memory.Leave(g.cfg.Plan(g.connectionLimit(g.cfg)).KernelPart())
	g.limits.Memory.Apply()
	return g.warnOfLimits()
}

// build makes the parts. Those that are asked first are made last: each one gets
// what it calls.
func (g *Gateway) build() (err error) {
	if g.cfg.Journal != "" && g.cfg.Callback != "" {
		if g.recovery, err = newRecovery(g); err != nil {
			return err
		}
	}
	if g.cfg.Callback != "" {
		if g.events, err = forward.New(g.forwardConfig(g.cfg)); err != nil {
			return err
		}
	}
	if g.hub, err = hub.New(g.hubConfig(g.cfg)); err != nil {
		return err
	}
	if g.sockets, err = netpoll.New(g.netpollConfig(g.cfg)); err != nil {
		return err
	}
	g.hub.Attach(g.sockets)
	g.admin, err = admin.New(g.adminConfig(g.cfg))
	return err
}

// start sets the parts running, those that others call first. After an error, too,
// shutdown is due.
func (g *Gateway) start() error {
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
	if err := g.sockets.Start(); err != nil {
		return err
	}
	g.serving.Go(func() { g.supervisor.KeepWatchdog(g.beside, g.sockets.Turns, g.status) })
	if g.cfg.Callback != "" {
		g.serving.Go(func() { g.lookForApp(g.beside) })
	}
	if g.recovery != nil {
		if len(g.recovery.lost) > 0 {
			g.supervisor.Recovering(g.cfg.CallbackRetryFor + g.cfg.CallbackTimeout)
		}
		g.recovery.start()
	} else {
		g.logReady()
	}
	return nil
}

// notedSleep is from which length on the log tells of a time in which the process
// did not run. What is shorter is a busy machine.
const notedSleep = 3 * time.Second

func (g *Gateway) slept(d time.Duration) {
	if d >= notedSleep {
		g.log.Warn().Stringer("for", d.Round(100*time.Millisecond)).
			Msg("the process did not run for a while: was it stopped, or its virtual machine paused? What clients and the app have sent meanwhile still counts")
	}
}

// fail ends the gateway because a part has ended. Of several failures the first
// counts.
func (g *Gateway) fail(err error) {
	select {
	case g.failed <- err:
	default:
	}
}

// Try makes the parts of a gateway as New does, but for the files, and discards them:
// it returns why they cannot be made.
func Try(c *config.Config, limits *host.Limits) error {
	g := emptyGateway(new(program.Process), c.WithoutOutputs(), zerolog.Nop())
	g.limits = *limits
	err := g.build()
	g.Discard()
	return err
}
