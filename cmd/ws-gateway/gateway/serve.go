package gateway

import (
	"context"
	"os"
	"time"

	"github.com/rs/zerolog"

	"ws-gateway/cmd/ws-gateway/internal/signals"
	"ws-gateway/cmd/ws-gateway/program"
)

// lastResort is how much longer than --shutdown-timeout a shutdown may take.
const lastResort = 5 * time.Second

// serve is the life of a gateway: it starts, calls started, waits for a signal to stop
// or for a failure, and shuts down.
func (g *Gateway) Serve(started func()) error {
	if err := g.start(); err != nil {
		g.shutdown(time.Now())
		return err
	}
	started()
	return g.untilSignal()
}

// untilSignal waits for a signal to stop, or for a failure, and shuts down. A second
// signal ends the process at once.
func (g *Gateway) untilSignal() error {
	p := g.process
	var judge signals.Judge
	var failure error
	serving, stopServing := context.WithCancel(g.beside)
	defer stopServing()
	g.serving.Go(func() { g.heedHangUps(serving, p.HangUps) })
	select {
	case s := <-p.Signals:
		judge.Take(time.Now())
		g.log.Info().Stringer("signal", s).Msg("shutting down")
	case failure = <-g.failed:
		g.log.Error().Err(failure).Msg("shutting down")
	}
	stopServing()
	over, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		watchForSecond(p, &judge, over, g.log)
	}()
	// Each step of the shutdown ends in time, unless a system call hangs: on a disk that
	// does not answer, for example.
	end, ended := g.clock.Before(g.clock.Now() + g.config().ShutdownTimeout + lastResort)
	defer ended()
	defer context.AfterFunc(end, func() {
		g.log.Error().Msg("shutdown: something does not end, perhaps a disk does not answer; exiting at once")
		p.Exit(program.ExitFailure)
	})()
	g.shutdown(time.Now())
	close(over)
	<-watched
	return failure
}

// watchForSecond ends the process at the second signal to stop, until over is closed.
func watchForSecond(p *program.Process, judge *signals.Judge, over <-chan struct{}, log zerolog.Logger) {
	for {
		select {
		case s := <-p.Signals:
			switch judge.Take(time.Now()) {
			case signals.StopNow:
				log.Warn().Stringer("signal", s).Msg("second signal: exiting at once")
				p.FlushLog()
				p.Exit(signals.ExitCode(s))
				return
			case signals.Stop: // the shutdown has begun already, because a part has failed
				log.Info().Stringer("signal", s).Msg("shutting down")
			}
		case <-over:
			return
		}
	}
}

// heedHangUps handles each SIGHUP, one after the other, until ctx ends.
func (g *Gateway) heedHangUps(ctx context.Context, hangUps <-chan os.Signal) {
	for {
		select {
		case <-hangUps:
			g.hangUp(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// reopen opens the dead-letter file again if it was rotated, which the file otherwise
// notices at the next write. It reports whether that has worked.
func (g *Gateway) reopen() bool { return g.events == nil || g.events.Reopen() }
