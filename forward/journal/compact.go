package journal

import (
	"errors"
	"os"

	"ws-gateway/forward/journal/wal"
)

const (
	// minCompaction is the size below which nothing is compacted.
	minCompaction = 4 << 20
	// A step reads so much, a millisecond's work, and some times as much as was
	// written since the last one: so that a compaction comes to its end before
	// the journal has grown by half.
	stepBytes = 128 << 10
	stepRatio = 4
)

// compaction copies the open connections out of the segments that came before
// it and then removes these. It reads them twice: for what was closed, then for
// what to copy. A connection that is closed meanwhile is not copied any more, so
// that the record of its closing stays behind all others.
type compaction struct {
	first, cut int // the segments that go: from first up to cut, which stays
	next       int // the segment to be read
	copying    bool
	closed     map[string]struct{}
	before     int64 // the journal's size when it began

	segment *wal.Reader // being read; nil between segments

	synced chan error // once all is copied: whether the copy is on the disk for good
}

// compact takes a step of the compaction that is under way or due, and reports
// whether there is more to do. So many bytes were written since it was last called.
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
		closed: make(map[string]struct{}), before: w.j.bytes.Load(),
	}
	return nil
}

// stepCompaction reads records of about so many bytes.
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

// read returns the next record. After an error it goes on with the next segment;
// end comes after the last.
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

// sift notes what was closed, or else copies what was opened and is still open.
func (w *writer) sift(c *compaction, record []byte) {
	kind, id, state, err := parseRecord(record)
	switch {
	case err != nil: // written by ourselves: has been checked
	case !c.copying && kind == kindClosed:
		c.closed[string(id)] = struct{}{}
	case c.copying && kind == kindOpened:
		if _, gone := c.closed[string(id)]; !gone {
			w.batch.add(kindOpened, id, state)
		}
	}
}

// noteClosed tells the compaction under way what has been closed meanwhile.
func (w *writer) noteClosed(b *batch) {
	if w.compaction == nil {
		return
	}
	start := 0
	for _, end := range b.ends {
		if kind, id, _, err := parseRecord(b.buf[start:end]); err == nil && kind == kindClosed {
			w.compaction.closed[string(id)] = struct{}{}
		}
		start = end
	}
}

// syncCopy begins to sync the segments that have come after the cut, apart from
// the writer, which must not wait for it.
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

// failCompaction gives a compaction up; nothing is lost by that. The next one is
// due when there is twice as much.
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
