package program

import (
	"bytes"
	"time"

	"github.com/rs/zerolog"

	"ws-gateway/cmd/ws-gateway/internal/logqueue"
	"ws-gateway/cmd/ws-gateway/internal/terminal"
)

// How long the process waits at its end until its log is read: after a shutdown, and
// if it has to exit at once.
const (
	flushTime   = time.Second
	flushAtOnce = 100 * time.Millisecond
)

// QueueLog puts a queue in front of standard error, so that from now on no write to it
// waits for a reader. The function that it returns writes what is left. level and
// format are those of the log, for the line that says how many lines are missing.
func (p *Process) QueueLog(level, format string) (end func()) {
	isTerminal := terminal.Is(p.Stderr)
	q := logqueue.New(p.Stderr, func(lines uint64) []byte {
		var line bytes.Buffer
		log := newLogger(&line, isTerminal, level, format)
		log.WithLevel(zerolog.WarnLevel).Uint64("lines", lines).
			Msg("log lines are missing here: whoever reads the log did not take them, or there was no room for them")
		return line.Bytes()
	})
	p.Stderr, p.queue = q, q
	return func() { q.Close(flushTime) }
}

// QueueErrors is QueueLog for the messages about a wrong configuration: the exit code
// must come out whether anybody reads them or not.
func (p *Process) QueueErrors() (end func()) {
	p.IgnorePipe()
	return p.QueueLog(zerolog.LevelWarnValue, "console")
}

// LogLost is how many log lines have been lost.
func (p *Process) LogLost() uint64 {
	if p.queue == nil {
		return 0
	}
	return p.queue.Lost()
}

// FlushLog waits a moment for the log to be read, before the process exits at once.
func (p *Process) FlushLog() {
	if p.queue != nil {
		p.queue.Flush(flushAtOnce)
	}
}
