package forward

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// A batch fails whole, and mostly it is the app's failure: all that is to be done is
// to try again. But it may be about a single event, which the app will never take,
// and then the others, which other clients have sent, must not be lost with it. So
//
//   - a batch that is refused is divided: into two, of as many lanes each, that go
//     their own ways at the same time. A batch of one lane is attempted by its first
//     half alone, then by what is left. In the end the event is alone, and treated as
//     any event is.
//   - a batch that fails again and again, with what may be over soon, is divided as
//     well, once there is evidence that it is not the app: something else has been
//     delivered since. Where there is none, a single event of the batch, drawn by lot
//     among the first of each lane, is attempted in its place. While the app is down or
//     refuses everything that is all that happens: no batch is divided, and the number
//     of POSTs is the same.
//
// Events that are divided from one that hangs must not pay for its time: their
// windows begin anew.
const (
	// patience is how many failures in a row make a batch suspicious. One that nobody
	// answered in time has taken much longer than others, and counts twice.
	patience = 3
	// leastTrials is how many events, each of another lane, must have failed alone
	// before a batch is given up at the end of its window.
	leastTrials = 2
)

// doubt is what is known against a batch as it is now.
type doubt struct {
	refused  bool
	trial    bool          // what is attempted is one event, to see whether the app takes anything
	trials   int           // of these that failed
	strikes  int           // failures in a row that may be the batch's own
	failures int           // all failures in a row, for the back-off
	since    time.Duration // when the first of the attempts that failed began
	proven   bool          // since then something else was delivered, and it has failed again after that
}

// divisions counts batches that were divided, and says so once.
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

// arrange lists the batch's events anew, lane by lane.
func (b *batch) arrange() {
	clear(b.events)
	b.events = b.events[:0]
	for i := range b.lanes {
		s := &b.lanes[i]
		e := s.lane.head
		for n := range s.count {
			if n > 0 {
				e = e.next // what is in a batch is linked
			}
			b.events = append(b.events, e)
		}
	}
	b.whole()
}

// whole, first and only say what is attempted of the batch: all of it, the first
// events of its only lane, the first event of one lane.
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

// look decides what is attempted of l's batch, which has been attempted before.
// other, if there is one, is the lane that leads what was divided from it.
func (f *Forwarder) look(l *lane) (other *lane) {
	b := l.batch
	switch {
	case len(b.tried) == 1 || !b.suspicious():
	case b.refused || b.proven:
		f.divisions.note(b)
		other = b.divide(f.now())
	case f.divisions.evidence(b): // the app has just come back, or not quite; the next failure tells
	case len(b.lanes) == 1: // its first event is the one to wait for, as if it had always been alone
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

// divide takes the second half off the batch, and returns the lane that leads it. A
// batch of one lane stays one, of which less is attempted.
func (b *batch) divide(now time.Duration) (other *lane) {
	for _, e := range b.events {
		e.window = 0
	}
	b.doubt = doubt{strikes: patience - 1, since: now}
	if len(b.lanes) == 1 {
		b.proven = true // what follows waits for these, and cannot give evidence
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

// shrink ends the events that are done with of the batch that l leads, after an answer
// of this status. back are the lanes that are no longer in it and have more, as a
// chain; rest leads what is left, if anything.
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
	case r.outcome == CutOff: // Drain finds the events where they are
	case r.outcome.retryable():
		w.postpone(r, status, retryAfter)
	case len(b.tried) == 1:
		w.settleBatch(r, status)
	default:
		b.refused = true
		r.again = r.job.lane
	}
}

// settleBatch ends what was attempted of a batch: all of it has been delivered, or
// has failed for good.
func (w *worker) settleBatch(r *report, status int) {
	f, b := w.f, r.job.lane.batch
	for _, e := range b.tried {
		e.outcome = r.outcome
	}
	for i := range b.lanes {
		b.lanes[i].done = b.lanes[i].tried
	}
	known := doubt{}
	if len(b.tried) < len(b.events) { // the rest is still to be found innocent
		known = doubt{strikes: patience - 1, since: r.began}
	}
	if r.back, r.again = f.shrink(r.job.lane, status); r.again != nil {
		r.again.batch.doubt = known
	}
}

// postpone has a batch attempted again, whole or divided, or gives it up.
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
	case !again: // it ends with what comes of a trial, or divided
		b.strikes = patience
		due = 0
	case r.outcome == Unreachable:
		due = 0 // the circuit breaker decides when, for all of them
	case !alone && b.proven && b.suspicious() && retryAfter == 0:
		due = 0
	}
	r.again, r.due = r.job.lane, due
}

// window is when the last of the events that are attempted is given up.
func (b *batch) window() (end time.Duration) {
	for _, e := range b.tried {
		end = max(end, e.window)
	}
	return end
}

// blame notes a failure, and whether there is evidence that it is not the app's.
// After a trial it is about the whole again.
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
