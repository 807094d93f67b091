// Package cli is the client for people: commands that ask a running gateway (send, close,
// list, count, tail, join, leave, groups, meta, health), one that connects to it as a client
// does (connect), and the completion of command lines in shells.
//
//	Run ──▶ parse ──▶ command.run ──▶ api ──▶ the gateway
//
// It may import program, settings, api, locate, internal and httptoken, not config: what
// it needs to know about the gateway's options is in kong's model of the whole command
// line, which it is given.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/alecthomas/kong"

	"ws-gateway/cmd/ws-gateway/api"
	"ws-gateway/cmd/ws-gateway/internal/signals"
	"ws-gateway/cmd/ws-gateway/internal/terminal"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/cmd/ws-gateway/settings"
)

// Commands are the commands that a command line gets from here. None has the gateway's
// options; they have a parser of their own, which is Run's.
type Commands struct {
	Send       sendOptions       `cmd:"" help:"Send a message to clients of a running gateway."`
	Close      closeOptions      `cmd:"" help:"Close connections."`
	List       listOptions       `cmd:"" help:"List connections: a table on a terminal, tab-separated fields elsewhere."`
	Count      countOptions      `cmd:"" help:"Count connections and their users."`
	Tail       tailOptions       `cmd:"" help:"Follow what happens to connections, live, until Ctrl-C."`
	Join       joinOptions       `cmd:"" help:"Put connections into groups. A send that follows reaches them."`
	Leave      leaveOptions      `cmd:"" help:"Take connections out of groups."`
	Groups     groupsOptions     `cmd:"" help:"List groups and how many connections are in each: a table on a terminal, tab-separated fields elsewhere."`
	Meta       metaOptions       `cmd:"" help:"Keep metadata with connections, which comes back with their events; see --max-meta."`
	Connect    connectOptions    `cmd:"" help:"Be a client: send the lines of standard input, print what comes. Pings by itself."`
	Config     configOptions     `cmd:"" help:"Print a JSON Schema of the configuration file, with which editors complete and check it."`
	Completion completionOptions `cmd:"" help:"Print a script that makes a shell complete commands and options."`
}

// Exit codes beside those of package program.
const (
	ExitRefused = 3 // the gateway, or the server of connect, refused
	ExitNobody  = 4 // --fail-if-none, and no connection matched
	ExitPartly  = 5 // gateways of a cluster were not reached, and it was done at the others
)

// usageError is about the command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

func exitCodeOf(err error) int {
	_, usage := errors.AsType[*usageError](err)
	_, refused := errors.AsType[*api.Refusal](err)
	incomplete, _ := errors.AsType[*api.Incomplete](err)
	_, closed := errors.AsType[*refusedError](err)
	switch {
	case err == nil:
		return program.ExitOK
	case usage:
		return program.ExitUsage
	case incomplete != nil && !incomplete.Answer.Refused:
		return ExitPartly
	case refused, incomplete != nil, closed:
		return ExitRefused
	case errors.Is(err, errNobody):
		return ExitNobody
	}
	return program.ExitFailure
}

// command is one of Commands.
type command interface {
	// run does it. An error is shown to the user in one line; exitCodeOf has its exit
	// code.
	run(ctx context.Context, s *surroundings) error
}

// longRunning is a command that runs until a signal, and ends in good order then.
type longRunning interface{ runsUntilSignal() }

// surroundings is what a command has around it.
type surroundings struct {
	env         settings.Environment
	model       func() *kong.Application // of the whole command line
	options     func() []string          // the names of the gateway's options
	in          *os.File
	out, notes  io.Writer
	outTerminal bool
	color       bool
	width       int // of the terminal, in columns; 0 if there is none

	notesTerminal bool   // somebody reads the notes
	missing       string // the gateways that were last noted as missing
}

// Run runs the client command whose name is the first argument, and returns the exit
// code. model returns the model of the whole command line.
func Run(p *program.Process, model func() *kong.Application) int {
	command, err := parse(p.Args, p.Env, p.Stdout)
	if errors.Is(err, errHelp) {
		return program.ExitOK
	}
	if err != nil {
		p.Complain(err)
		return program.ExitUsage
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer interruptible(p, cancel, command)()
	err = command.run(ctx, newSurroundings(p, model))
	p.Complain(err)
	return exitCodeOf(err)
}

func newSurroundings(p *program.Process, model func() *kong.Application) *surroundings {
	s := &surroundings{
		env: p.Env, in: os.Stdin, out: p.Stdout, notes: p.Stderr,
		outTerminal: terminal.Is(p.Stdout), notesTerminal: terminal.Is(p.Stderr),
		model:   model,
		options: func() []string { return settings.Names(settings.Options(model().Flags)) },
	}
	if s.outTerminal {
		s.width = terminal.Width(p.Stdout)
		s.color = p.Env["NO_COLOR"] == "" && p.Env["TERM"] != "dumb"
	}
	return s
}

// note tells the user something that is not output.
func (s *surroundings) note(format string, args ...any) {
	fmt.Fprintf(s.notes, "ws-gateway: %s\n", terminal.Printable(fmt.Sprintf(format, args...)))
}

// interruptible makes a signal end the command. A long-running command ends in good
// order, unless a second signal comes; the others end at once.
func interruptible(p *program.Process, cancel func(), command command) (release func()) {
	over, done := make(chan struct{}), make(chan struct{})
	p.CatchStops()
	go func() {
		defer close(done)
		_, orderly := command.(longRunning)
		var judge signals.Judge
		for {
			select {
			case <-over:
				return
			case s := <-p.Signals:
				intent := judge.Take(time.Now())
				switch {
				case !orderly, intent == signals.StopNow:
					p.Exit(signals.ExitCode(s))
				case intent == signals.Stop:
					cancel()
				}
			}
		}
	}()
	return func() {
		close(over)
		<-done
	}
}
