package forward

import (
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"ws-gateway/hub/meta"
)

// lane is the queue of one connection's events. It exists while it has any.
type lane struct {
	key uint64

	// Guarded by the stripe. The worker that has the lane reads head without the lock,
	// because no other takes events off.
	head, tail *event
	events     int
	bytes      int   // of these events' buffers
	cost       int64 // memory of the lane itself, in bytes
	held       int64 // memory of these events
	full       bool  // Message has returned full, and Drained has not been called since
	squeezed   bool  // with full: because of its share of all memory, not because of its own bounds

	available bool // its events are counted in table.available; guarded by the stripe

	auth *authorization // set if Authorize has made the lane, which is then in no table

	// Owned by whoever has the lane: the scheduler, or a worker.
	batch *batch        // led by this lane; nil for none
	next  *lane         // the one after it in the ready queue or in a chain of lanes
	due   time.Duration // its place in a heap

	gone bool // another process has its events; guarded by the pool
}

// laneCost is the memory of a lane without its headers: the struct and its place in the
// map.
const laneCost = int64(unsafe.Sizeof(lane{})) + 40

// bounds of a lane. At either of the two, or at its share of all memory, it is full. At
// half of all three, or when it is empty, it is drained.
type bounds struct {
	events, bytes int
}

const (
	stripeBits = 8
	// A map does not shrink; one that has held this many lanes is replaced when
	// it is empty.
	largeMap = 256
)

// table finds the lane of a key. A stripe's lock is only held for work on maps and lists.
type table struct {
	bounds  bounds                 // see limits
	newer   atomic.Pointer[bounds] // set by rebound
	pool    sync.Pool              // of *lane
	memory  *pressure              // nil: no lane has a share
	meta    *meta.Store            // Config.Meta
	batches bool                   // lanes are taken in batches, which need available
	stripes [1 << stripeBits]stripe

	available atomic.Int64 // events that a batch could take

	squeezed atomic.Int64  // lanes that are full because of their share
	squeezes atomic.Uint64 // times that one became so
}

type stripe struct {
	mu     sync.Mutex
	lanes  map[uint64]*lane
	peak   int  // most lanes that the map has held
	closed bool // nothing is taken any more
}

func (t *table) stripe(key uint64) *stripe {
	const golden = 0x9e3779b97f4a7c15 // spreads keys that differ in few bits
	return &t.stripes[key*golden>>(64-stripeBits)]
}

// rebound sets other bounds for all lanes. A lane that is full by the old ones but not by
// the new ones is drained when its next event ends.
func (t *table) rebound(b bounds) { t.newer.Store(&b) }

// limits are the bounds in force.
func (t *table) limits() bounds {
	if b := t.newer.Load(); b != nil {
		return *b
	}
	return t.bounds
}

// added says what table.add has done with an event.
type added struct {
	lane   *lane // set if the event is the lane's first: the lane is now ready
	cost   int64 // memory that the lane holds, with lane
	full   bool  // the lane is at its bounds, and a Drained call will follow
	over   bool  // this event has made it full, because of its share
	waits  int64 // how many events are available to batches now; 0: that has not changed
	closed bool  // the event was not taken
}

// add appends e to the lane of key.
func (t *table) add(key uint64, e *event) (a added) {
	s := t.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return added{closed: true}
	}
	l := s.lanes[key]
	if l == nil {
		l = t.create(s, key, e)
		a.lane, a.cost = l, l.cost
	} else {
		l.tail.next = e
	}
	l.tail = e
	if l.available {
		a.waits = t.available.Add(1)
	}
	l.events++
	l.bytes += len(e.buf)
	l.held += e.cost()
	// Only a sender of messages can be asked to stop; opens and closes pass.
	if e.action.bounded() && !l.full {
		limit := t.limits()
		l.full = l.events >= limit.events || l.bytes >= limit.bytes
		if !l.full && l.held >= t.memory.share() {
			l.full, l.squeezed, a.over = true, true, true
			t.squeezed.Add(1)
			t.squeezes.Add(1)
		}
	}
	a.full = l.full
	return a
}

func (t *table) create(s *stripe, key uint64, e *event) *lane {
	l, ok := t.pool.Get().(*lane)
	if !ok {
		l = new(lane)
	}
	*l = lane{key: key, head: e, available: t.batches, cost: laneCost + int64(len(e.cookie)+len(e.headers))}
	if s.lanes == nil {
		s.lanes = make(map[uint64]*lane)
	}
	s.lanes[key] = l
	s.peak = max(s.peak, len(s.lanes))
	return l
}

// removed says what table.remove has found.
type removed struct {
	more    bool  // the lane has further events
	cost    int64 // memory that the event held, and the lane if it is gone
	drained bool  // the lane was full and is down to half: Drained is due
}

// remove takes the first event off l. Only whoever has the lane in flight calls it. With
// the last event the lane is gone.
func (t *table) remove(l *lane) (r removed) {
	s := t.stripe(l.key)
	s.mu.Lock()
	e := l.head
	l.head = e.next
	if l.available {
		t.available.Add(-1)
	}
	l.events--
	l.bytes -= len(e.buf)
	l.held -= e.cost()
	r.drained = l.full && t.drain(l)
	r.cost, r.more = e.cost(), l.head != nil
	if !r.more {
		r.cost += l.cost
		s.delete(l.key)
	}
	s.mu.Unlock()
	e.next = nil
	if !r.more {
		t.pool.Put(l)
	}
	return r
}

// delete takes a lane off the map. The caller holds the lock.
func (s *stripe) delete(key uint64) {
	delete(s.lanes, key)
	if len(s.lanes) == 0 && s.peak > largeMap {
		s.lanes, s.peak = nil, 0
	}
}

// take puts l in flight: its events are no longer available to other batches. It returns
// how many there are.
func (t *table) take(l *lane) (waits int) {
	s := t.stripe(l.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	l.available = false
	t.available.Add(-int64(l.events))
	return l.events
}

// release undoes take for events that are left or have come since.
func (t *table) release(l *lane) {
	s := t.stripe(l.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	l.available = true
	t.available.Add(int64(l.events))
}

// drain marks l as no longer full if it is down to half of its bounds. The caller holds
// the stripe's lock.
func (t *table) drain(l *lane) bool {
	limit := t.limits()
	if l.events > 0 && (l.events > limit.events/2 || l.bytes > limit.bytes/2 || l.held > t.memory.share()/2) {
		return false
	}
	if l.squeezed {
		t.squeezed.Add(-1)
	}
	l.full, l.squeezed = false, false
	return true
}

// sweep calls drained, with no lock held, for each lane that is no longer over its share
// although none of its events has gone out. It reports whether there are others.
func (t *table) sweep(drained func(key uint64)) (more bool) {
	var keys []uint64
	for i := range t.stripes {
		if t.squeezed.Load() == 0 {
			return false
		}
		s := &t.stripes[i]
		keys = keys[:0]
		s.mu.Lock()
		for key, l := range s.lanes {
			if l.squeezed && t.drain(l) {
				keys = append(keys, key)
			}
		}
		s.mu.Unlock()
		for _, key := range keys {
			drained(key)
		}
	}
	return t.squeezed.Load() > 0
}

// close makes the table refuse events, and calls leftover with every lane that is left,
// with no lock held. No worker may be running.
func (t *table) close(leftover func(*lane)) {
	for i := range t.stripes {
		s := &t.stripes[i]
		s.mu.Lock()
		s.closed = true
		lanes := s.lanes
		s.mu.Unlock()
		for _, l := range lanes {
			leftover(l)
		}
	}
}

// oldest returns when the event that waits longest was appended.
func (t *table) oldest() (queued time.Duration, ok bool) {
	for i := range t.stripes {
		s := &t.stripes[i]
		s.mu.Lock()
		for _, l := range s.lanes {
			if !ok || l.head.queued < queued {
				queued, ok = l.head.queued, true
			}
		}
		s.mu.Unlock()
	}
	return queued, ok
}
