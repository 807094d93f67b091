package cluster

import (
	"context"
	"slices"
	"time"

	"ws-gateway/cluster/call"
	"ws-gateway/cluster/packet"
	"ws-gateway/cluster/stream"
	"ws-gateway/hub"
)

// Tap is a hub.Tap of several instances: it asks the others again and again for what has
// come there. So nothing is under way that has not been asked for, an instance that does
// not answer holds up nobody, and a reader that is gone is forgotten. Events of one
// instance are in their order. It is for one goroutine.
type Tap struct {
	c      *Cluster
	id     uint64
	filter hub.TapFilter
	only   packet.Instance // zero: all instances
	name   string          // of only
	here   *hub.Tap        // nil: not of this instance

	asked map[packet.Instance]*asked
	room  int  // how many events may still come
	tight bool // more came in the last turn
	turn  int

	events  []hub.TapEvent
	dropped uint64
}

// asked is an instance that is asked.
type asked struct {
	name     string
	pending  *pending // nil: it has answered
	at       time.Duration
	answered bool // once at least
	missing  bool // it has not answered in time, or not as it should
}

// Tap opens a tap, which the caller must Close. It collects nothing before the first
// Allow. The error is nil or hub.ErrTaps.
func (c *Cluster) Tap(f hub.TapFilter) (*Tap, error) { return c.everywhere().Tap(f) }

// Tap is Cluster.Tap for these instances.
func (p *Part) Tap(f hub.TapFilter) (*Tap, error) {
	t := &Tap{c: p.c, id: p.c.watched.Add(1), filter: f, only: p.only, asked: map[packet.Instance]*asked{}}
	if !p.here {
		for _, i := range p.c.Instances() {
			if i.ID == p.only {
				t.name = i.Name
			}
		}
		return t, nil
	}
	var err error
	t.here, err = p.c.hub.Tap(f)
	return t, err
}

// members are the instances that are asked, and the names of those that cannot be.
func (t *Tap) members() (live []member, missing []string) {
	if t.only == (packet.Instance{}) {
		v := t.c.view.Load()
		return v.live, v.missing
	}
	if t.here != nil {
		return nil, nil
	}
	p := t.c.part(t.only, t.name)
	return p.live, p.missing
}

// Close ends the tap, everywhere.
func (t *Tap) Close() {
	if t.here != nil {
		t.here.Close()
	}
	todo := call.Call{Watch: call.Reader{ID: t.id}}
	content := stream.NewContent(todo.Append(nil, call.Unwatch), nil)
	for id, a := range t.asked {
		t.forget(a)
		t.c.mailbox.post(context.Background(), letter{to: &id, kind: call.Unwatch, content: content})
	}
	clear(t.asked)
}

// forget waits for no answer any more.
func (t *Tap) forget(a *asked) {
	if a.pending != nil {
		t.c.mailbox.post(context.Background(), letter{forget: a.pending}) // has room in a moment, since the router waits for nobody
		a.pending = nil
	}
}

// others is how many instances may be asked in a turn: of many, each is asked less often.
const others = 16

// Allow lets n more events in, but at most limit before the next call, of all instances
// together. It asks the others, and waits for nobody.
func (t *Tap) Allow(n, limit int) {
	t.room = min(t.room+n, limit)
	live, _ := t.members()
	share := max(0, t.room)
	if t.tight { // or else one instance may bring all of it
		share /= len(live) + 1
	}
	if t.here != nil {
		t.here.Allow(share, share)
	}
	t.turn++
	now := t.c.cfg.clock()
	for i, m := range live {
		if every := 1 + len(live)/others; (t.turn+i)%every == 0 || t.asked[m.id] == nil {
			t.ask(m, share, now)
		}
	}
}

// ask asks an instance for what has come, unless it is being asked.
func (t *Tap) ask(m member, allow int, now time.Duration) {
	a := t.asked[m.id]
	if a == nil {
		a = &asked{name: m.name}
		t.asked[m.id] = a
	}
	if a.pending != nil {
		return
	}
	todo := call.Call{Watch: call.Reader{ID: t.id, Allow: allow, TapFilter: t.filter}}
	fields := todo.Append(nil, call.Watch)
	p := newPending()
	if _, posted := t.c.mailbox.try(letter{to: &m.id, kind: call.Watch, content: stream.NewContent(fields, nil), bytes: len(fields), call: p}); posted {
		a.pending, a.at = p, now
	}
}

// Take appends the events that have come in to dst. dropped is how many others there were
// since the last call, as far as is known.
func (t *Tap) Take(dst []hub.TapEvent) (events []hub.TapEvent, dropped uint64) {
	t.events, t.dropped = dst, 0
	come, room := 0, max(0, t.room)
	if t.here != nil {
		var more uint64
		before := len(t.events)
		t.events, more = t.here.Take(t.events)
		for i := before; i < len(t.events); i++ {
			t.events[i].Instance = t.c.cfg.Name
		}
		t.dropped += more
		come = t.cut(before) + int(more)
	}
	now := t.c.cfg.clock()
	for id, a := range t.asked {
		if !t.c.view.Load().has(id) {
			t.forget(a)
			delete(t.asked, id)
			continue
		}
		come += t.answer(a, now)
	}
	t.tight = come > room
	events, t.events = t.events, nil
	return events, t.dropped
}

// cut leaves out those of the events from an index on that are above the rate. It returns
// how many there were.
func (t *Tap) cut(from int) (came int) {
	came = len(t.events) - from
	kept := min(came, max(0, t.room))
	clear(t.events[from+kept:])
	t.events = t.events[:from+kept]
	t.room -= kept
	t.dropped += uint64(came - kept)
	return came
}

// answer takes an instance's answer if there is one. It returns how many events there
// were, with those that were left out.
func (t *Tap) answer(a *asked, now time.Duration) (came int) {
	if a.pending == nil {
		return 0
	}
	select {
	case <-a.pending.done:
	default:
		if now-a.at > t.c.cfg.Timeout {
			a.missing = true
			t.forget(a)
		}
		return 0
	}
	p := a.pending
	t.forget(a)
	p.mu.Lock()
	defer p.mu.Unlock()
	a.missing = len(p.answers) == 0 || p.answers[0].Err != nil
	if a.missing {
		return 0
	}
	a.answered = true
	r := &p.answers[0].Result
	t.dropped += uint64(r.Dropped)
	from := len(t.events)
	for rows := call.NewRows(r.Payload); rows.More(); {
		if e, known := rows.Event(); known {
			e.Instance = a.name
			t.events = append(t.events, e)
		}
	}
	return t.cut(from) + r.Dropped
}

// Missing returns the names of the instances whose events are not, or not all, among
// those that Take returns; sorted.
func (t *Tap) Missing() (names []string) {
	_, missing := t.members()
	names = slices.Clone(missing)
	for _, a := range t.asked {
		if a.missing {
			names = append(names, a.name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Ready reports whether all instances that can be asked have been, so that nothing which
// happens from now on is missed but what Missing names.
func (t *Tap) Ready() bool {
	live, _ := t.members()
	return !slices.ContainsFunc(live, func(m member) bool {
		a := t.asked[m.id]
		return a == nil || !a.answered && !a.missing
	})
}
