package journal

import (
	"errors"
	"os"

	"ws-gateway/forward/journal/wal"
)

const (
	// minCompaction is the size below which nothing is compacted.
	minCompaction = 4 << 20
	// A step reads stepBytes, which takes a millisecond, and stepRatio times what was
	// written since the last step, so that a compaction ends before the journal has grown
	// by half.
	stepBytes = 128 << 10
	stepRatio = 4
)

// compaction copies the open connections out of the segments that are older than itself
// and then removes these. It reads them twice: first to learn what was closed, then to
// copy the rest. It does not copy connections that are closed meanwhile, so that the
// record that says so stays the last one, nor metadata that is not the last, nor what was
// recorded of a connection before it was renamed.
type compaction struct {
	first, cut int // the segments that go: from first up to cut, which stays
	next       int // the segment to be read
	copying    bool
	closed     map[string]struct{}
	renamed    map[string]struct{}
	metas      map[string]uint64 // the highest number of each connection's metadata
	before     int64             // the journal's size when it began

	segment *wal.Reader // being read; nil between segments

	synced chan error // after copying: the result of syncing the copy; nil before that
}

// compact takes a step of the compaction that is under way or due, and reports whether
// there is more to do. written is how many bytes were written since the last call.
func (w *writer) compact(written int) (more bool) {
	c := w.compaction
	if c == nil {
		if w.failing || w.j.bytes.Load() < w.compactAt {
			return false
		}
		if err := w.beginCompaction(); err != nil {
			w.failCompaction(err)
			return false
		}
		return true
	}
	if c.synced != nil {
		w.endCompaction(c)
		return false
	}
	done, err := w.stepCompaction(c, stepBytes+stepRatio*written)
	if err == nil && done {
		err = w.syncCopy(c)
	}
	if err != nil {
		w.failCompaction(err)
		return false
	}
	return !done
}

func (w *writer) beginCompaction() error {
	first, _, err := wal.Segments(w.path)
	if err != nil {
		return err
	}
	cut, err := w.wal.Next()
	if err != nil {
		return err
	}
	w.compaction = &compaction{
		first: first, cut: cut, next: first,
		closed: make(map[string]struct{}), renamed: make(map[string]struct{}), metas: make(map[string]uint64),
		before: w.j.bytes.Load(),
	}
	return nil
}

// stepCompaction reads about so many bytes of records.
func (w *writer) stepCompaction(c *compaction, bytes int) (done bool, err error) {
	for read := 0; read < bytes && !done; {
		record, end, err := c.read(w.path)
		switch {
		case err != nil:
			// What cannot be read now cannot be read after a crash either.
			w.j.log.Warn().Err(err).Msg("journal: damaged; close events may be missing or sent twice after a crash")
		case !end:
			read += len(record) + wal.FrameSize
			w.sift(c, record)
		case c.copying:
			done = true
		default:
			c.copying, c.next = true, c.first
		}
	}
	return done, w.log()
}

// read returns the next record; end says that there is none. The call after an error goes
// on with the next segment.
func (c *compaction) read(path string) (record []byte, end bool, err error) {
	for {
		if c.segment == nil {
			if c.next == c.cut {
				return nil, true, nil
			}
			if c.segment, err = wal.Open(wal.Name(path, c.next)); err != nil {
				c.segment = nil
			}
			c.next++
			if err != nil {
				return nil, false, err
			}
		}
		if c.segment.Next() {
			return c.segment.Record(), false, nil
		}
		err := c.segment.Err()
		c.closeFile()
		if err != nil {
			return nil, false, err
		}
	}
}

func (c *compaction) closeFile() {
	if c.segment != nil {
		_ = c.segment.Close() // it was read
		c.segment = nil
	}
}

// sift notes what was closed or, when copying, copies what is still open.
func (w *writer) sift(c *compaction, record []byte) {
	kind, id, state, err := parseRecord(record)
	switch {
	case err != nil: // written by ourselves: has been checked
	case !c.copying:
		c.note(kind, id, state)
	case c.counts(kind, id, state):
		w.batch.add(kind, id, state)
	}
}

// note learns from a record what need not be copied.
func (c *compaction) note(kind byte, id, state []byte) {
	switch kind {
	case kindClosed:
		c.closed[string(id)] = struct{}{}
		delete(c.renamed, string(id))
		delete(c.metas, string(id))
	case kindRenamed:
		c.renamed[string(id)] = struct{}{}
	case kindMeta:
		if number, _ := splitMeta(state); number > c.metas[string(id)] {
			c.metas[string(id)] = number
		}
	}
}

// counts reports whether a record has to be copied: its connection is open, and no other record
// of it counts instead.
func (c *compaction) counts(kind byte, id, state []byte) bool {
	if _, gone := c.closed[string(id)]; gone {
		return false
	}
	switch kind {
	case kindOpened:
		_, renamed := c.renamed[string(id)]
		return !renamed
	case kindRenamed:
		return true
	case kindMeta:
		return c.isLast(id, state)
	}
	return false
}

// isLast reports whether a record of metadata is the last of its connection, and not that
// it has none any more.
func (c *compaction) isLast(id, state []byte) bool {
	number, value := splitMeta(state)
	return number == c.metas[string(id)] && len(value) > 0
}

// noteNew tells the compaction under way what has been recorded meanwhile.
func (w *writer) noteNew(b *batch) {
	if w.compaction == nil {
		return
	}
	start := 0
	for _, end := range b.ends {
		if kind, id, state, err := parseRecord(b.buf[start:end]); err == nil {
			w.compaction.note(kind, id, state)
		}
		start = end
	}
}

// syncCopy begins to sync the segments after the cut. It does so in the background,
// because the writer must not wait for it.
func (w *writer) syncCopy(c *compaction) error {
	_, last, err := wal.Segments(w.path)
	if err != nil {
		return err
	}
	c.synced = make(chan error, 1)
	go func() { // endCompaction or abandonCompaction waits for it
		var errs []error
		for i := c.cut; i <= last; i++ {
			errs = append(errs, syncFile(wal.Name(w.path, i)))
		}
		c.synced <- errors.Join(errs...)
		w.j.queue.signal()
	}()
	return nil
}

func syncFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// endCompaction removes what has been copied, if the copy is synced by now.
func (w *writer) endCompaction(c *compaction) {
	var err error
	select {
	case err = <-c.synced:
		c.synced = nil
	default:
		return
	}
	if err == nil {
		err = w.wal.Truncate(c.cut)
	}
	if err != nil {
		w.failCompaction(err)
		return
	}
	w.compaction = nil
	w.compactAt = max(minCompaction, 2*w.j.bytes.Add(-c.before))
	w.j.compactions.Add(1)
}

// failCompaction gives up on a compaction, which loses nothing. The next one is due when
// the journal is twice as large.
func (w *writer) failCompaction(err error) {
	w.j.log.Warn().Err(err).Msg("journal: not compacted, the disk may be full")
	w.abandonCompaction()
	w.compactAt = 2 * w.j.bytes.Load()
	w.failing, w.torn = true, true
}

func (w *writer) abandonCompaction() {
	c := w.compaction
	if c == nil {
		return
	}
	c.closeFile()
	if c.synced != nil {
		<-c.synced
	}
	w.compaction = nil
}
