package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"ws-gateway/cmd/ws-gateway/internal/signals"
)

// Who catches which signals:
//
//	gateway, demo             SIGTERM and SIGINT stop it in good order, SIGHUP reloads its
//	                          configuration and reopens its files (reload.go)
//	replay                    SIGTERM, SIGINT and SIGHUP end it in good order
//	send, list, tail and so on  SIGTERM and SIGINT (cli.go)
//	check, health             none: they end at once
//
// A gateway outlives the readers of its output, so that SIGPIPE is an error of the
// write; the others end quietly where it goes to head or less. The rest is the Go
// runtime's: SIGQUIT and SIGABRT (systemd's watchdog) print all goroutines and exit
// with 2; SIGUSR1, SIGUSR2, SIGALRM and their like do nothing.

// serve catches the signals of a gateway.
func (p *process) serve() {
	if p.catch == nil {
		return // a test, in a process of its own
	}
	p.catch(p.signals, os.Interrupt, syscall.SIGTERM)
}

// outliveReaders makes it an error of the write that nobody reads any more what is
// written: due before the first line of a log.
func (p *process) outliveReaders() {
	if p.catch != nil {
		signal.Ignore(syscall.SIGPIPE)
	}
}

// keepHangUps catches SIGHUP before it is known whether this is to be a gateway: one
// that is just starting must not be ended by it. To systemd that would be an end in
// good order, after which it does not start the gateway again.
func (p *process) keepHangUps() {
	if p.catch != nil {
		p.catch(p.hangUps, syscall.SIGHUP)
	}
}

// dropHangUps lets SIGHUP end the process, since it is no gateway, as one does that
// has come meanwhile.
func (p *process) dropHangUps() {
	if p.catch == nil {
		return
	}
	signal.Reset(syscall.SIGHUP)
	select {
	case s := <-p.hangUps:
		p.exit(signals.ExitCode(s))
	default:
	}
}

// catchStops catches those signals that end a command in good order.
func (p *process) catchStops(also ...os.Signal) {
	if p.catch != nil {
		p.catch(p.signals, append(also, os.Interrupt, syscall.SIGTERM)...)
	}
}

// dropStops makes signals end the process at once, as it has nothing to lose any
// more.
func (p *process) dropStops() {
	if p.catch != nil {
		signal.Reset(syscall.SIGHUP, os.Interrupt, syscall.SIGTERM)
	}
}

// lastResort is how much longer than --shutdown-timeout a shutdown may take.
const lastResort = 5 * time.Second

// untilSignal waits for a signal to stop, or for a failure, and shuts down. A
// second wish to stop ends the process at once.
func (p *process) untilSignal(g *gateway, log zerolog.Logger) error {
	var judge signals.Judge
	var failure error
	serving, stopServing := context.WithCancel(g.beside)
	defer stopServing()
	g.serving.Go(func() { g.heedHangUps(serving, p.hangUps) })
	select {
	case s := <-p.signals:
		judge.Take(time.Now())
		log.Info().Stringer("signal", s).Msg("shutting down")
	case failure = <-g.failed:
		log.Error().Err(failure).Msg("shutting down")
	}
	stopServing()
	over, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		p.watchForSecond(&judge, over, log)
	}()
	// Each step of the shutdown ends in time, unless a system call does not: on a disk
	// that does not answer, for example.
	end, ended := g.clock.Before(g.clock.Now() + g.config().ShutdownTimeout + lastResort)
	defer ended()
	defer context.AfterFunc(end, func() {
		log.Error().Msg("shutdown: something does not end, perhaps a disk does not answer; exiting at once")
		p.exit(exitFailure)
	})()
	g.shutdown(time.Now())
	close(over)
	<-watched
	return failure
}

// watchForSecond ends the process at the second wish to stop, until over is closed.
func (p *process) watchForSecond(judge *signals.Judge, over <-chan struct{}, log zerolog.Logger) {
	for {
		select {
		case s := <-p.signals:
			switch judge.Take(time.Now()) {
			case signals.StopNow:
				log.Warn().Stringer("signal", s).Msg("second signal: exiting at once")
				if p.queue != nil {
					p.queue.Flush(logGlance)
				}
				p.exit(signals.ExitCode(s))
				return
			case signals.Stop: // it stops already, because a part has failed
				log.Info().Stringer("signal", s).Msg("shutting down")
			}
		case <-over:
			return
		}
	}
}

// heedHangUps deals with each SIGHUP, one after the other, until ctx is done.
func (g *gateway) heedHangUps(ctx context.Context, hangUps <-chan os.Signal) {
	for {
		select {
		case <-hangUps:
			g.hangUp(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// reopen takes the files that are there now under the names of those that are
// kept open. Each of them is looked at without that, too, whenever it is written
// to. It reports whether that has come off.
func (g *gateway) reopen() bool { return g.events == nil || g.events.Reopen() }
