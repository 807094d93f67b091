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
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/rs/zerolog"

	"ws-gateway/cmd/ws-gateway/internal/logqueue"
)

// Exit codes. A process that a second signal ended exits with 128 and the
// signal's number, as a shell reports it.
const (
	exitOK      = 0
	exitFailure = 1 // could not start, or not go on

	// The configuration is wrong, or what was typed: EX_CONFIG of sysexits.h. It is
	// a code that Go's runtime never uses, which exits with 2 after a panic or out of
	// memory: who supervises the process restarts it after those, and not after this.
	exitUsage = 78
)

func main() {
	tuneCollector()
	signal.Ignore(syscall.SIGXFSZ) // a file that may not grow is an error of its writer, like a full disk
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000Z07:00"
	p := process{
		args: os.Args[1:], env: newEnvironment(os.Environ()), stdout: os.Stdout, stderr: os.Stderr,
		signals: make(chan os.Signal, 4), hangUps: make(chan os.Signal, 1), catch: signal.Notify,
		exit: os.Exit,
	}
	os.Exit(p.main())
}

// process is the program's surroundings.
type process struct {
	args           []string
	env            environment
	stdout, stderr io.Writer
	queue          *logqueue.Queue // is stderr, once a command that must not wait for it runs
	level          *logLevel       // of the log
	exit           func(code int)  // ends the process at once

	// Signals, of those commands that catch them (signals.go).
	signals chan os.Signal // to stop
	hangUps chan os.Signal // SIGHUP; several that come at once are one
	catch   func(c chan<- os.Signal, s ...os.Signal)
}

// main returns the exit code.
func (p *process) main() int {
	args, err := plainly(p.args)
	if err != nil {
		p.complain(err)
		return exitUsage
	}
	p.args = args
	switch {
	case len(p.args) == 0:
	case isClientCommand(p.args[0]):
		return p.client()
	case p.args[0] == completeCommand:
		return p.complete(p.args[1:])
	}
	p.keepHangUps()
	cfg, err := parseConfig(p.args, p.env, p.stdout)
	if err != nil || cfg.PrintConfig || cfg.command != "run" && cfg.command != "demo" {
		p.dropHangUps()
	}
	switch {
	case errors.Is(err, errHelp):
		return exitOK
	case err != nil && cfg != nil && cfg.command == "check":
		return p.misconfigured(cfg, err)
	case err != nil:
		defer p.lastWords()()
		p.complain(err)
		if cfg != nil && cfg.values != nil && cfg.command == "run" {
			p.complain(failures(fileFindings(cfg)))
		}
		return exitUsage
	}
	cfg.fitMemory()
	if cfg.command == "check" && !cfg.PrintConfig {
		return p.check(cfg)
	}
	if !cfg.PrintConfig && (cfg.command == "run" || cfg.command == "demo") {
		p.outliveReaders()
	}
	if !cfg.PrintConfig && cfg.command != "health" {
		defer p.queueLog(cfg.LogLevel, cfg.LogFormat)()
	}
	p.level = newLogLevel(cfg.LogLevel)
	log := p.level.of(newLogger(p.stderr, "trace", cfg.LogFormat))
	for _, warning := range cfg.warnings {
		log.Warn().Msg(warning)
	}
	if cfg.PrintConfig {
		if err := printConfig(p.stdout, cfg); err != nil {
			log.Error().Err(err).Msg("printing the configuration")
			return exitFailure
		}
		return exitOK
	}
	if err := p.perform(cfg, log); err != nil {
		for line := range strings.Lines(err.Error()) {
			log.Error().Msg(strings.TrimSpace(line))
		}
		return exitFailure
	}
	return exitOK
}

// perform does what the command says.
func (p *process) perform(cfg *config, log zerolog.Logger) error {
	switch {
	case cfg.demo:
		return p.runDemo(cfg, log)
	case cfg.replay.File != "":
		return p.replay(cfg, log)
	case cfg.command == "health":
		return p.health(cfg)
	}
	return p.run(cfg, log)
}

// run is the gateway's life.
func (p *process) run(cfg *config, log zerolog.Logger) error {
	p.serve()
	sockets, err := inherit(activation.Files(true))
	if err != nil {
		return err
	}
	for _, warning := range cfg.takeOver(sockets) {
		log.Warn().Msg(warning)
	}
	g, err := newGateway(cfg, log, p.logLost)
	if err != nil {
		return startFailures(cfg, err)
	}
	g.level = p.level
	if err := g.start(); err != nil {
		g.shutdown(time.Now())
		return err
	}
	return p.untilSignal(g, log)
}
