package forward

import (
	"fmt"
	"math"
	"slices"
	"time"

	"ws-gateway/forward/headers"
	"ws-gateway/handover/record"
	"ws-gateway/hub/meta"
	"ws-gateway/jsoncheck"
)

// Undelivered are the events of a connection that another process has recorded.
type Undelivered struct {
	key    uint64
	events []*event
	cost   int64           // of their memory, lane included
	left   []time.Duration // of each, for how long it may be tried again; -1: its time has not begun
	age    []time.Duration
}

var errUndelivered = fmt.Errorf("%w: events that were not delivered", record.ErrMalformed)

// ParseUndelivered reads what Held.Append has written of a connection, of which src is what
// it says of its last event. An empty record has none. It copies what it keeps.
func ParseUndelivered(f record.Fields, src Source) (*Undelivered, error) {
	u := &Undelivered{key: src.Key}
	last := src.Seq
	src.Headers = ""
	err := record.Read(f, func(tag record.Tag, value []byte) (known bool, err error) {
		switch tag {
		case tagHeaders:
			if src.Headers = string(value); !headers.IsPacked(src.Headers) {
				err = errUndelivered
			}
		case tagEvent:
			err = u.read(value, &src)
		default:
			return false, nil
		}
		return true, err
	})
	switch n := len(u.events); {
	case err != nil:
		return nil, err
	case n > 0 && src.Seq != last:
		return nil, fmt.Errorf("%w: the last one has number %d, and the connection %d", errUndelivered, src.Seq, last)
	}
	return u, nil
}

// read reads an event. src has the number of the one before it.
func (u *Undelivered) read(f record.Fields, src *Source) error {
	var body []byte
	var number, attempts uint64
	e := event{action: actions}
	left, age := time.Duration(-1), time.Duration(0)
	err := record.Read(f, func(tag record.Tag, value []byte) (known bool, err error) {
		switch tag {
		case tagAction:
			if i := slices.Index(actionNames[:], string(value)); i >= 0 {
				e.action = action(i)
			}
		case tagNumber:
			number, err = record.Number(value)
		case tagBody:
			body = value
		case tagMeta:
			e.equipped, e.meta = true, meta.Recorded(string(value))
			if len(value) > 0 && !jsoncheck.Valid(value) {
				err = errUndelivered
			}
		case tagAttempts:
			attempts, err = record.Number(value)
		case tagLeft:
			left, err = milliseconds(value)
		case tagAge:
			age, err = milliseconds(value)
		default:
			return false, nil
		}
		return true, err
	})
	n := len(u.events)
	switch {
	case err != nil:
		return err
	case e.action == actions, attempts > math.MaxInt32, !isObject(body):
		return errUndelivered
	case number == 0 || number > math.MaxUint32 || n > 0 && number != uint64(src.Seq)+1:
		return fmt.Errorf("%w: number %d comes after %d", errUndelivered, number, src.Seq)
	case n > 0 && u.events[n-1].action == actionClose:
		return fmt.Errorf("%w: there is one behind a close", errUndelivered)
	}
	src.Seq = uint32(number)
	e.attempts = int(attempts)
	u.add(e, src, body)
	u.left, u.age = append(u.left, left), append(u.age, age)
	return nil
}

// isObject reports whether a body is a JSON object, byte for byte from { to }.
func isObject(body []byte) bool {
	return len(body) >= 2 && body[0] == '{' && body[len(body)-1] == '}' && jsoncheck.Valid(body)
}

// milliseconds reads a time of up to some weeks.
func milliseconds(value []byte) (time.Duration, error) {
	n, err := record.Number(value)
	if err == nil && n >= 1<<32 {
		err = errUndelivered
	}
	return time.Duration(n) * time.Millisecond, err
}

// add makes an event like e with a body.
func (u *Undelivered) add(like event, src *Source, body []byte) {
	e := newEvent(len(body) + len(src.ConnID) + len("-4294967295"))
	buf := append(e.buf, body...)
	*e = like
	e.buf, e.body, e.conn = appendRequestID(buf, src), len(body), uint32(len(src.ConnID))
	e.cookie, e.headers = headers.Unpack(src.Headers)
	if n := len(u.events); n == 0 {
		u.cost = laneCost + int64(len(e.cookie)+len(e.headers))
	} else {
		before := u.events[n-1]
		before.next = e
		e.fresh = e.cookie != before.cookie || e.headers != before.headers
	}
	u.events = append(u.events, e)
	u.cost += e.cost() + e.metaCost()
}

// Len returns how many events there are.
func (u *Undelivered) Len() int { return len(u.events) }

// Ended reports whether the last of them is the connection's close event.
func (u *Undelivered) Ended() bool {
	n := len(u.events)
	return n > 0 && u.events[n-1].action == actionClose
}

// HasRoom reports whether Config.Memory has room for events that are to be taken up.
func (f *Forwarder) HasRoom(u *Undelivered) bool {
	return u.Len() == 0 || f.pressure.held.Load()+u.cost <= f.pressure.limit.Load()
}

// TakeUp takes events up that another process has not delivered, before any other event of
// their connection, and before Start. Nobody had them for the time down. Once begin is
// called they are delivered as others are. What was tried goes on where it was: with the
// same ids and metadata, the number of attempts, and the rest of the time for which it may
// be tried again, of which down is no part.
func (f *Forwarder) TakeUp(u *Undelivered, down time.Duration) (begin func()) {
	if u.Len() == 0 {
		return func() {}
	}
	now := f.now()
	for i, e := range u.events {
		e.queued = now - u.age[i] - max(down, 0)
		if u.left[i] >= 0 {
			e.window = max(now+u.left[i], 1)
		}
	}
	f.pressure.add(u.cost)
	f.counters.events.Add(int64(u.Len()))
	l := f.lanes.takeUp(u)
	f.counters.lanes.Add(1)
	return func() { f.put(l, f.now()) }
}

// takeUp makes the lane of a connection whose events were recorded. Its bounds count for
// those that come after these.
func (t *table) takeUp(u *Undelivered) *lane {
	s := t.stripe(u.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := t.create(s, u.key, u.events[0])
	l.tail, l.events = u.events[len(u.events)-1], len(u.events)
	for _, e := range u.events {
		l.bytes += len(e.buf)
		l.held += e.cost()
	}
	if l.available {
		t.available.Add(int64(l.events))
	}
	return l
}

// GiveUp ends events that cannot be taken up: they have failed for good. It returns how many
// of them are in the dead-letter file.
func (f *Forwarder) GiveUp(u *Undelivered) (letters int) {
	for _, e := range u.events {
		if !e.equipped {
			e.meta = f.cfg.Meta.Get(u.key)
		}
		f.counters.failed[e.action].Add(1)
		if f.letters.Write(e.letter(ending{outcome: CutOff}), time.Now()) {
			letters++
		}
	}
	return letters
}
