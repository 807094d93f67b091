// Command ws-gateway holds WebSocket connections for an app that stands beside it:
// clients' events go to the app as HTTP POSTs, and the app sends through an HTTP API.
//
//	command line ──▶ cli: send, list, tail, connect and so on
//	             └─▶ config ──▶ gateway, demo, replay, check, health
//
// This package chooses the command, runs it and returns the exit code. It may import
// everything below it; nothing imports it.
package main

import (
	"errors"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/rs/zerolog"

	"ws-gateway/cmd/ws-gateway/check"
	"ws-gateway/cmd/ws-gateway/cli"
	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/demo"
	"ws-gateway/cmd/ws-gateway/gateway"
	"ws-gateway/cmd/ws-gateway/host"
	"ws-gateway/cmd/ws-gateway/internal/finding"
	"ws-gateway/cmd/ws-gateway/preflight"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/cmd/ws-gateway/replay"
	"ws-gateway/cmd/ws-gateway/settings"
	"ws-gateway/cmd/ws-gateway/systemd"
)

func main() {
	host.TuneCollector()
	signal.Ignore(syscall.SIGXFSZ) // a file that may not grow is an error of its writer, like a full disk
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000Z07:00"
	os.Exit(run(program.This(settings.NewEnvironment(os.Environ()))))
}

// run returns the exit code.
func run(p *program.Process) int {
	parser := config.Parser{Env: p.Env, Out: p.Stdout, Clients: &cli.Commands{}}
	if len(p.Args) > 0 && p.Args[0] == cli.CompleteCommand {
		cli.Complete(p.Stdout, p.Args[1:], parser.Model().Node)
		return program.ExitOK
	}
	var err error
	if p.Args, err = parser.Words(p.Args); err != nil {
		p.Complain(err)
		return program.ExitUsage
	}
	if len(p.Args) > 0 && cli.Is(p.Args[0]) {
		return cli.Run(p, parser.Model)
	}
	p.CatchHangUps() // before it is known whether this is to be a gateway
	c, err := parser.Parse(p.Args)
	if err != nil || !lasts(c) {
		p.DropHangUps()
	}
	switch {
	case errors.Is(err, config.ErrHelp):
		return program.ExitOK
	case err != nil:
		return refuse(p, err)
	}
	c.FitMemory()
	switch {
	case c.PrintConfig:
		return print(p, c)
	case c.Command == "check":
		return check.Run(p, c)
	}
	return perform(p, c)
}

// lasts reports whether the command runs until it is stopped.
func lasts(c *config.Config) bool { return !c.PrintConfig && (c.Command == "run" || c.Demo()) }

// refuse reports a configuration that cannot be used.
func refuse(p *program.Process, err error) int {
	rejected, _ := errors.AsType[*config.Error](err)
	if rejected.Command == "check" {
		return check.Misconfigured(p, rejected)
	}
	defer p.QueueErrors()()
	p.Complain(err)
	if rejected.Command == "run" {
		p.Complain(finding.Failures(append(preflight.Addresses(rejected.Bindings), preflight.Files(rejected.Outputs)...)))
	}
	return program.ExitUsage
}

// print prints the configuration in force.
func print(p *program.Process, c *config.Config) int {
	log := logger(p, c)
	if err := c.Print(p.Stdout); err != nil {
		log.Error().Err(err).Msg("printing the configuration")
		return program.ExitFailure
	}
	return program.ExitOK
}

// perform does what the command says, and logs why it could not.
func perform(p *program.Process, c *config.Config) int {
	if lasts(c) {
		p.IgnorePipe()
	}
	if c.Command != "health" {
		defer p.QueueLog(c.LogLevel, c.LogFormat)()
	}
	log := logger(p, c)
	if err := command(c)(p, c, log); err != nil {
		if c.Command == "health" { // its user reads it, as other commands' errors
			p.Complain(err)
			return program.ExitFailure
		}
		for line := range strings.Lines(err.Error()) {
			log.Error().Msg(strings.TrimSpace(line))
		}
		return program.ExitFailure
	}
	return program.ExitOK
}

// logger begins the log, with the warnings about the configuration.
func logger(p *program.Process, c *config.Config) zerolog.Logger {
	p.Level = program.NewLevel(c.LogLevel)
	log := p.Level.Of(program.NewLogger(p.Stderr, "trace", c.LogFormat))
	for _, warning := range c.Warnings {
		log.Warn().Msg(warning)
	}
	return log
}

// command is the command of the command line.
func command(c *config.Config) func(*program.Process, *config.Config, zerolog.Logger) error {
	switch {
	case c.Demo():
		return demo.Run
	case c.Command == "replay":
		return replay.Run
	case c.Command == "health":
		return health
	}
	return serve
}

func health(p *program.Process, c *config.Config, _ zerolog.Logger) error {
	at, path := c.HealthAddress()
	return cli.Health(p.Stdout, at, path)
}

// serve runs a gateway until it is stopped.
func serve(p *program.Process, c *config.Config, log zerolog.Logger) error {
	p.CatchStops()
	sockets, err := systemd.Inherit()
	if err != nil {
		return err
	}
	for _, warning := range c.TakeOver(sockets) {
		log.Warn().Msg(warning)
	}
	g, err := gateway.New(p, c, log)
	if err != nil {
		return preflight.Failures(c, err)
	}
	return g.Serve(func() {})
}
