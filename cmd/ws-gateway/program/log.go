package program

import (
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"ws-gateway/cmd/ws-gateway/internal/terminal"
)

// NewLogger logs to out: JSON, or lines for people if format is "console", or if it is
// "auto" and out is a terminal. level and format are option values that have been
// checked.
func NewLogger(out io.Writer, level, format string) zerolog.Logger {
	return newLogger(out, terminal.Is(out), level, format)
}

func newLogger(out io.Writer, isTerminal bool, level, format string) zerolog.Logger {
	if format == "console" || format == "auto" && isTerminal {
		out = zerolog.ConsoleWriter{Out: out, TimeFormat: time.TimeOnly, NoColor: !isTerminal || os.Getenv("NO_COLOR") != ""}
	}
	return zerolog.New(out).Level(parseLevel(level)).With().Timestamp().Logger()
}

func parseLevel(name string) zerolog.Level {
	level, err := zerolog.ParseLevel(name)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return level
}

// Level is the least severe level that is logged. It can be changed while others log.
type Level struct{ least atomic.Int32 }

// NewLevel takes the name of a level, which has been checked.
func NewLevel(name string) *Level {
	l := new(Level)
	l.Set(name)
	return l
}

// Set changes the level. On a nil *Level it does nothing.
func (l *Level) Set(name string) {
	if l != nil {
		l.least.Store(int32(parseLevel(name)))
	}
}

// Loosen changes the level if that lets more lines through.
func (l *Level) Loosen(name string) {
	if level := int32(parseLevel(name)); level < l.least.Load() {
		l.least.Store(level)
	}
}

// Of returns log with this level.
func (l *Level) Of(log zerolog.Logger) zerolog.Logger { return log.Sample(l) }

// Sample implements zerolog.Sampler, which is asked for each line.
func (l *Level) Sample(level zerolog.Level) bool { return level >= zerolog.Level(l.least.Load()) }
