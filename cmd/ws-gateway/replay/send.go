package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"ws-gateway/cmd/ws-gateway/internal/signals"
	"ws-gateway/forward"
)

const (
	// Events, and bytes of them, that are read ahead: an event that waits for an earlier
	// one of its connection does not hold up the others.
	maxEvents = 1024
	maxBytes  = 32 << 20
)

// errInterrupted means that a signal has ended replay.
var errInterrupted = errors.New("interrupted")

// run sends the events that have not been dealt with.
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

// feed reads until EOF or a failure, and waits until all events have been dealt with.
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
		room := func() bool { return r.held == 0 || r.held < maxEvents && r.heldBytes+len(l.text) <= maxBytes }
		if err := r.await(room); err != nil {
			r.left++
			return err
		}
		r.add(&letter{l, parsed})
	}
}

// await waits until cond is true, which is called with the lock held, or until a failure
// or a signal.
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

// add sends an event, or lets it wait for earlier ones of its connection.
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

// sendLocked gives an event to the forwarder, in a lane of its own. It is the only event
// of its connection there.
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

// notTaken says why an event was not delivered. It may be delivered later.
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

// failLocked makes replay end. Events that are on their way are not counted as sent.
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

// finish ends the forwarder. If replay ends early, attempts under way get their time for
// an answer, or the same events would be sent twice; unless the app cannot be reached, or
// somebody who is tired of waiting sends another signal.
func (r *replay) finish(failure error) {
	if failure != nil {
		r.fail(failure)
	}
	left := r.attempt
	if nobody, ok := errors.AsType[*notTaken](failure); ok && nobody.outcome == forward.Unreachable {
		left = 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), left)
	defer cancel()
	var asked signals.Judge
	if errors.Is(failure, errInterrupted) {
		asked.Take(time.Now())
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		r.events.Drain(ctx)
	}()
	for ended := false; !ended; {
		select {
		case <-drained:
			ended = true
		case <-r.p.Signals:
			if asked.Take(time.Now()) == signals.StopNow {
				cancel()
			}
		}
	}
	if r.refusals != nil {
		if err := r.refusals.Close(); err != nil {
			r.fail(err)
		}
	}
}
