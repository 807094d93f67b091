package forward

import "time"

// batching is the scheduler's part of batches: it decides when to form one, and from
// which lanes. If limit is 1 there are none.
type batching struct {
	limit     int
	linger    time.Duration
	available func() int64 // events of lanes that are not in flight, or waiting or parked as a batch

	claimed int64         // how many of these the jobs that have not formed their batch yet will take at most
	due     time.Duration // when the first of the ready lanes has lingered
	formed  laneQueue     // lanes that lead a batch, to be attempted again
}

func newBatching(limit int, linger time.Duration, available func() int64) batching {
	return batching{limit: limit, linger: linger, available: available, due: never}
}

// lingered notes that l is ready.
func (b *batching) lingered(l *lane) { b.due = min(b.due, l.head.queued+b.linger) }

// ripe reports whether it is time to make a batch from the ready lanes. An event is
// available a moment before its lane is ready, so now and then a batch leaves before it
// is full. That does no harm.
func (s *scheduler) ripe(now time.Duration) bool {
	b := &s.batching
	return s.ready.first() != nil && (b.limit == 1 || now >= b.due || b.available()-b.claimed >= int64(b.limit))
}

// fill chains lanes to l for a batch, up to one for each event. It never waits for a
// lane, and leaves a batch alone that has been formed.
func (s *scheduler) fill(l *lane) {
	b := &s.batching
	if b.limit == 1 || l.batch != nil || l.auth != nil {
		return
	}
	b.claimed += int64(b.limit)
	last, size := l, l.head.elementSize()
	for range b.limit - 1 {
		next := s.ready.first()
		parked := len(s.parked) > 0 && s.parked[0].batch == nil
		if parked {
			next = s.parked[0]
		}
		if next == nil {
			break
		}
		if size += next.head.elementSize(); size > maxBatchBytes {
			break
		}
		if parked {
			s.unpark()
		} else {
			s.ready.pop()
		}
		last.next = next
		last = next
	}
	last.next = nil
	s.rest()
}

// rest finds out how long the ready lanes that are left linger. If they fill another
// batch they do not.
func (s *scheduler) rest() {
	b := &s.batching
	b.due = never
	for i := range s.ready.queues {
		l := s.ready.queues[i].head
		for n := 0; l != nil && n < b.limit; n++ {
			b.lingered(l)
			l = l.next
		}
	}
}
