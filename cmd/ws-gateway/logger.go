package main

import (
	"bytes"
	"io"
	stdlog "log"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"

	"ws-gateway/cmd/ws-gateway/internal/logqueue"
)

// newLogger logs to out: JSON, or lines for people where out is a terminal. level
// and format are checked options.
func newLogger(out io.Writer, level, format string) zerolog.Logger {
	return newLoggerFor(out, isTerminal(out), level, format)
}

func newLoggerFor(out io.Writer, terminal bool, level, format string) zerolog.Logger {
	parsed, err := zerolog.ParseLevel(level)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	if format == "console" || format == "auto" && terminal {
		out = zerolog.ConsoleWriter{Out: out, TimeFormat: time.TimeOnly, NoColor: !terminal || os.Getenv("NO_COLOR") != ""}
	}
	return zerolog.New(out).Level(parsed).With().Timestamp().Logger()
}

// logLevel is the least level that is logged. It can be changed while others log.
type logLevel struct{ least atomic.Int32 }

// newLogLevel begins with a level by its name, which is a checked option.
func newLogLevel(name string) *logLevel {
	l := new(logLevel)
	l.set(name)
	return l
}

// set changes the level. A nil *logLevel has none.
func (l *logLevel) set(name string) {
	if l == nil {
		return
	}
	parsed, err := zerolog.ParseLevel(name)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	l.least.Store(int32(parsed))
}

// loosen changes the level where that lets more through.
func (l *logLevel) loosen(name string) {
	if parsed, err := zerolog.ParseLevel(name); err != nil || int32(parsed) < l.least.Load() {
		l.set(name)
	}
}

// of returns log with this level.
func (l *logLevel) of(log zerolog.Logger) zerolog.Logger { return log.Sample(l) }

// Sample implements zerolog.Sampler, which is asked for each line.
func (l *logLevel) Sample(level zerolog.Level) bool { return level >= zerolog.Level(l.least.Load()) }

func isTerminal(w io.Writer) bool {
	f, ok := w.(interface{ Fd() uintptr }) // a file, or the queue before it
	return ok && isatty.IsTerminal(f.Fd())
}

// logFlush is how long the process waits at its end for whoever reads its log, and
// logGlance where it is to end at once.
const (
	logFlush  = time.Second
	logGlance = 100 * time.Millisecond
)

// queueLog puts a queue between this process and standard error: from now on
// nothing that is written there waits for its reader. The function that it returns
// writes what is left.
func (p *process) queueLog(level, format string) (end func()) {
	q := logqueue.New(p.stderr, func(lines uint64) []byte {
		var line bytes.Buffer
		log := newLoggerFor(&line, isTerminal(p.stderr), level, format)
		log.WithLevel(zerolog.WarnLevel).Uint64("lines", lines).
			Msg("log lines are missing here: whoever reads the log did not take them, or there was no room for them")
		return line.Bytes()
	})
	p.stderr, p.queue = q, q
	return func() { q.Close(logFlush) }
}

// lastWords is queueLog for what is said of a wrong configuration: the exit code has
// to come out whether anybody reads that or not.
func (p *process) lastWords() (end func()) {
	p.outliveReaders()
	return p.queueLog(zerolog.LevelWarnValue, "console")
}

// logLost is how many lines of the log are lost.
func (p *process) logLost() uint64 {
	if p.queue == nil {
		return 0
	}
	return p.queue.Lost()
}

// quietly is for libraries that log what a single connection made them notice.
func quietly(log zerolog.Logger) *stdlog.Logger {
	return stdlog.New(debugWriter{log}, "", 0)
}

type debugWriter struct{ log zerolog.Logger }

func (w debugWriter) Write(line []byte) (int, error) {
	w.log.Debug().Msg(strings.TrimSpace(string(line)))
	return len(line), nil
}
