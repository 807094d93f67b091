package journal

import (
	"time"

	"ws-gateway/forward/journal/wal"
)

// retryEvery is how long the writer waits after a failure.
const retryEvery = time.Second

// writer writes batches to the disk. Its goroutine owns it.
type writer struct {
	j    *Journal
	wal  *wal.Log
	path string // of the run's folder

	batch   batch
	records [][]byte // of the batch

	// After a failure.
	backlog batch // what has not been written
	failing bool
	torn    bool // the segment may end in the middle of a record
	tried   time.Time

	every  time.Duration // lookEvery
	looked time.Time     // when it last looked whether the files are still there
	told   bool          // the log says that they are not and cannot be made

	compaction *compaction // under way; nil for none
	compactAt  int64       // size at which the next one begins
}

// carryOver writes what is left of earlier runs and syncs it.
func (w *writer) carryOver(entries []Entry) error {
	for _, e := range entries {
		kind := byte(kindOpened)
		if e.renamed {
			kind = kindRenamed
		}
		w.batch.add(kind, []byte(e.ID), e.State)
		if len(e.Meta) > 0 {
			w.batch.add(kindMeta, []byte(e.ID), appendMeta(nil, e.number, e.Meta))
		}
		if len(w.batch.buf) >= 64<<10 {
			if err := w.log(); err != nil {
				return err
			}
		}
	}
	if err := w.log(); err != nil {
		return err
	}
	return w.wal.Sync()
}

// log writes the batch and empties it.
func (w *writer) log() error {
	err := w.write(&w.batch)
	w.batch.reset()
	return err
}

// run writes until the queue has ended and is empty.
func (w *writer) run() {
	q := &w.j.queue
	watch := time.AfterFunc(patience, q.stall)
	retry := time.NewTimer(retryEvery)
	defer watch.Stop()
	defer retry.Stop()
	for {
		watch.Reset(patience)
		ended := q.take(&w.batch)
		written := len(w.batch.buf)
		w.flush(ended)
		q.written()
		w.batch.reset()
		w.reportDropped()
		if ended {
			w.abandonCompaction()
			return
		}
		if w.compact(written) {
			continue
		}
		q.rest()
		watch.Stop()
		if w.failing {
			retry.Reset(retryEvery)
		}
		select {
		case <-q.wake:
		case <-retry.C:
		}
	}
}

// flush writes the batch. After a failure the batch joins the backlog, which is tried now
// and then, and at the end.
func (w *writer) flush(end bool) {
	if w.failing || !w.batch.empty() {
		w.look(time.Now())
	}
	if w.failing {
		w.postpone()
		if end || time.Since(w.tried) >= retryEvery {
			w.recover()
		}
		return
	}
	if err := w.write(&w.batch); err != nil {
		w.failing, w.torn, w.tried = true, true, time.Now()
		w.j.failures.Add(1)
		w.j.log.Error().Err(err).Msg("journal: cannot be written, is the disk full? After a crash close events may be missing or sent twice until this is mended")
		w.postpone()
		return
	}
	w.noteNew(&w.batch)
}

// write appends the batch's records to the log.
func (w *writer) write(b *batch) error {
	if b.empty() {
		return nil
	}
	w.records = b.records(w.records[:0])
	err := w.wal.Append(w.records)
	if err == nil {
		w.j.written.Add(uint64(len(w.records)))
		w.j.bytes.Add(int64(len(b.buf) + wal.FrameSize*len(w.records)))
	}
	clear(w.records)
	return err
}

// postpone moves the batch to the backlog if there is room.
func (w *writer) postpone() {
	if len(w.backlog.buf)+len(w.batch.buf) > maxQueued {
		w.j.discarded.Add(uint64(len(w.batch.ends)))
		return
	}
	start := 0
	for _, end := range w.batch.ends {
		w.backlog.buf = append(w.backlog.buf, w.batch.buf[start:end]...)
		w.backlog.ends = append(w.backlog.ends, len(w.backlog.buf))
		start = end
	}
}

// recover writes the backlog, to a new segment if the one before may be torn. Records that
// had been written already are then there twice.
func (w *writer) recover() {
	w.tried = time.Now()
	if w.torn {
		if _, err := w.wal.Next(); err != nil {
			return
		}
		w.torn = false
	}
	if err := w.write(&w.backlog); err != nil {
		w.torn = true
		return
	}
	w.noteNew(&w.backlog)
	w.backlog = batch{}
	w.failing = false
	w.j.log.Info().Uint64("dropped", w.j.Stats().Dropped).Msg("journal: can be written again")
}

func (w *writer) reportDropped() {
	if n := w.j.queue.takeDropped(); n > 0 {
		w.j.discarded.Add(n)
		w.j.log.Error().Uint64("records", n).Msg("journal: records were dropped, the disk is too slow. After a crash close events may be missing or sent twice")
	}
}
