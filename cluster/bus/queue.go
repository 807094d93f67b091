package bus

import (
	"slices"
	"sync"
)

// eventBytes is what an Event counts beside its data.
const eventBytes = 64

// Queue is where a Bus keeps what has arrived until it is taken. Make it with NewQueue.
type Queue struct {
	wake  chan struct{}
	limit int

	mu       sync.Mutex // guards following
	events   []Event
	bytes    int
	received uint64
	total    uint64 // bytes of packets that were received
	dropped  uint64
}

// NewQueue returns a Queue that keeps at most so many bytes. A packet beyond that is
// dropped. What is told of the link is not, since it comes at the link's pace.
func NewQueue(limit int) *Queue {
	return &Queue{wake: make(chan struct{}, 1), limit: limit}
}

// Put adds an event.
func (q *Queue) Put(e Event) {
	q.mu.Lock()
	if size := eventBytes + len(e.Data); e.Kind == Up || e.Kind == Down || q.bytes+size <= q.limit {
		q.events = append(q.events, e)
		q.bytes += size
		if e.Kind == Packet {
			q.received++
			q.total += uint64(len(e.Data))
		}
	} else if e.Kind == Packet {
		q.dropped++
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Wake is Bus.Wake.
func (q *Queue) Wake() <-chan struct{} { return q.wake }

// Take is Bus.Take.
func (q *Queue) Take(dst []Event) []Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	dst = append(dst, q.events...)
	if cap(q.events) > keptEvents {
		q.events = nil
	}
	q.events = slices.Delete(q.events, 0, len(q.events))
	q.bytes = 0
	return dst
}

// keptEvents is for how many events a queue keeps room.
const keptEvents = 1024

// AddTo completes s.
func (q *Queue) AddTo(s *Stats) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s.Received, s.ReceivedBytes, s.Dropped, s.Unread = q.received, q.total, q.dropped, int64(q.bytes)
}
