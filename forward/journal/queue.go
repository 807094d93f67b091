package journal

import (
	"sync"
	"time"
)

const (
	// maxQueued bounds the bytes of records that wait to be written. Above it
	// records are dropped and counted.
	maxQueued = 16 << 20
	// patience is how long a connection waits for its record to be written before it goes
	// on without.
	patience = time.Second
)

// batch is records in the order in which they came.
type batch struct {
	buf      []byte
	ends     []int    // of the records in buf
	recorded []func() // to call when all of the batch is written
}

func (b *batch) add(kind byte, id, state []byte) {
	b.buf = appendRecord(b.buf, kind, id, state)
	b.ends = append(b.ends, len(b.buf))
}

func (b *batch) empty() bool { return len(b.ends) == 0 }

// records appends the records to dst.
func (b *batch) records(dst [][]byte) [][]byte {
	start := 0
	for _, end := range b.ends {
		dst = append(dst, b.buf[start:end])
		start = end
	}
	return dst
}

// reset empties the batch. It keeps its memory, unless that is much.
func (b *batch) reset() {
	if cap(b.buf) > 1<<20 {
		*b = batch{}
		return
	}
	clear(b.recorded)
	b.buf, b.ends, b.recorded = b.buf[:0], b.ends[:0], b.recorded[:0]
}

// queue holds records to be written. Nobody waits for it: a caller that wants to know when
// its record is written passes a function.
type queue struct {
	wake chan struct{} // has one place; a value says that there are records, or that it has ended

	mu       sync.Mutex    // guards the following
	patience time.Duration // the constant of that name; longer in tests that are not about it
	waiting  batch
	writing  []func()  // recorded of the batch that is being written
	began    time.Time // when the writer last took records; zero while it rests
	stalled  bool      // writing takes too long, so nobody waits for it
	dropped  uint64    // records for which there was no room
	ended    bool
}

// put takes a record. It calls recorded, which may be nil, once the record is written, or
// at once if that cannot be expected.
func (q *queue) put(kind byte, id, state []byte, recorded func()) {
	q.mu.Lock()
	taken := !q.ended && len(q.waiting.buf)+len(id)+len(state) <= maxQueued
	if taken {
		q.waiting.add(kind, id, state)
	} else {
		q.dropped++
	}
	wait := taken && !q.stalled
	if wait && recorded != nil {
		q.waiting.recorded = append(q.waiting.recorded, recorded)
	}
	q.mu.Unlock()
	if taken {
		q.signal()
	}
	if !wait && recorded != nil {
		recorded()
	}
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take swaps what waits for b, which must be empty.
func (q *queue) take(b *batch) (ended bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting, *b = *b, q.waiting
	q.writing, q.began = b.recorded, time.Now()
	return q.ended
}

// written calls the functions of records that have been written or given up.
func (q *queue) written() {
	q.mu.Lock()
	recorded := q.writing
	q.writing, q.stalled = nil, false
	q.mu.Unlock()
	for _, f := range recorded {
		f()
	}
}

// rest notes that the writer waits to be woken.
func (q *queue) rest() {
	q.mu.Lock()
	q.began = time.Time{}
	q.mu.Unlock()
}

// stall calls all waiting functions if writing takes too long.
func (q *queue) stall() {
	q.mu.Lock()
	if q.began.IsZero() || time.Since(q.began) < q.patience {
		q.mu.Unlock()
		return
	}
	if time.Since(q.began) >= 2*patience {
		// The timer that calls this is a whole wait late: the process was stopped, and the
		// disk has not had its second.
		q.began = time.Now()
		q.mu.Unlock()
		time.AfterFunc(patience, q.stall)
		return
	}
	recorded := append(append([]func(){}, q.writing...), q.waiting.recorded...)
	q.writing, q.stalled = nil, true
	clear(q.waiting.recorded)
	q.waiting.recorded = q.waiting.recorded[:0]
	q.mu.Unlock()
	for _, f := range recorded {
		f()
	}
}

// end makes the queue drop whatever comes.
func (q *queue) end() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	q.signal()
}

// takeDropped returns how many records have been dropped since it was last called.
func (q *queue) takeDropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.dropped
	q.dropped = 0
	return n
}
