package gateway

import (
	"context"
	"net"
	"time"

	"ws-gateway/forward"
	"ws-gateway/netpoll"
)

// shutdown ends the gateway within --shutdown-timeout from now on, in an order
// that loses nothing and leaves nobody without an answer:
//
//  1. Upgrades get 503 and /readyz says so, for --drain-delay.
//  2. Connections are closed over --drain-period. The app can send to those that
//     are left, and events go on to be delivered. With --resume-state those whose sessions
//     can be resumed are away then; once the events that wait are delivered, or their time
//     is over, they are written down with what is left of these, and end without a close
//     event.
//  3. The events that wait are delivered, while the loops complete the close
//     handshakes and still answer newcomers with 503. The app may send while it
//     handles these events: that there is no connection any more is no error,
//     whereas a refusal could make the app fail the event.
//  4. Sends and closes get 503, the loops end, then the management server.
//
// Each step is cut off in time for the next, even if a client does not answer the close
// frame or the app cannot be reached. The last log line has the number of events that
// could not be delivered.
func (g *Gateway) shutdown(now time.Time) {
	c := g.config()
	end := g.clock.Now() + c.ShutdownTimeout
	margin := min(c.ShutdownTimeout/20, 500*time.Millisecond)

	g.notifier.Stopping(c.ShutdownTimeout)
	g.hub.SetDraining()
	if g.recovery != nil {
		g.recovery.stop()
	}
	if g.takeover != nil {
		g.takeover.Retire()
	}
	g.before(end-4*margin, func(ctx context.Context) error {
		return wait(ctx, c.DrainDelay)
	})
	drain := g.hub.Drain
	if g.keeps() {
		drain = g.hub.DrainKeeping
	}
	err := g.before(end-3*margin, func(ctx context.Context) error {
		defer g.drainRelays(ctx, c.DrainPeriod)()
		return drain(ctx, c.DrainPeriod)
	})
	var kept kept
	if err == nil && g.keeps() {
		kept, err = g.keepSessions(end-3*margin, margin)
	}
	g.keptNone.Store(kept.sessions == 0)
	if err != nil {
		// Every connection must have given its close event before the lanes end.
		g.cut("closing connections", err)
		g.before(end-3*margin, g.sockets.Stop)
	}
	if g.takeover != nil {
		g.before(end-2*margin, func(ctx context.Context) error {
			g.takeover.Leave(ctx, kept.sessions > 0) // the next start goes on, and others do not take over
			return nil
		})
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
	if g.takeover != nil {
		g.takeover.Stop(left.Events == 0 && kept.sessions == 0 && g.sockets.Stats().Open == 0)
	}
	if g.cluster != nil {
		g.cluster.Stop()
	}
	g.endBeside()
	g.serving.Wait()
	if g.recovery != nil {
		g.recovery.end()
	}
	g.unlockSessions()
	g.logStopped(left, kept, time.Since(now))
}

// kept is what was written down for the next start.
type kept struct {
	sessions int
	events   int // of these, that the app has not taken
}

// keepSessions writes the sessions down that are away, with those of their events that the
// app has not taken by then, and ends them. If they cannot be written, they end as other
// connections do, behind their events. It returns what was written, and an error if some
// have not ended at the deadline.
func (g *Gateway) keepSessions(deadline, margin time.Duration) (k kept, err error) {
	away := g.sockets.Stats().Away
	by := deadline - margin
	if g.events != nil {
		timeout := g.config().ShutdownTimeout
		reserved := max(timeout/8, margin+time.Duration(away)*perSession+time.Duration(g.events.Stats().Bytes)*perByte)
		g.before(by-min(reserved, timeout/4), func(ctx context.Context) error {
			g.events.Flush(ctx)
			return nil
		})
	}
	began := time.Now()
	var events *forward.Held
	err = g.before(by, func(ctx context.Context) (err error) {
		if g.events != nil {
			if events, err = g.events.Hold(ctx); err != nil {
				return err
			}
		}
		k.sessions, err = g.writeSessions(ctx, events)
		return err
	})
	k.events = events.Release(err == nil)
	if err == nil {
		g.log.Info().Int("sessions", k.sessions).Int("events", k.events).Dur("took_ms", time.Since(began)).Msg("resume-state: sessions are written down for the next start")
		return k, nil
	}
	g.log.Error().Err(err).Int64("sessions", away).Msg("resume-state: sessions cannot be written down: they end now, with their close events")
	return kept{}, g.before(deadline, func(ctx context.Context) error { return g.hub.Drain(ctx, 0) })
}

// perSession and perByte are the time that is put aside at least for writing down a session,
// and its events.
const (
	perSession = 5 * time.Microsecond
	perByte    = 10 * time.Nanosecond
)

// drainRelays ends the connections of clients whose sessions are at other gateways, beside
// those that are closed here. The function that it returns waits for that.
func (g *Gateway) drainRelays(ctx context.Context, period time.Duration) (done func()) {
	if g.cluster == nil {
		return func() {}
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		g.cluster.DrainRelays(ctx, period) // those that are left end with the cluster
	}()
	return func() { <-drained }
}

// before runs a step whose context ends at the deadline.
func (g *Gateway) before(deadline time.Duration, step func(ctx context.Context) error) error {
	ctx, cancel := g.clock.Before(deadline)
	defer cancel()
	return step(ctx)
}

// cut logs that a step was cut off.
func (g *Gateway) cut(step string, err error) {
	if err != nil {
		g.log.Warn().Err(err).Msg("shutdown: cut off " + step)
	}
}

// wait returns nil after d, or ctx's error.
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

func (g *Gateway) logStopped(left forward.Leftover, k kept, took time.Duration) {
	others := 0 // close events that others send
	if g.takeover != nil {
		others = g.takeover.Held()
	}
	e := g.log.Info()
	if left.Events > 0 || others > 0 {
		e = g.log.Warn()
	}
	if others > 0 {
		e = e.Int("closes_left_to_others", others)
	}
	if k.sessions > 0 {
		e = e.Int("sessions_kept", k.sessions).Int("events_kept", k.events)
	}
	e.Uint64("connections_closed", g.sockets.Stats().Closed[netpoll.GoingAway]).
		Int("events_undelivered", left.Events).
		Int("dead_letters", left.DeadLetters).
		Dur("took_ms", took).
		Msg("stopped")
}

// Discard releases what New has made, instead of Serve.
func (g *Gateway) Discard() {
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
	if g.cluster != nil {
		g.cluster.Stop()
	}
	if g.events != nil {
		g.events.Drain(over)
	}
	if g.recovery != nil {
		g.recovery.end()
	}
	g.unlockSessions()
}
