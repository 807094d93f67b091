package journal

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	maxBatch   = 256 << 10 // bytes of a batch, unless it is one record, or NATS takes less
	headerRoom = 256       // bytes of a message that are not the batch
	maxWaiting = 16 << 20  // bytes of records that wait
	patience   = time.Second
	retryEvery = 250 * time.Millisecond

	// What is closed is removed once this many batches are in a subject, or twice as many as
	// what is open needs; or once it has twice as many bytes, and this many more.
	compactAfter = 4096
	spare        = 64 << 10
	compactEvery = time.Second // at the most
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

	// In the subject, about.
	batches, size     int
	compactAt, sizeAt int // from which on it is compacted
	compacted         time.Time

	cut int // bytes of a batch, as the stream has refused more; 0: it has not

	mu       sync.Mutex // guards following
	waiting  []byte     // records
	ends     []int      // of the records in waiting
	recorded []func()   // of each of them; nil: nobody waits
	since    time.Time  // when the oldest record came that has not been written; zero: there is none
	stalled  bool       // it takes so long that nobody waits
	over     bool

	appending time.Time     // since when an append has been under way; zero: none is
	interrupt func()        // ends that append
	progress  chan struct{} // of one place: something was written
	ask       chan struct{} // likewise: an empty batch, if there is nothing else
}

func newWriter(j *Journal, l *ledger, own bool) *writer {
	return &writer{
		j: j, ledger: l, own: own, wake: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{}),
		progress: make(chan struct{}, 1), ask: make(chan struct{}, 1), compactAt: compactAfter, sizeAt: spare,
	}
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
	poke(w.wake)
	if now {
		recorded()
	}
}

// poke wakes the one who waits for a channel of one place.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
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

// slow reports whether an append has been under way for long.
func (w *writer) slow() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.appending.IsZero() && time.Since(w.appending) >= patience
}

// cutShort ends the append that is under way: the link that it waits for is gone.
func (w *writer) cutShort() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.interrupt != nil {
		w.interrupt()
	}
}

// limit is how many bytes of records a batch may have: what a server takes may be less
// after each reconnect.
func (w *writer) limit() int {
	most := maxBatch
	if payload := w.ledger.streams.js.Conn().MaxPayload(); payload > 0 {
		most = int(min(int64(most), payload-headerRoom))
	}
	if w.cut > 0 {
		most = min(most, w.cut)
	}
	return most
}

// next is the beginning of what waits, as a batch, and how much of it that is. It is
// empty but for the version if nothing waits.
func (w *writer) next() (batch []byte, records int) {
	limit := w.limit()
	w.mu.Lock()
	defer w.mu.Unlock()
	end := 0
	for _, e := range w.ends {
		if records > 0 && e > limit {
			break
		}
		end = e
		records++
	}
	return append([]byte{batchVersion}, w.waiting[:end]...), records
}

// written drops the first records, which have been written.
func (w *writer) written(records int) {
	w.j.records.Add(uint64(records))
	w.through(records)
}

// through drops the first records.
func (w *writer) through(records int) {
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
	poke(w.progress)
	callAll(now)
}

// room waits until little waits to be written.
func (w *writer) room(ctx context.Context) error {
	for w.bytes() > maxBatch {
		select {
		case <-w.progress:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// opening are the connections whose opening waits to be written.
func (w *writer) opening() map[string]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string]bool{}
	readBatch(append([]byte{batchVersion}, w.waiting...), func(kind byte, id, _ []byte) {
		if kind == kindOpened {
			all[string(id)] = true
		}
	})
	return all
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
		due, gap, losses := false, false, uint64(0)
		select {
		case <-w.wake:
		case losses = <-w.gaps():
			due, gap = true, true // an append finds whether more is wrong
		case <-beat.C:
			due = true
		case <-w.ask:
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
		if gap && losses == w.j.losses.Load() {
			w.j.beginAgain(true)
		}
		w.compact()
		beat.Reset(w.j.beatEvery())
	}
}

// gaps is Journal.gaps for who writes what that is about.
func (w *writer) gaps() <-chan uint64 {
	if w.own {
		return w.j.gaps
	}
	return nil
}

// failed counts a batch that could not be written. If it was for another instance, this one's own
// writer says what the log has to be told: it cannot write either.
func (w *writer) failed(err error) {
	if w.own {
		w.j.doubts()
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

// append appends a batch, unless cutShort ends that.
func (w *writer) append(whole context.Context, batch []byte) error {
	ctx, cancel := context.WithCancel(whole)
	defer cancel()
	w.mu.Lock()
	w.appending, w.interrupt = time.Now(), cancel
	w.mu.Unlock()
	err := w.ledger.append(ctx, batch)
	w.mu.Lock()
	w.appending, w.interrupt = time.Time{}, nil
	w.mu.Unlock()
	switch {
	case err == nil:
		w.batches++
		w.size += len(batch) + headerRoom
		if w.own {
			w.j.appends.Add(1)
		}
	case errors.Is(err, context.Canceled) && whole.Err() == nil:
		return nats.ErrDisconnected
	}
	return err
}

func (w *writer) write(ctx context.Context, beat bool) error {
	batch, records := w.next()
	if records == 0 && !beat {
		return nil
	}
	began, goesOn := time.Now(), w.ledger.before != nil
	switch err := w.append(ctx, batch); {
	case err != nil && tooLarge(err) && records > 1:
		w.cut = len(batch) / 2
		return nil
	case err != nil && tooLarge(err) && records == 1:
		w.giveUp(len(batch), err)
		w.through(1)
		return nil
	case err != nil:
		return err
	}
	if goesOn { // nobody knows how many are there
		w.batches = w.compactAt
	}
	w.written(records)
	if w.own {
		w.j.confirmed(began)
	}
	return nil
}

// giveUp counts a record for which no message can be large enough.
func (w *writer) giveUp(size int, err error) {
	w.j.dropped.Add(1)
	w.j.toldOfLarge.Do(func() {
		w.j.cfg.Log.Warn().Err(err).Int("bytes", size+headerRoom).
			Msg("a connection's record is larger than what NATS takes, and is left out of the cluster's journal: nobody sends its close event if this gateway dies; more of them are counted. Raise the server's max_payload, or the stream's max_msg_size, above these bytes")
	})
}

// compact removes what is closed. While it reads, records wait.
func (w *writer) compact() {
	if w.batches < w.compactAt && w.size < w.sizeAt || !w.own || time.Since(w.compacted) < compactEvery {
		return
	}
	w.compacted = time.Now()
	s, to := newSet(), w.ledger.last
	_, _, err := w.ledger.read(w.j.ctx, to, func(batch []byte) error { return readBatch(batch, s.add) })
	batches, size := w.batches, w.size
	if err == nil {
		w.cut = 0 // the stream may take more now
		err = w.rewrite(s)
	}
	if err == nil && w.ledger.last > to { // it is not another stream
		err = w.ledger.purge(w.j.ctx, to+1)
	}
	if err != nil { // what is there twice is harmless; if it was fenced, the next append tells
		w.compactAt, w.sizeAt = w.batches+compactAfter, w.size+compactAfter*headerRoom
		w.j.failed(&w.j.tidying, err)
		return
	}
	w.j.works(&w.j.tidying)
	w.j.compactions.Add(1)
	w.count(max(w.batches-batches, 0), max(w.size-size, 0))
}

// count notes what is in the subject when nothing in it is closed.
func (w *writer) count(batches, size int) {
	w.batches, w.size = batches, size
	w.compactAt, w.sizeAt = max(compactAfter, 2*batches), 2*size+spare
}

// rewrite appends what is open, in batches.
func (w *writer) rewrite(s *set) (err error) {
	to := w.ledger.last
	batch, ends := []byte{batchVersion}, []int(nil)
	flush := func() {
		if err == nil {
			err = w.split(batch, ends)
		}
		batch, ends = batch[:1], ends[:0]
	}
	for _, id := range s.order {
		for record := range s.recordsOf(id) {
			if len(ends) > 0 && len(batch)+len(record) > w.limit() {
				flush()
			}
			batch = append(batch, record...)
			ends = append(ends, len(batch))
		}
	}
	if len(ends) > 0 {
		flush()
	}
	if err == nil && w.ledger.last == to { // the subject must not be without a last message
		err = w.append(w.j.ctx, []byte{batchVersion})
	}
	return err
}

// split appends a batch whose records end there, in parts if the stream does not take it whole.
func (w *writer) split(batch []byte, ends []int) error {
	err := w.append(w.j.ctx, batch)
	if err == nil || !tooLarge(err) || len(ends) == 0 {
		return err
	}
	if len(ends) == 1 {
		w.giveUp(len(batch), err)
		return nil
	}
	w.cut = len(batch) / 2
	half := len(ends) / 2
	middle := ends[half-1]
	if err := w.split(batch[:middle:middle], ends[:half]); err != nil {
		return err
	}
	rest, restEnds := append([]byte{batchVersion}, batch[middle:]...), make([]int, 0, len(ends)-half)
	for _, e := range ends[half:] {
		restEnds = append(restEnds, e-middle+1)
	}
	return w.split(rest, restEnds)
}
