package program

import (
	"os"
	"os/signal"
	"syscall"

	"ws-gateway/cmd/ws-gateway/internal/signals"
)

// Who catches which signals:
//
//	gateway, demo               SIGTERM and SIGINT shut it down, SIGHUP reloads its
//	                            configuration and reopens its files
//	replay                      SIGTERM, SIGINT and SIGHUP stop it after the attempts under way
//	send, list, tail and so on  SIGTERM and SIGINT
//	check, health               none: they end at once
//
// A gateway keeps running if nobody reads its output any more, so it gets EPIPE from
// the write instead of SIGPIPE. The other commands end without a word on SIGPIPE, as
// in a pipe to head or less. Go's runtime has the rest: SIGQUIT and SIGABRT (systemd's
// watchdog) print all goroutines and exit with 2; SIGUSR1, SIGUSR2, SIGALRM and their
// like do nothing.

// CatchStops sends SIGTERM, SIGINT and the signals of also to Signals.
func (p *Process) CatchStops(also ...os.Signal) {
	if p.Catch != nil { // a test shares its process
		p.Catch(p.Signals, append(also, os.Interrupt, syscall.SIGTERM)...)
	}
}

// DropStops makes the signals of CatchStops end the process at once again: it has
// nothing left to lose.
func (p *Process) DropStops() {
	if p.Catch != nil {
		signal.Reset(syscall.SIGHUP, os.Interrupt, syscall.SIGTERM)
	}
}

// IgnorePipe makes a write fail with EPIPE if nobody reads any more, where SIGPIPE
// would end the process. Call it before the first line of a log.
func (p *Process) IgnorePipe() {
	if p.Catch != nil {
		signal.Ignore(syscall.SIGPIPE)
	}
}

// CatchHangUps catches SIGHUP before it is known whether this will be a gateway:
// SIGHUP must not end one that is just starting. systemd would take that for a clean
// exit and not start the gateway again.
func (p *Process) CatchHangUps() {
	if p.Catch != nil {
		p.Catch(p.HangUps, syscall.SIGHUP)
	}
}

// DropHangUps lets SIGHUP end the process after all, since it is no gateway. One that
// has come since CatchHangUps ends it now.
func (p *Process) DropHangUps() {
	if p.Catch == nil {
		return
	}
	signal.Reset(syscall.SIGHUP)
	select {
	case s := <-p.HangUps:
		p.Exit(signals.ExitCode(s))
	default:
	}
}
