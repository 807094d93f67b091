// Package program is the process around a command: arguments, environment, streams,
// signals, exit codes, the log and the version. It knows no command and no option.
//
// It may import internal/terminal, internal/logqueue and internal/signals.
package program

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"ws-gateway/cmd/ws-gateway/internal/logqueue"
	"ws-gateway/cmd/ws-gateway/internal/terminal"
)

// Exit codes. A process that a second signal has ended exits with 128 plus the
// signal's number, as a shell reports it.
const (
	ExitOK      = 0
	ExitFailure = 1 // could not start, or not go on

	// The configuration or the command line is wrong: EX_CONFIG of sysexits.h. Go's
	// runtime never uses this code; it exits with 2 after a panic or if it is out of
	// memory. A supervisor can restart the process after those, and not after this.
	ExitUsage = 78
)

// Process is what a command has around it. Tests make their own.
type Process struct {
	Args           []string          // without the program's name
	Env            map[string]string // without empty variables
	Stdout, Stderr io.Writer
	Level          *Level         // the log's; nil before there is a log
	Exit           func(code int) // ends the process at once

	// Signals, if the command catches them (signals.go).
	Signals chan os.Signal // asking to stop
	HangUps chan os.Signal // SIGHUP; several that come at once count as one
	Catch   func(c chan<- os.Signal, s ...os.Signal)

	queue *logqueue.Queue // behind Stderr, once QueueLog was called
}

// This returns the process that runs, with an environment without empty variables.
func This(env map[string]string) *Process {
	return &Process{
		Args: os.Args[1:], Env: env, Stdout: os.Stdout, Stderr: os.Stderr, Exit: os.Exit,
		Signals: make(chan os.Signal, 4), HangUps: make(chan os.Signal, 1), Catch: signal.Notify,
	}
}

// Beside returns a process for one of several gateways in p: it has all of p but signals
// of its own, which Stop and HangUp give it.
func (p *Process) Beside() *Process {
	one := *p
	one.Signals, one.HangUps = make(chan os.Signal, 4), make(chan os.Signal, 1)
	return &one
}

// Stop passes on a signal that asks to stop, unless several wait already.
func (p *Process) Stop(s os.Signal) {
	select {
	case p.Signals <- s:
	default:
	}
}

// HangUp passes on a SIGHUP, unless one waits already.
func (p *Process) HangUp(s os.Signal) {
	select {
	case p.HangUps <- s:
	default:
	}
}

// Complain writes each line of an error, if there is one, to standard error.
func (p *Process) Complain(err error) {
	if err == nil {
		return
	}
	for message := range strings.Lines(err.Error()) {
		fmt.Fprintf(p.Stderr, "ws-gateway: %s\n", terminal.Printable(strings.TrimSpace(message)))
	}
}
