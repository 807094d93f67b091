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

// segmentSize is how many bytes damage can take at most, and how many are written between
// two syncs.
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
	Records     uint64 // written, including those of compaction
	Failures    uint64 // batches that could not be written at once
	Dropped     uint64 // records that were given up because too many waited or the disk was full
	Compactions uint64
	Bytes       int64 // gauge: size on disk, about
}

// Open opens the journal in dir for this process alone, and makes dir if necessary. It logs
// damage to what earlier runs have left, which is no error. Records hold user names,
// cookies and headers, so only their owner may read the files.
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

// Lost returns the connections that earlier runs have opened and not closed, in the order
// in which they were opened. They stay in the journal until Closed names them. Only the
// first call returns them; after that the caller owns their memory.
func (j *Journal) Lost() []Entry {
	lost := j.lost
	j.lost = nil
	return lost
}

// Opened records a connection with its state and then calls recorded, either before it
// returns or on a goroutine of the journal's own, which recorded must not hold up. It also
// calls recorded if the record cannot be written within a second, for example because the
// disk is full; then the connection may be missing from Lost. It copies the slices and
// never blocks.
func (j *Journal) Opened(id, state []byte, recorded func()) {
	j.queue.put(kindOpened, id, state, recorded)
}

// Renamed records, of a connection that was opened, another state: of the two this one counts. It
// copies the slices and never blocks.
func (j *Journal) Renamed(id, state []byte) { j.queue.put(kindRenamed, id, state, nil) }

// Meta records the metadata of a connection that was opened; empty: none. Of a connection's
// the one with the highest number counts. It copies the slices and never blocks.
func (j *Journal) Meta(id []byte, number uint64, value []byte) {
	j.queue.put(kindMeta, id, appendMeta(nil, number, value), nil)
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

// Close writes what waits and ends the journal. Later records are dropped.
func (j *Journal) Close() error {
	j.close.Do(func() {
		j.queue.end()
		j.done.Wait()
		j.closed = errors.Join(j.writer.wal.Close(), j.lock.Close())
	})
	return j.closed
}
