package forward

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// A batch fails as a whole. Mostly that is the app's failure, and all there is to do is to
// try again. But it may be because of a single event, which the app will never take. Then
// the others, which other clients have sent, must not be lost with it. So
//
//   - a batch that is refused is divided into two, with about as many events each, which
//     are attempted side by side from then on. If a batch has one lane, first its first
//     half is attempted, then what is left. In the end the event is alone, and treated
//     like any event.
//   - a batch that fails again and again with an outcome that may be over soon is divided
//     too, but only on evidence that it is not the app: something else has been delivered
//     since. Without evidence a single event of the batch, chosen at random among the first
//     ones of its lanes, is attempted in its place. While the app is down or refuses
//     everything that is all that happens: no batch is divided, and the number of POSTs
//     stays the same.
//
// Events that are divided from one that hangs must not pay for its time, so their windows
// begin again.
const (
	// patience is how many failures in a row make a batch suspicious. A timeout takes much
	// longer than other failures, and counts twice.
	patience = 3
	// leastTrials is how many events, each from another lane, must have failed alone before
	// a batch is given up at the end of its window.
	leastTrials = 2
)

// doubt is the evidence against a batch as it is now.
type doubt struct {
	refused  bool
	trial    bool          // one event is attempted, to see whether the app takes anything
	trials   int           // how many of these have failed
	strikes  int           // failures in a row that may be the batch's own
	failures int           // all failures in a row, for the back-off
	since    time.Duration // when the first of the attempts that failed began
	proven   bool          // something else was delivered after that, and then the batch failed again
}

// divisions counts batches that were divided, and logs that once.
type divisions struct {
	log     zerolog.Logger
	count   atomic.Uint64
	latest  atomic.Int64 // instant at which something was last delivered
	logOnce sync.Once
}

func (d *divisions) took(now time.Duration) { d.latest.Store(int64(now)) }

// evidence reports whether something else has been delivered since b began to fail.
func (d *divisions) evidence(b *batch) bool {
	return b.since > 0 && time.Duration(d.latest.Load()) >= b.since
}

func (d *divisions) note(b *batch) {
	d.count.Add(1)
	d.logOnce.Do(func() {
		d.log.Warn().Bytes("request_id", b.events[0].requestID()).Int("events", len(b.events)).
			Msg("the app does not take a batch, though it takes others or has refused it: it is divided until the event that it does not take is alone; said once")
	})
}

func (b *batch) suspicious() bool { return b.refused || b.strikes >= patience }

// arrange makes the list of the batch's events again, lane by lane.
func (b *batch) arrange() {
	clear(b.events)
	b.events = b.events[:0]
	for i := range b.lanes {
		s := &b.lanes[i]
		e := s.lane.head
		for n := range s.count {
			if n > 0 {
				e = e.next // events of a batch are linked
			}
			b.events = append(b.events, e)
		}
	}
	b.whole()
}

// whole, first and only choose which events of the batch are attempted: all of them, the
// first ones of its only lane, or the first one of one lane.
func (b *batch) whole() {
	b.tried = b.events
	for i := range b.lanes {
		b.lanes[i].tried = b.lanes[i].count
	}
}

func (b *batch) first(n int) {
	b.tried = b.events[:n]
	b.lanes[0].tried = n
}

func (b *batch) only(lane int) {
	for i := range b.lanes {
		b.lanes[i].tried = 0
	}
	b.lanes[lane].tried = 1
	b.one[0] = b.lanes[lane].lane.head
	b.tried = b.one[:]
}

// look decides how to go on with l's batch after a failure. If it divides the batch, other
// is the lane that leads the second half.
func (f *Forwarder) look(l *lane) (other *lane) {
	b := l.batch
	switch {
	case len(b.tried) == 1 || !b.suspicious():
	case b.refused || b.proven:
		f.divisions.note(b)
		other = b.divide(f.now())
	case f.divisions.evidence(b): // maybe the app has just come back; the next failure tells
	case len(b.lanes) == 1: // wait for its first event, as if that had always been alone
		for _, e := range b.events[1:] {
			e.window = 0
		}
		b.first(1)
	default:
		b.trial = true
		b.only(min(int(f.policy.random()*float64(len(b.lanes))), len(b.lanes)-1))
	}
	return other
}

// divide takes the second half off the batch and returns the lane that leads it. A batch
// with one lane stays one batch, of which less is attempted.
func (b *batch) divide(now time.Duration) (other *lane) {
	for _, e := range b.events {
		e.window = 0
	}
	b.doubt = doubt{strikes: patience - 1, since: now}
	if len(b.lanes) == 1 {
		b.proven = true // the rest waits for these, and cannot give evidence
		b.first((len(b.tried) + 1) / 2)
		return nil
	}
	keep, events := 0, 0
	for keep < len(b.lanes)-1 && (keep == 0 || 2*(events+b.lanes[keep].count) <= len(b.events)) {
		events += b.lanes[keep].count
		keep++
	}
	second := batches.Get().(*batch)
	second.doubt = b.doubt
	second.lanes = append(second.lanes, b.lanes[keep:]...)
	clear(b.lanes[keep:])
	b.lanes = b.lanes[:keep]
	b.arrange()
	second.arrange()
	other = second.lanes[0].lane
	other.batch = second
	return other
}

// shrink ends those events of the batch that l leads which are done, after an answer with
// this status. back is a chain of the lanes that have left the batch and have more
// events. rest leads what is left of the batch, if anything.
func (f *Forwarder) shrink(l *lane, status int) (back, rest *lane) {
	b := l.batch
	l.batch = nil
	var last *lane
	kept := b.lanes[:0]
	for _, s := range b.lanes {
		more := s.lane
		for range s.done {
			e := s.lane.head
			more = f.end(s.lane, e, ending{outcome: e.outcome, status: status})
		}
		s.count, s.done = s.count-s.done, 0
		switch {
		case s.count > 0:
			kept = append(kept, s)
			continue
		case more == nil:
			continue
		case last == nil:
			back = more
		default:
			last.next = more
		}
		f.lanes.release(more)
		last, more.next = more, nil
	}
	clear(b.lanes[len(kept):])
	b.lanes = kept
	if len(kept) == 0 {
		b.recycle()
		return back, nil
	}
	b.doubt = doubt{}
	b.arrange()
	rest = kept[0].lane
	rest.batch = b
	return back, rest
}

// concludeBatch deals with the outcome of an attempt at a batch.
func (w *worker) concludeBatch(r *report, status int, retryAfter time.Duration) {
	f, b := w.f, r.job.lane.batch
	switch {
	case r.outcome == Delivered && w.client.Partial:
		w.settlePartly(r, status, retryAfter)
	case r.outcome == Delivered:
		f.divisions.took(f.now())
		w.settleBatch(r, status)
	case r.outcome == CutOff:
		r.again = r.job.lane // after Hold; or Drain finds the events in their lanes
	case r.outcome.retryable():
		w.postpone(r, status, retryAfter)
	case len(b.tried) == 1:
		w.settleBatch(r, status)
	default:
		b.refused = true
		r.again = r.job.lane
	}
}

// settleBatch ends those events of a batch that were attempted: all of them have been
// delivered or have failed for good.
func (w *worker) settleBatch(r *report, status int) {
	f, b := w.f, r.job.lane.batch
	for _, e := range b.tried {
		e.outcome = r.outcome
	}
	for i := range b.lanes {
		b.lanes[i].done = b.lanes[i].tried
	}
	known := doubt{}
	if len(b.tried) < len(b.events) { // the rest is still under suspicion
		known = doubt{strikes: patience - 1, since: r.began}
	}
	if r.back, r.again = f.shrink(r.job.lane, status); r.again != nil {
		r.again.batch.doubt = known
	}
}

// postpone has a batch attempted again, as a whole or divided, or gives it up.
func (w *worker) postpone(r *report, status int, retryAfter time.Duration) {
	f, b, now := w.f, r.job.lane.batch, w.f.now()
	alone := len(b.tried) == 1 && !b.trial
	window := b.window()
	b.blame(r, f.divisions.evidence(b))
	due, again := f.policy.retryAt(now, window, b.failures, retryAfter)
	nobody := r.outcome == Unreachable || r.outcome == Starved // the app has not even seen it
	switch {
	case !again && (alone || nobody || !b.proven && b.trials >= min(leastTrials, len(b.lanes))):
		w.settleBatch(r, status)
		return
	case !again: // a trial decides, or it is divided
		b.strikes = patience
		due = 0
	case r.outcome == Unreachable:
		due = 0 // the circuit breaker decides when, for all of them
	case !alone && b.proven && b.suspicious() && retryAfter == 0:
		due = 0
	}
	r.again, r.due = r.job.lane, due
}

// window is when the last one of the attempted events is given up.
func (b *batch) window() (end time.Duration) {
	for _, e := range b.tried {
		end = max(end, e.window)
	}
	return end
}

// blame notes a failure, and whether there is evidence that it is not the app's. After a
// trial all events of the batch are up for an attempt again, unless look begins another
// trial.
func (b *batch) blame(r *report, evidence bool) {
	b.failures++
	if b.trial {
		b.trial = false
		b.trials++
		b.whole()
		return
	}
	switch r.outcome {
	case Unreachable, Starved:
		return
	case TimedOut:
		b.strikes += 2
	default:
		b.strikes++
	}
	b.proven = b.proven || evidence
	if b.since == 0 {
		b.since = r.began
	}
}
