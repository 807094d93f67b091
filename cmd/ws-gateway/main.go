// Command ws-gateway holds WebSocket connections for an app that stands beside
// it: clients' events go to the app as HTTP POSTs, and the app sends through an
// HTTP API.
//
//	options (flags, environment, file) ──▶ config ──▶ gateway: netpoll → hub → forward → admin
//
// This package parses, wires and waits; what the gateway does is in the packages
// that it wires.
package main

import (
	"errors"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/rs/zerolog"

	"ws-gateway/cmd/ws-gateway/cli"
	"ws-gateway/cmd/ws-gateway/host"
	"ws-gateway/cmd/ws-gateway/internal/finding"
	"ws-gateway/cmd/ws-gateway/program"
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
	args, err := plainly(p.Args)
	if err != nil {
		p.Complain(err)
		return program.ExitUsage
	}
	p.Args = args
	switch {
	case len(p.Args) == 0:
	case cli.Is(p.Args[0]):
		return cli.Run(p, gatewayModel)
	case p.Args[0] == cli.CompleteCommand:
		cli.Complete(p.Stdout, p.Args[1:], gatewayModel().Node)
		return program.ExitOK
	}
	p.CatchHangUps()
	cfg, err := parseConfig(p.Args, p.Env, p.Stdout)
	if err != nil || cfg.PrintConfig || cfg.command != "run" && cfg.command != "demo" {
		p.DropHangUps()
	}
	switch {
	case errors.Is(err, errHelp):
		return program.ExitOK
	case err != nil && cfg != nil && cfg.command == "check":
		return misconfigured(p, cfg, err)
	case err != nil:
		defer p.QueueErrors()()
		p.Complain(err)
		if cfg != nil && cfg.Values != nil && cfg.command == "run" {
			p.Complain(finding.Failures(fileFindings(cfg)))
		}
		return program.ExitUsage
	}
	cfg.fitMemory()
	if cfg.command == "check" && !cfg.PrintConfig {
		return check(p, cfg)
	}
	if !cfg.PrintConfig && (cfg.command == "run" || cfg.command == "demo") {
		p.IgnorePipe()
	}
	if !cfg.PrintConfig && cfg.command != "health" {
		defer p.QueueLog(cfg.LogLevel, cfg.LogFormat)()
	}
	p.Level = program.NewLevel(cfg.LogLevel)
	log := p.Level.Of(program.NewLogger(p.Stderr, "trace", cfg.LogFormat))
	for _, warning := range cfg.warnings {
		log.Warn().Msg(warning)
	}
	if cfg.PrintConfig {
		if err := printConfig(p.Stdout, cfg); err != nil {
			log.Error().Err(err).Msg("printing the configuration")
			return program.ExitFailure
		}
		return program.ExitOK
	}
	if err := perform(p, cfg, log); err != nil {
		for line := range strings.Lines(err.Error()) {
			log.Error().Msg(strings.TrimSpace(line))
		}
		return program.ExitFailure
	}
	return program.ExitOK
}

// perform does what the command says.
func perform(p *program.Process, cfg *config, log zerolog.Logger) error {
	switch {
	case cfg.demo:
		return runDemo(p, cfg, log)
	case cfg.replay.File != "":
		return replayLetters(p, cfg, log)
	case cfg.command == "health":
		at, path := cfg.healthAddress()
		return cli.Health(p.Stdout, at, path)
	}
	return serve(p, cfg, log)
}

// serve is the gateway's life.
func serve(p *program.Process, cfg *config, log zerolog.Logger) error {
	p.CatchStops()
	sockets, err := systemd.Inherit(activation.Files(true))
	if err != nil {
		return err
	}
	for _, warning := range cfg.takeOver(sockets) {
		log.Warn().Msg(warning)
	}
	g, err := newGateway(cfg, log, p.LogLost)
	if err != nil {
		return startFailures(cfg, err)
	}
	g.level = p.Level
	if err := g.start(); err != nil {
		g.shutdown(time.Now())
		return err
	}
	return g.untilSignal(p)
}
