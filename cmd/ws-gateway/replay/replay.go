// Package replay sends the events of a dead-letter file to the app again, those of one
// connection in the order of the file, those of several connections at the same time. It
// is a forwarder with at most one event of a connection in it, so that an event that the
// app does not take is never overtaken.
//
//	Run ──▶ letterReader ──▶ feed ──▶ forward.Redeliver ──▶ the app
//	                           ▲                              │
//	                           └── settle ◀── forward.Config.Done
//
// It may import forward, forward/deadletter, config, program, settings and internal, not
// the gateway.
package replay

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/internal/terminal"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/forward"
	"ws-gateway/forward/deadletter"
)

// replay is one run. The lines that have been dealt with are noted in FILE.done; FILE
// itself is only read. An event that the app refuses goes to FILE.refused as it stands.
// If the app cannot be reached, or fails, for as long as an event is tried, replay ends.
type replay struct {
	p     *program.Process
	log   zerolog.Logger
	path  string
	lines *letterReader
	done  *doneFile
	bar   *terminal.Progress // nil: standard error is no terminal
	size  int64              // of the file

	events  *forward.Forwarder
	attempt time.Duration // how long one may take
	changed chan struct{} // has one place: an event has been dealt with, or replay is to end

	mu                       sync.Mutex           // guards the following
	waiting                  map[string][]*letter // by connection; the first is on its way
	sent                     map[uint64]*letter   // those on their way, by the key of their lane
	held, heldBytes          int                  // all that wait or are on their way
	delivered, refused, left int
	refusals                 *os.File // FILE.refused, once there is one
	failure                  error    // why replay ends before the end of the file
	keys                     uint64   // given to lanes so far
}

// letter is a line of the file that waits or is on its way.
type letter struct {
	rawLine
	*deadletter.Letter
}

// Run is the life of the command.
func Run(p *program.Process, c *config.Config, log zerolog.Logger) error {
	path := c.Replay.File
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("%s: not a file that can be read twice", path)
	}
	done, err := openDone(path, file, c.Replay.DryRun)
	if err != nil {
		return err
	}
	defer done.close()
	r := &replay{
		p: p, log: log, path: path, lines: newLetterReader(file), done: done, size: info.Size(), attempt: c.CallbackTimeout,
		changed: make(chan struct{}, 1), waiting: make(map[string][]*letter), sent: make(map[uint64]*letter),
	}
	if c.Replay.DryRun {
		return r.rehearse()
	}
	if terminal.Is(p.Stderr) {
		r.bar = terminal.NewProgress(p.Stderr)
		if c.LogFormat == "auto" {
			r.log = program.NewLogger(r.bar, c.LogLevel, "console") // scrolls by above the bar
		}
	}
	p.CatchStops(syscall.SIGHUP)
	if r.events, err = forward.New(r.forwardConfig(c)); err != nil {
		return err
	}
	return r.run()
}

// forwardConfig is the gateway's configuration of its forwarder, except that no
// connection waits for an answer, and that refused events go to a file of their own.
func (r *replay) forwardConfig(c *config.Config) forward.Config {
	fc := c.Forward()
	fc.Settles, fc.DeadLetter = false, ""
	fc.Done, fc.Log = r.settle, r.log
	return fc
}

// progress is the text of the progress bar.
func (r *replay) progress() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprintf("%3d %%  delivered %d, refused %d", 100*r.lines.offset.Load()/max(r.size, 1), r.delivered, r.refused)
}
