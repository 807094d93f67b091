package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
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

const (
	// So many events are read ahead, or bytes of them: what waits for an event of
	// its connection does not hold up the others.
	replayEvents = 1024
	replayBytes  = 32 << 20
	// replayGrace is what is left for attempts under way when it is interrupted.
	replayGrace = 3 * time.Second
)

// replay sends the events of a dead-letter file again, those of one connection in
// the order of the file, those of several side by side. What has been dealt with
// is noted in FILE.done; FILE itself is only read. An event that the app refuses
// goes to FILE.refused as it stands; when the app cannot be reached, or fails, for
// as long as events are tried, replay ends.
type replay struct {
	p     *program.Process
	log   zerolog.Logger
	path  string
	lines *letterReader
	done  *doneFile
	bar   *terminal.Progress // nil: standard error is no terminal
	size  int64              // of the file

	events  *forward.Forwarder
	changed chan struct{} // has one place: an event has been dealt with, or it is to end

	mu                       sync.Mutex           // guards the following
	waiting                  map[string][]*letter // by connection; the first is on its way
	sent                     map[uint64]*letter   // those on their way, by the key of their lane
	held, heldBytes          int                  // of these
	delivered, refused, left int
	refusals                 *os.File // FILE.refused, once there is one
	failure                  error    // why it ends before the end of the file
	keys                     uint64
}

// letter is a line of the file that is on its way.
type letter struct {
	rawLine
	*deadletter.Letter
}

// errInterrupted means that a signal has ended it.
var errInterrupted = errors.New("interrupted")

// replayLetters is the life of the command of that name.
func replayLetters(p *program.Process, cfg *config.Config, log zerolog.Logger) error {
	file, err := os.Open(cfg.Replay.File)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("%s: not a file that can be read twice", cfg.Replay.File)
	}
	done, err := openDone(cfg.Replay.File, file, cfg.Replay.DryRun)
	if err != nil {
		return err
	}
	defer done.close()
	var bar *terminal.Progress
	if terminal.Is(p.Stderr) {
		bar = terminal.NewProgress(p.Stderr)
		if cfg.LogFormat == "auto" {
			log = program.NewLogger(bar, cfg.LogLevel, "console")
		}
	}
	r := &replay{
		p: p, log: log, path: cfg.Replay.File, lines: newLetterReader(file), done: done, bar: bar, size: info.Size(),
		changed: make(chan struct{}, 1), waiting: make(map[string][]*letter), sent: make(map[uint64]*letter),
	}
	if cfg.Replay.DryRun {
		return r.rehearse()
	}
	p.CatchStops(syscall.SIGHUP)
	if r.events, err = forward.New(r.forwardConfig(cfg)); err != nil {
		return err
	}
	return r.run()
}

// forwardConfig is the gateway's own, without what ties it to a gateway: there
// are no connections to answer to, and no epoch, for none begins.
func (r *replay) forwardConfig(cfg *config.Config) forward.Config {
	fc := cfg.Forward()
	fc.Settles, fc.DeadLetter = false, ""
	fc.Done, fc.Log = r.settle, r.log
	return fc
}

// run sends what has not been dealt with.
func (r *replay) run() error {
	r.events.Start()
	stopBar := func() {}
	if r.bar != nil {
		stopBar = r.bar.Run(r.progress)
	}
	r.finish(r.feed())
	stopBar()
	r.p.DropStops()
	remaining, err := r.remaining()
	r.left += r.held + remaining
	return errors.Join(err, r.summarise())
}

// feed reads the file to its end, or until it is to end.
func (r *replay) feed() error {
	for {
		l, err := r.lines.next()
		switch {
		case err == io.EOF:
			return r.await(func() bool { return r.held == 0 })
		case err != nil:
			return err
		case r.done.has(l.offset):
			r.lines.skipped++
			continue
		}
		parsed, err := l.parse()
		if err != nil {
			r.lines.bad++
			r.log.Warn().Int("line", l.number).Msgf("not sent: %v", err)
			continue
		}
		room := func() bool { return r.held == 0 || r.held < replayEvents && r.heldBytes+len(l.text) <= replayBytes }
		if err := r.await(room); err != nil {
			r.left++
			return err
		}
		r.add(&letter{l, parsed})
	}
}

// await waits until cond, which is called with the lock held, or until it is to
// end.
func (r *replay) await(cond func() bool) error {
	for {
		r.mu.Lock()
		met, failure := cond(), r.failure
		r.mu.Unlock()
		if failure != nil || met {
			return failure
		}
		select {
		case <-r.changed:
		case <-r.p.Signals:
			r.fail(errInterrupted)
		}
	}
}

// add sends an event, or has it wait for those of its connection.
func (r *replay) add(l *letter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held++
	r.heldBytes += len(l.text)
	r.waiting[l.ConnID] = append(r.waiting[l.ConnID], l)
	if len(r.waiting[l.ConnID]) == 1 {
		r.sendLocked(l)
	}
}

// sendLocked gives an event to the forwarder, in a lane of its own: it is the only
// one of its connection there.
func (r *replay) sendLocked(l *letter) {
	r.keys++
	key := r.keys<<32 | 1
	r.sent[key] = l
	r.events.Redeliver(key, l.Letter)
}

// settle is forward.Config.Done.
func (r *replay) settle(key uint64, o forward.Outcome, status int, _ bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.sent[key]
	if l == nil {
		panic("BUG: an event came back that is not on its way")
	}
	delete(r.sent, key)
	switch o {
	case forward.Delivered:
		r.noteLocked(l, &r.delivered)
	case forward.Rejected:
		if err := r.keepLocked(l); err != nil {
			r.failLocked(err)
			return
		}
		r.noteLocked(l, &r.refused)
	default:
		r.failLocked(&notTaken{l.RequestID, o, status})
		return
	}
	r.held--
	r.heldBytes -= len(l.text)
	queue := r.waiting[l.ConnID]
	if r.waiting[l.ConnID] = queue[1:]; len(queue) == 1 {
		delete(r.waiting, l.ConnID)
	} else if r.failure == nil {
		r.sendLocked(queue[1])
	}
	r.signal()
}

// notTaken says why an event was not delivered and may be later.
type notTaken struct {
	id      string
	outcome forward.Outcome
	status  int
}

func (e *notTaken) Error() string {
	if e.status != 0 {
		return fmt.Sprintf("event %s: the app answers %d", e.id, e.status)
	}
	return fmt.Sprintf("event %s: %v", e.id, e.outcome)
}

// noteLocked notes that an event has been dealt with.
func (r *replay) noteLocked(l *letter, count *int) {
	*count++
	if err := r.done.add(l.offset); err != nil {
		r.failLocked(err)
	}
}

// keepLocked writes a refused event to FILE.refused.
func (r *replay) keepLocked(l *letter) (err error) {
	if r.refusals == nil {
		r.refusals, err = os.OpenFile(r.path+".refused", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
	}
	_, err = r.refusals.Write(append(l.text, '\n'))
	return err
}

func (r *replay) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failLocked(err)
}

// failLocked makes it end. What is on its way is left.
func (r *replay) failLocked(err error) {
	if r.failure == nil {
		r.failure = err
	}
	r.signal()
}

func (r *replay) signal() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// finish ends the forwarder. Where it ends early, attempts under way may come to
// their end, unless there is nobody to answer them.
func (r *replay) finish(failure error) {
	if failure != nil {
		r.fail(failure)
	}
	grace := replayGrace
	if nobody, ok := errors.AsType[*notTaken](failure); ok && nobody.outcome == forward.Unreachable {
		grace = 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	r.events.Drain(ctx)
	if r.refusals != nil {
		if err := r.refusals.Close(); err != nil {
			r.fail(err)
		}
	}
}

// remaining counts the lines that were not read any more.
func (r *replay) remaining() (n int, err error) {
	for {
		l, err := r.lines.next()
		switch {
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, err
		case !r.done.has(l.offset):
			n++
		}
	}
}

// summarise says what became of the events, and whether all is well.
func (r *replay) summarise() error {
	out := r.p.Stdout
	fmt.Fprintf(out, "delivered %d, refused %d, unreadable %d, left %d", r.delivered, r.refused, r.lines.bad, r.left)
	if r.lines.skipped > 0 {
		fmt.Fprintf(out, ", dealt with before %d", r.lines.skipped)
	}
	fmt.Fprintln(out)
	if r.refused > 0 {
		fmt.Fprintf(out, "what the app refused is in %s\n", r.path+".refused")
	}
	if r.lines.partial {
		fmt.Fprintln(out, "the last line is not complete: it is left for the next time")
	}
	switch {
	case r.failure != nil:
		return fmt.Errorf("replay ended early: %w; the same command goes on where it was", r.failure)
	case r.refused > 0 || r.lines.bad > 0:
		return errors.New("not all events were delivered")
	}
	return nil
}

// rehearse says what would be sent.
func (r *replay) rehearse() error {
	out := bufio.NewWriter(r.p.Stdout)
	valid := 0
	for {
		l, err := r.lines.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if r.done.has(l.offset) {
			r.lines.skipped++
			continue
		}
		parsed, err := l.parse()
		if err != nil {
			r.lines.bad++
			fmt.Fprintf(out, "line %d: cannot be sent: %v\n", l.number, err)
			continue
		}
		valid++
		fmt.Fprintf(out, "line %d: %s of user %q, X-Request-Id %s, X-Attempt %d, %d bytes\n",
			l.number, parsed.Action, parsed.User, parsed.RequestID, parsed.Attempts+1, len(parsed.Event))
	}
	fmt.Fprintf(out, "%d would be sent, %d are unreadable, %d are dealt with\n", valid, r.lines.bad, r.lines.skipped)
	if err := out.Flush(); err != nil {
		return err
	}
	if r.lines.bad > 0 {
		return fmt.Errorf("%d lines cannot be sent", r.lines.bad)
	}
	return nil
}

// progress is the text of the progress bar.
func (r *replay) progress() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprintf("%3d %%  delivered %d, refused %d", 100*r.lines.offset.Load()/max(r.size, 1), r.delivered, r.refused)
}
