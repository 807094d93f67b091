package forward

import (
	"container/heap"
	"math"
	"slices"
	"time"
)

// never is later than any instant.
const never = time.Duration(math.MaxInt64)

// kind is what a worker is to do.
type kind uint8

const (
	jobAttempt kind = iota // deliver the lane's first event
	jobProbe               // the same, to find out whether the app is back
	jobExpire              // fail the lane's first event: its window has ended while the app was down
	jobHangUp              // close the idle connection, and make others that can be used, after Hold too
	jobStop                // end
)

type job struct {
	lane *lane // nil for the last two kinds
	kind kind
}

// scheduler decides which lane is served next. It is a pure state machine: its
// owner holds the lock and passes the time.
type scheduler struct {
	window   time.Duration // terms.retryFor
	breaker  breaker
	inFlight int

	auths     laneHeap // authorizations to be attempted, by the end of their time
	events    bool     // events are served next, even if authorizations wait
	ready     ready    // to be attempted
	pipelined int      // most lanes in one job
	meta      int      // most bytes of metadata in an event
	batching
	waiting laneHeap // to be attempted when due
	parked  laneHeap // app down: by the end of their first event's window
}

func newScheduler(p *policy, window time.Duration, workers int) scheduler {
	return scheduler{window: window, breaker: newBreaker(p, workers), pipelined: 1, batching: newBatching(1, 0, nil)}
}

// add takes a lane that can be attempted.
func (s *scheduler) add(l *lane, now time.Duration) {
	switch {
	case l.auth != nil:
		l.due = l.head.window
		heap.Push(&s.auths, l)
	case s.breaker.open:
		s.park(l, now)
	case l.batch != nil:
		s.formed.push(l)
	default:
		s.ready.push(l)
		s.lingered(l)
	}
}

// addLater takes a lane that can be attempted at due.
func (s *scheduler) addLater(l *lane, due time.Duration) {
	l.due = due
	heap.Push(&s.waiting, l)
}

// park keeps a lane while the app is down. Its event would have been attempted now, so
// its window begins now.
func (s *scheduler) park(l *lane, now time.Duration) {
	if l.head.window == 0 {
		l.head.window = now + s.window
	}
	l.due = l.head.window
	heap.Push(&s.parked, l)
}

// next hands out a job. Unless it is jobExpire, the caller calls ended when it is done.
func (s *scheduler) next(now time.Duration) (j job, ok bool) {
	for len(s.waiting) > 0 && s.waiting[0].due <= now {
		s.add(heap.Pop(&s.waiting).(*lane), now)
	}
	if s.breaker.open {
		return s.nextDown(now)
	}
	s.breaker.step(now)
	if s.inFlight >= s.breaker.limit {
		return job{}, false
	}
	l := s.pick(now)
	if l == nil {
		return job{}, false
	}
	s.inFlight++
	return job{lane: l, kind: jobAttempt}, true
}

// pick takes a lane, from authorizations and events in turn.
func (s *scheduler) pick(now time.Duration) *lane {
	s.events = !s.events
	if !s.events {
		if l := s.pickAuth(now); l != nil {
			return l
		}
	}
	l := s.unpark()
	if l == nil {
		l = s.formed.pop()
	}
	if l == nil && s.ripe(now) {
		l = s.ready.pop()
	}
	if l == nil {
		return s.pickAuth(now)
	}
	s.fill(l)
	return l
}

// pickAuth takes the authorization whose time ends first. One whose time is over is left
// to expired.
func (s *scheduler) pickAuth(now time.Duration) *lane {
	if len(s.auths) == 0 || s.auths[0].due <= now {
		return nil
	}
	return heap.Pop(&s.auths).(*lane)
}

// expired takes an authorization whose time is over.
func (s *scheduler) expired(now time.Duration) *lane {
	if len(s.auths) == 0 || s.auths[0].due > now {
		return nil
	}
	return heap.Pop(&s.auths).(*lane)
}

// nextDown serves the lane whose window ends first. That lane is the next probe. Its event
// fails only if a probe has just found that the app is still down.
func (s *scheduler) nextDown(now time.Duration) (j job, ok bool) {
	if s.breaker.probing {
		return job{}, false
	}
	if len(s.parked) == 0 {
		if now < s.breaker.probeAt {
			return job{}, false
		}
		l := s.pickAuth(now)
		if l == nil {
			return job{}, false
		}
		s.breaker.probing = true
		s.inFlight++
		return job{lane: l, kind: jobProbe}, true
	}
	ends := s.parked[0].due
	switch {
	case now >= s.breaker.probeAt, now >= ends && now-s.breaker.probed >= minBackoff:
		s.breaker.probing = true
		s.inFlight++
		return s.probe(s.unpark()), true
	case now >= ends:
		return job{lane: s.unpark(), kind: jobExpire}, true
	default:
		return job{}, false
	}
}

// probe is the job that finds out with l whether the app is back. Its batch has one
// event.
func (s *scheduler) probe(l *lane) job {
	if s.limit > 1 && l.batch == nil {
		s.claimed += int64(s.limit)
	}
	return job{lane: l, kind: jobProbe}
}

func (s *scheduler) unpark() *lane {
	if len(s.parked) == 0 {
		return nil
	}
	return heap.Pop(&s.parked).(*lane)
}

// ended notes how an attempt or probe that began at began ended, and reports whether
// that has opened the circuit breaker.
func (s *scheduler) ended(k kind, o Outcome, began, now time.Duration) (opened bool) {
	s.inFlight--
	probe := k == jobProbe
	switch {
	case o == Unreachable:
		if opened = s.breaker.unreachable(now, began, probe); opened {
			for l := s.ready.pop(); l != nil; l = s.ready.pop() {
				s.park(l, now)
			}
			for l := s.formed.pop(); l != nil; l = s.formed.pop() {
				s.park(l, now)
			}
		}
	case !probe || !s.breaker.probing:
		s.breaker.answered()
	case o == Starved || o == CutOff:
		s.breaker.probeEnded(now) // it says nothing about the app
	default:
		s.breaker.reached(now)
		s.breaker.answered()
	}
	return opened
}

// reached notes that a probe has got its connection.
func (s *scheduler) reached(now time.Duration) { s.breaker.reached(now) }

// down reports whether the app cannot be reached.
func (s *scheduler) down() bool { return s.breaker.open }

// wakeAt is the earliest instant at which next, which has nothing now, may have a job
// although nothing else has been called.
func (s *scheduler) wakeAt() time.Duration {
	at := never
	if len(s.waiting) > 0 {
		at = s.waiting[0].due
	}
	switch {
	case s.breaker.open:
		if len(s.parked) > 0 && !s.breaker.probing {
			at = min(at, s.breaker.probeAt, max(s.parked[0].due, s.breaker.probed+minBackoff))
		}
		if len(s.auths) > 0 && !s.breaker.probing {
			at = min(at, s.breaker.probeAt)
		}
	case s.inFlight < s.breaker.limit:
		if s.ready.first() != nil {
			at = min(at, s.due)
		}
	case s.breaker.limit < s.breaker.full && (len(s.parked)+len(s.auths) > 0 || s.ready.first() != nil || s.formed.head != nil):
		at = min(at, s.breaker.stepAt)
	}
	return at
}

// expiresAt is when the first of the authorizations expires.
func (s *scheduler) expiresAt() time.Duration {
	if len(s.auths) == 0 {
		return never
	}
	return s.auths[0].due
}

// abandon takes the authorizations that are left.
func (s *scheduler) abandon() (left []*lane) {
	left, s.auths = s.auths, nil
	s.waiting = slices.DeleteFunc(s.waiting, func(l *lane) bool {
		if l.auth != nil {
			left = append(left, l)
		}
		return l.auth != nil
	})
	return left
}

// forget takes lanes that are gone out of the queues, and batches of which a lane is gone.
func (s *scheduler) forget() (dissolved []*batch) {
	leaves := func(l *lane) bool {
		switch {
		case l.batch == nil:
			return l.gone
		case slices.ContainsFunc(l.batch.lanes, func(s share) bool { return s.lane.gone }):
			dissolved = append(dissolved, l.batch)
			return true
		default:
			return false
		}
	}
	for i := range s.ready.queues {
		s.ready.queues[i].deleteFunc(leaves)
	}
	s.formed.deleteFunc(leaves)
	s.waiting = slices.DeleteFunc(s.waiting, leaves)
	heap.Init(&s.waiting)
	s.parked = slices.DeleteFunc(s.parked, leaves)
	heap.Init(&s.parked)
	s.rest()
	return dissolved
}

// hurry moves forward to latest what is due later.
func (s *scheduler) hurry(latest time.Duration) {
	for _, l := range s.waiting {
		l.due = min(l.due, latest) // keeps the heap's order
	}
	s.breaker.probeAt = min(s.breaker.probeAt, latest)
}

// laneHeap orders lanes by due; it is a heap.Interface.
type laneHeap []*lane

func (h laneHeap) Len() int           { return len(h) }
func (h laneHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h laneHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push and Pop are for container/heap.
func (h *laneHeap) Push(x any) { *h = append(*h, x.(*lane)) }
func (h *laneHeap) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return l
}
