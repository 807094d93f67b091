package main

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"ws-gateway/admin"
	"ws-gateway/admin/listen"
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
type gateway struct {
	// Static after newGateway.
	cfg        *config.Config // of the start; see config for what is in force
	log        zerolog.Logger
	level      *program.Level // of log; nil: it cannot be changed
	sockets    *netpoll.Server
	hub        *hub.Hub
	events     *forward.Forwarder // nil: push only
	recovery   *recovery          // nil: no journal
	admin      *admin.Server
	address    net.Addr     // of the clients
	management net.Listener // the clients' own, or the one of --admin-listen
	metrics    net.Listener // nil: no --metrics-listen

	around     host.Limits
	clock      *awake.Clock // by which what takes too long is given up
	supervisor *systemd.Notifier
	logLost    func() uint64
	collectors []prometheus.Collector // of metrics that none of the packages has
	beside     context.Context        // of goroutines that only look
	endBeside  context.CancelFunc

	inForce atomic.Pointer[config.Config] // set by reload, see config
	record  *reload.Record

	serving sync.WaitGroup
	failed  chan error // the first part that ended by itself, and why
}

// newGateway builds a gateway and binds its addresses; nothing runs before
// start. An error leaves nothing behind.
func newGateway(cfg *config.Config, log zerolog.Logger, logLost func() uint64) (*gateway, error) {
	g := emptyGateway(cfg, log, logLost)
	for _, step := range []func() error{g.limitConnections, g.build, g.listen} {
		if err := step(); err != nil {
			g.discard()
			return nil, err
		}
	}
	return g, nil
}

// emptyGateway has no parts yet.
func emptyGateway(cfg *config.Config, log zerolog.Logger, logLost func() uint64) *gateway {
	g := &gateway{cfg: cfg, log: log, clock: awake.New(), supervisor: systemd.NewNotifier(log), failed: make(chan error, 1), logLost: logLost, record: reload.NewRecord(time.Now())}
	g.collectors = []prometheus.Collector{g.record}
	g.inForce.Store(cfg)
	g.beside, g.endBeside = context.WithCancel(context.Background())
	return g
}

func (g *gateway) limitConnections() (err error) {
	if g.around, err = host.LookAround(g.cfg.MemoryShare); err != nil {
		return err
	}
	g.around.Memory.Leave(g.cfg.Plan(g.connectionLimit(g.cfg)).KernelPart())
	g.around.Memory.Apply()
	return g.warnOfLimits()
}

// build makes the parts. Those that are asked first are made last: each one gets
// what it calls.
func (g *gateway) build() (err error) {
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

func (g *gateway) forwardConfig(c *config.Config) forward.Config {
	fc := c.Forward()
	fc.Epoch, fc.Clock, fc.Log = rand.Text(), g.clock.Now, g.log
	fc.Drained = func(key uint64) { g.hub.Resume(key) }
	fc.Pressure = func(l forward.Level) {
		g.hub.SetOverloaded(l == forward.Full)
		g.sockets.SetPressure(l >= forward.Stopped)
	}
	if g.recovery != nil {
		fc.Journal = g.recovery.journal
	}
	if c.CallbackReply {
		fc.Reply = func(key uint64, r forward.Reply) { g.hub.Reply(key, r) }
	}
	return fc
}

func (g *gateway) hubConfig(c *config.Config) hub.Config {
	hc := c.Hub(g.connectionLimit(c))
	hc.Log = g.log
	if g.events == nil {
		return hc
	}
	hc.Forwarder = g.events
	if c.Authorizes() {
		hc.Authorize = g.events.Authorize
	}
	if c.CallbackReply || c.Authorizes() {
		hc.Settle = g.events.Settle
	}
	return hc
}

func (g *gateway) netpollConfig(c *config.Config) netpoll.Config {
	nc := c.Netpoll(g.around.Handshakes(c.Demand()))
	nc.Handler, nc.Failed, nc.Log = g.hub, g.fail, g.log
	if c.ByteRate > 0 {
		nc.Received = g.hub.Received
	}
	if c.AdminListen == "" {
		nc.HandOff = admin.HandOff(func() bool { return g.admin.HasToken() }) // set before the loops start
	}
	return nc
}

func (g *gateway) adminConfig(c *config.Config) admin.Config {
	ac := c.Admin()
	ac.Hub, ac.Sockets, ac.Clock, ac.Log = g.hub, g.sockets.Stats, g.clock.Now, g.log
	ac.Configuration = func() string { return g.config().Text() }
	ac.LogLost, ac.LastReload = g.logLost, g.lastReload
	ac.Collectors = slices.Clip(g.collectors)
	if g.events != nil {
		ac.Callbacks, ac.Collectors = g.callbackStats, append(ac.Collectors, g.events.Collectors()...)
		ac.Health = g.events.Health
	}
	return ac
}

func (g *gateway) callbackStats() forward.Stats {
	s := g.events.Stats()
	if g.recovery != nil {
		s.Journal = forward.JournalStats(g.recovery.journal.Stats())
	}
	return s
}

func (g *gateway) listen() (err error) {
	if err = g.listenForClients(); err != nil {
		return err
	}
	c := g.cfg
	if g.management, err = listenBeside("admin-listen", c.AdminListen, c.Sockets().Admin); err != nil {
		return err
	}
	if c.AdminListen == "" {
		g.management = g.sockets.HandedOff()
	}
	g.metrics, err = listenBeside("metrics-listen", c.MetricsListen, c.Sockets().Metrics)
	return err
}

// listenBeside makes the listener of an option for those who are no clients; nil
// without one.
func listenBeside(option, addr string, inherited net.Listener) (net.Listener, error) {
	if addr == "" || inherited != nil {
		return inherited, nil
	}
	ln, err := listen.On(addr)
	if err != nil {
		return nil, listenError(option, addr, err)
	}
	return ln, nil
}

func (g *gateway) listenForClients() (err error) {
	inherited := g.cfg.Sockets().Clients
	if len(inherited) == 0 {
		if g.address, err = g.sockets.Listen(g.cfg.Listen); err != nil {
			return listenError("listen", g.cfg.Listen, err)
		}
		return nil
	}
	g.address = inherited[0].Addr()
	for _, ln := range inherited {
		err = errors.Join(err, g.sockets.Inherit(ln))
	}
	return err
}

// start sets the parts running, those that others call first. After an error, too,
// shutdown is due.
func (g *gateway) start() error {
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

func (g *gateway) slept(d time.Duration) {
	if d >= notedSleep {
		g.log.Warn().Stringer("for", d.Round(100*time.Millisecond)).
			Msg("the process did not run for a while: was it stopped, or its virtual machine paused? What clients and the app have sent meanwhile still counts")
	}
}

// fail ends the gateway because a part has ended. Of several failures the first
// counts.
func (g *gateway) fail(err error) {
	select {
	case g.failed <- err:
	default:
	}
}

// addressOf is where a listener is, as --admin-listen and --metrics-listen write it.
func addressOf(ln net.Listener) string {
	addr := ln.Addr()
	if addr.Network() == "unix" {
		return "unix:" + addr.String()
	}
	return addr.String()
}

// shutdown ends the gateway within --shutdown-timeout from now on, in an order
// that loses nothing and leaves nobody without an answer:
//
//  1. Upgrades get 503 and /readyz says so, for --drain-delay.
//  2. Connections are closed over --drain-period. The app can send to those that
//     are left, and events go on to be delivered.
//  3. What waits for the app is delivered, while the loops see the close
//     handshakes through and still answer newcomers with 503. The app may send
//     while it handles these events; that nobody is there any more is no error,
//     where a refusal could make it fail the event.
//  4. Sends and closes get 503, the loops end, then the management server.
//
// Each step is cut off in time for the next; a client that does not answer the
// close frame, or an app that is not there, must not make this fail. What could
// not be delivered is in the last log line.
func (g *gateway) shutdown(now time.Time) {
	c := g.config()
	end := g.clock.Now() + c.ShutdownTimeout
	margin := min(c.ShutdownTimeout/20, 500*time.Millisecond)

	g.supervisor.Stopping(c.ShutdownTimeout)
	g.hub.SetDraining()
	if g.recovery != nil {
		g.recovery.stop()
	}
	g.before(end-4*margin, func(ctx context.Context) error {
		return wait(ctx, c.DrainDelay)
	})
	if err := g.before(end-3*margin, func(ctx context.Context) error {
		return g.hub.Drain(ctx, c.DrainPeriod)
	}); err != nil {
		// Whoever is left must give a close event before the lanes end.
		g.cut("closing connections", err)
		g.before(end-3*margin, g.sockets.Stop)
	}
	var left forward.Leftover
	if g.events != nil {
		g.before(end-2*margin, func(ctx context.Context) error {
			defer context.AfterFunc(ctx, g.hub.GiveUp)() // or a callback could wait for a loop that hangs
			left = g.events.Drain(ctx)
			return nil
		})
	}
	g.admin.RefuseMutations()
	g.cut("waiting for clients to answer the close frame", g.before(end-margin, g.sockets.Stop))
	g.cut("finishing management requests", g.before(end, g.admin.Shutdown))
	g.endBeside()
	g.serving.Wait()
	if g.recovery != nil {
		g.recovery.end()
	}
	g.logStopped(left, time.Since(now))
}

// before runs a step of which ctx must make an end at the deadline.
func (g *gateway) before(deadline time.Duration, step func(ctx context.Context) error) error {
	ctx, cancel := g.clock.Before(deadline)
	defer cancel()
	return step(ctx)
}

// cut reports a step that was cut off.
func (g *gateway) cut(step string, err error) {
	if err != nil {
		g.log.Warn().Err(err).Msg("shutdown: cut off " + step)
	}
}

// wait returns after d, or with ctx's error.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gateway) logStopped(left forward.Leftover, took time.Duration) {
	e := g.log.Info()
	if left.Events > 0 {
		e = g.log.Warn()
	}
	e.Uint64("connections_closed", g.sockets.Stats().Closed[netpoll.GoingAway]).
		Int("events_undelivered", left.Events).
		Int("dead_letters", left.DeadLetters).
		Dur("took_ms", took).
		Msg("stopped")
}

// discard releases what a failed newGateway has made.
func (g *gateway) discard() {
	g.endBeside()
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if g.sockets != nil {
		g.sockets.Stop(over)
	}
	for _, ln := range []net.Listener{g.management, g.metrics} {
		if ln != nil {
			ln.Close() // and its socket file
		}
	}
	if g.events != nil {
		g.events.Drain(over)
	}
	if g.recovery != nil {
		g.recovery.end()
	}
}
