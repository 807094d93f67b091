package journal

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"ws-gateway/forward/journal/wal"
)

// segmentSize is how much is lost to damage at most, and how often is synced.
const segmentSize = 4 << 20

// Journal is a folder that is open for writing.
type Journal struct {
	log  zerolog.Logger
	lock *os.File
	lost []Entry

	queue  queue
	writer writer
	done   sync.WaitGroup // the writer's goroutine
	close  sync.Once
	closed error // of Close

	written, failures, discarded, compactions atomic.Uint64
	bytes                                     atomic.Int64
}

// Stats are counters since Open, unless marked as a gauge.
type Stats struct {
	Records     uint64 // written, those of compaction included
	Failures    uint64 // batches that could not be written at once
	Dropped     uint64 // records given up, because too many waited or while the disk was full
	Compactions uint64
	Bytes       int64 // gauge: size on disk, about
}

// Open opens the journal in dir, which it makes if it is not there, for this
// process alone. Damage to what earlier runs have left is logged and is no error.
// Records hold user names, cookies and headers: what it makes is for its owner
// alone.
func Open(dir string, log zerolog.Logger) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	held, err := lock(dir)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j, err := open(dir, held, log)
	if err != nil {
		_ = held.Close() // it is empty
		return nil, fmt.Errorf("journal: %w", err)
	}
	return j, nil
}

func open(dir string, held *os.File, log zerolog.Logger) (*Journal, error) {
	runs, err := listRuns(dir)
	if err != nil {
		return nil, err
	}
	number := 1
	if len(runs) > 0 {
		number = runs[len(runs)-1].number + 1
	}
	path := runPath(dir, number)
	if err := os.Mkdir(path, 0o700); err != nil {
		return nil, err
	}
	end, err := wal.Create(path, segmentSize)
	if err != nil {
		return nil, err
	}
	j := &Journal{log: log, lock: held, lost: readRuns(runs, log).entries()}
	j.queue.wake = make(chan struct{}, 1)
	j.queue.patience = patience
	j.writer = writer{j: j, every: lookEvery, wal: end, path: path}
	if err := j.writer.carryOver(j.lost); err != nil {
		log.Error().Err(err).Msg("journal: cannot be written; the folders of earlier runs stay until the next start")
	} else {
		retire(dir, runs, log)
	}
	j.writer.compactAt = max(minCompaction, 2*j.bytes.Load())
	j.done.Go(j.writer.run)
	return j, nil
}

// Lost returns the connections that earlier runs have opened and not closed, in
// the order of opening. They remain in the journal until Closed names them.
// Only the first call returns them, so that their memory is the caller's.
func (j *Journal) Lost() []Entry {
	lost := j.lost
	j.lost = nil
	return lost
}

// Opened records a connection and what is to be known of it, and then calls
// recorded: on a goroutine of the journal's own, which must not be held up, or
// before Opened returns. It calls it, too, where the record cannot be written
// within a second, for want of space for example; such a connection may be
// missing from Lost. It copies the slices and never blocks.
func (j *Journal) Opened(id, state []byte, recorded func()) {
	j.queue.put(kindOpened, id, state, recorded)
}

// Closed records that the app knows of the connection's end. It copies id and
// never blocks.
func (j *Journal) Closed(id []byte) { j.queue.put(kindClosed, id, nil, nil) }

// Stats returns a snapshot.
func (j *Journal) Stats() Stats {
	j.queue.mu.Lock()
	dropped := j.queue.dropped
	j.queue.mu.Unlock()
	return Stats{
		Records:     j.written.Load(),
		Failures:    j.failures.Load(),
		Dropped:     dropped + j.discarded.Load(),
		Compactions: j.compactions.Load(),
		Bytes:       j.bytes.Load(),
	}
}

// Close writes what waits and ends the journal. What is recorded after that is
// dropped.
func (j *Journal) Close() error {
	j.close.Do(func() {
		j.queue.end()
		j.done.Wait()
		j.closed = errors.Join(j.writer.wal.Close(), j.lock.Close())
	})
	return j.closed
}
