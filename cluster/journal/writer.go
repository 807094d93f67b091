package journal

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	maxBatch   = 256 << 10 // bytes of a batch, unless it is one record
	maxWaiting = 16 << 20  // bytes of records that wait
	patience   = time.Second
	retryEvery = 250 * time.Millisecond

	// compactAfter is how many batches are in a subject at the least before what is closed
	// is removed.
	compactAfter = 4096
)

// writer appends records to a ledger, in the order in which they come.
type writer struct {
	j      *Journal
	ledger *ledger
	own    bool // the ledger is this instance's own, not one that it has taken over
	wake   chan struct{}
	stop   chan struct{}
	once   sync.Once // of stop
	ended  chan struct{}

	batches   int // in the subject, about
	compactAt int

	mu       sync.Mutex // guards following
	waiting  []byte     // records
	ends     []int      // of the records in waiting
	recorded []func()   // of each of them; nil: nobody waits
	since    time.Time  // when the oldest record came that has not been written; zero: there is none
	stalled  bool       // it takes so long that nobody waits
	over     bool
}

func newWriter(j *Journal, l *ledger, own bool) *writer {
	return &writer{j: j, ledger: l, own: own, wake: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{}), compactAt: compactAfter}
}

// put takes a record. It calls recorded, which may be nil, once the record is written, or
// after a second, or at once if it will not be written in time.
func (w *writer) put(kind byte, id, state []byte, recorded func()) {
	w.mu.Lock()
	size := len(id) + len(state)
	taken := !w.over && (len(w.waiting) == 0 || len(w.waiting)+size <= maxWaiting)
	if taken {
		w.waiting = appendRecord(w.waiting, kind, id, state)
		w.ends = append(w.ends, len(w.waiting))
		if w.since.IsZero() {
			w.since = time.Now()
		}
	} else {
		w.j.dropped.Add(1)
	}
	now := recorded != nil && (!taken || w.stalled)
	if taken {
		if now {
			w.recorded = append(w.recorded, nil)
		} else {
			w.recorded = append(w.recorded, recorded)
		}
	}
	w.mu.Unlock()
	w.poke()
	if now {
		recorded()
	}
}

func (w *writer) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// hurry lets those go on who have waited for a second.
func (w *writer) hurry() {
	w.mu.Lock()
	if w.since.IsZero() || time.Since(w.since) < patience {
		w.mu.Unlock()
		return
	}
	w.stalled = true
	all := slices.Clone(w.recorded)
	clear(w.recorded)
	w.mu.Unlock()
	callAll(all)
}

func callAll(all []func()) {
	for _, f := range all {
		if f != nil {
			f()
		}
	}
}

// next is the beginning of what waits, as a batch, and how much of it that is. It is
// empty but for the version if nothing waits.
func (w *writer) next() (batch []byte, records int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	end := 0
	for _, e := range w.ends {
		if records > 0 && e > maxBatch {
			break
		}
		end = e
		records++
	}
	return append([]byte{batchVersion}, w.waiting[:end]...), records
}

// written drops the first records, which have been written.
func (w *writer) written(records int) {
	w.mu.Lock()
	end := 0
	if records > 0 {
		end = w.ends[records-1]
	}
	w.waiting = append(w.waiting[:0], w.waiting[end:]...)
	rest := w.ends[:0]
	for _, e := range w.ends[records:] {
		rest = append(rest, e-end)
	}
	w.ends, w.stalled = rest, false
	if w.since = (time.Time{}); len(rest) > 0 {
		w.since = time.Now()
	}
	now := slices.Clone(w.recorded[:records])
	w.recorded = slices.Delete(w.recorded, 0, records)
	if cap(w.waiting) > 1<<20 && len(w.waiting) == 0 {
		w.waiting = nil
	}
	w.mu.Unlock()
	w.j.records.Add(uint64(records))
	callAll(now)
}

func (w *writer) bytes() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.waiting)
}

// run writes until it is told to end, the journal does, or somebody else has taken over. If it
// is told to end it writes all that waits, but not for long.
func (w *writer) run() {
	defer close(w.ended)
	beat := time.NewTimer(0)
	defer beat.Stop()
	for {
		due := false
		select {
		case <-w.wake:
		case <-beat.C:
			due = true
		case <-w.stop:
			limited, cancel := context.WithTimeout(context.Background(), stopFor)
			defer cancel()
			for w.bytes() > 0 && limited.Err() == nil {
				if w.write(limited, false) != nil {
					return
				}
			}
			return
		case <-w.j.ctx.Done():
			w.end()
			return
		}
		for due || w.bytes() > 0 {
			err := w.write(w.j.ctx, due)
			if errors.Is(err, ErrFenced) {
				w.end()
				w.j.fenced(w)
				return
			}
			if err != nil {
				w.failed(err)
				select {
				case <-time.After(retryEvery):
				case <-w.stop:
					w.end()
					return
				case <-w.j.ctx.Done():
					w.end()
					return
				}
				continue
			}
			due = false
		}
		w.compact()
		beat.Reset(w.j.beatEvery())
	}
}

// failed counts a batch that could not be written. If it was for another instance, this one's own
// writer says what the log has to be told: it cannot write either.
func (w *writer) failed(err error) {
	if w.own {
		w.j.failed(&w.j.writing, err)
	} else {
		w.j.failures.Add(1)
	}
}

// finish ends the writer, if it has not ended, after what waits.
func (w *writer) finish() {
	w.once.Do(func() { close(w.stop) })
	<-w.ended
}

// end takes no more records. Who waits for one waits for ever: the instance ends.
func (w *writer) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over, w.recorded, w.waiting, w.ends, w.since = true, nil, nil, nil, time.Time{}
}

func (w *writer) write(ctx context.Context, beat bool) error {
	batch, records := w.next()
	if records == 0 && !beat {
		return nil
	}
	began, goesOn := time.Now(), w.ledger.before != nil
	if err := w.ledger.append(ctx, batch); err != nil {
		return err
	}
	w.batches++
	if goesOn { // nobody knows how many are there
		w.batches = w.compactAt
	}
	w.written(records)
	if w.own {
		w.j.confirmed(began)
	}
	return nil
}

// compact removes what is closed. While it reads, records wait.
func (w *writer) compact() {
	if w.batches < w.compactAt || !w.own {
		return
	}
	s, to := newSet(), w.ledger.last
	_, _, err := w.ledger.read(w.j.ctx, to, func(batch []byte) error { return readBatch(batch, s.add) })
	if err != nil {
		w.compactAt = w.batches + compactAfter
		w.j.failed(&w.j.tidying, err)
		return
	}
	again := []byte{batchVersion}
	appended := 0
	flush := func() error {
		err := w.ledger.append(w.j.ctx, again)
		again = again[:1]
		appended++
		return err
	}
	for _, id := range s.order {
		if again = s.appendOpen(again, id); len(again) >= maxBatch && err == nil {
			err = flush()
		}
	}
	if err == nil {
		err = flush() // if only an empty one: the subject must not be without a last message
	}
	if err == nil {
		err = w.ledger.purge(w.j.ctx, to+1)
	}
	if err != nil { // what is there twice is harmless; if it was fenced, the next append tells
		w.compactAt = w.batches + compactAfter
		w.j.failed(&w.j.tidying, err)
		return
	}
	w.j.works(&w.j.tidying)
	w.j.compactions.Add(1)
	w.batches = appended
	w.compactAt = max(compactAfter, 2*appended)
}
