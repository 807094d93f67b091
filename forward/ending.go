package forward

import (
	"time"

	"ws-gateway/forward/deadletter"
	"ws-gateway/tracecontext"
)

// ending is what became of an event.
type ending struct {
	outcome Outcome
	status  int     // of the app's answer; 0: there was none
	answer  *Answer // to an authorization; nil: the event is none
}

// end ends e, the first event of l, and returns l if it has more. Every event passes
// here once, whatever became of it. If it failed it is counted and logged, and goes
// to the dead-letter file, with two exceptions. What Drain could not deliver is not
// logged one by one, because Drain returns how much that is. What comes after Drain, when
// l is nil, is only logged: lanes and file are closed.
func (f *Forwarder) end(l *lane, e *event, how ending) (more *lane) {
	switch {
	case how.answer != nil:
		f.answer(l, how.answer)
	case how.outcome == Delivered:
		f.counters.delivered[e.action].Add(1)
		f.report(l.key, e, how, false)
	case l == nil:
		f.counters.failed[e.action].Add(1)
		f.failures.report(e, how.outcome, how.status)
	default:
		f.counters.failed[e.action].Add(1)
		if how.outcome != CutOff {
			f.failures.report(e, how.outcome, how.status)
		}
		f.lanes.equip(l.key, e) // it may not have been attempted
		kept := f.letters.Write(e.letter(how), time.Now())
		if how.outcome == CutOff {
			f.leftover.add(kept)
		}
		f.report(l.key, e, how, kept)
	}
	if e.action == actionClose && l != nil {
		f.cfg.Meta.Drop(l.key)
	}
	return f.release(l, e)
}

// letter is e as a dead letter.
func (e *event) letter(how ending) *deadletter.Event {
	body, tail := e.parts()
	if tail != "" {
		body = append(append(make([]byte, 0, len(body)+len(tail)), body...), tail...)
	}
	return &deadletter.Event{
		RequestID: e.requestID(), Action: e.action.String(), Attempts: e.attempts, Status: how.status, Error: how.outcome.String(),
		Cookie: e.cookie, Headers: tracecontext.Filled(e.headers, e.requestID()), Body: body,
	}
}

// report tells the journal and Config.Done what became of e. kept says that the
// dead-letter file has it.
func (f *Forwarder) report(key uint64, e *event, how ending, kept bool) {
	if f.cfg.Journal != nil && e.action == actionClose {
		// If it was cut off and is not kept, the next start sends it.
		if how.outcome != CutOff || kept {
			f.cfg.Journal.Closed(e.connID())
		}
		if e.lost {
			<-f.lost
		}
	}
	if f.cfg.Done != nil {
		f.cfg.Done(key, how.outcome, how.status, kept)
	}
}

// answer tells the caller of Authorize what the app has answered.
func (f *Forwarder) answer(l *lane, a *Answer) {
	switch {
	case a.Err == Delivered:
		f.counters.delivered[actionOpen].Add(1)
	case a.Status/100 == 4:
		f.counters.refused.Add(1)
	default:
		f.counters.unanswered.Add(1)
	}
	if f.cfg.Journal != nil {
		f.recordAnswer(l, a)
	}
	l.auth.done(*a)
	f.counters.authorizing.Add(-1)
}

// recordAnswer tells the journal. Unless the app has taken the open event there will be no close
// event, and the journal forgets the connection. If there will be one, it has the user whom the
// app has named, if that is one.
func (f *Forwarder) recordAnswer(l *lane, a *Answer) {
	id := l.head.connID()
	switch {
	case a.Err != Delivered:
		f.cfg.Journal.Closed(id)
	case a.NamesUser() && a.User != l.auth.user:
		f.cfg.Journal.Renamed(id, appendState(nil, &Source{User: a.User, Headers: l.auth.headers}))
	}
}

// release takes e off l and gives back its memory, and that of l if it was the last.
func (f *Forwarder) release(l *lane, e *event) (more *lane) {
	if l == nil {
		f.discount(e.cost())
		f.events.put(e)
		return nil
	}
	key, r, held := l.key, removed{cost: e.cost() + l.cost}, e.metaCost()
	if l.auth == nil {
		r = f.lanes.remove(l)
	}
	f.discount(r.cost + held)
	f.events.put(e)
	if r.drained {
		f.cfg.Drained(key)
	}
	if r.more {
		return l
	}
	f.laneEnded()
	return nil
}

// discount undoes what append and Authorize have counted for an event.
func (f *Forwarder) discount(cost int64) {
	f.pressure.add(-cost)
	f.counters.events.Add(-1)
}

// laneEnded counts a lane less, and wakes Drain with the last.
func (f *Forwarder) laneEnded() {
	if f.counters.lanes.Add(-1) == 0 && f.draining.Load() {
		select {
		case f.empty <- struct{}{}:
		default:
		}
	}
}
