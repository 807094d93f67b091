package forward

import (
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"math"
	"time"
)

// Journal remembers for the next start which connections the app has been told
// of and has not seen closed. Package journal has one.
type Journal interface {
	// Opened records a connection, with what CloseLost needs of it, and then calls
	// recorded; on whatever goroutine, and soon. It copies the slices and does not
	// block.
	Opened(id, state []byte, recorded func())
	// Closed records that the connection's close event is dealt with. It copies id
	// and does not block.
	Closed(id []byte)
}

// JournalStats are counters since the start, unless marked as a gauge.
type JournalStats struct {
	Records     uint64 // written
	Failures    uint64 // batches of these that could not be written at once
	Dropped     uint64 // records given up
	Compactions uint64
	Bytes       int64 // gauge: size on disk, about
}

const (
	// lostSeq is the number of a lost connection's close event. How many events
	// the connection has had is not known, and this is more; it is the same however
	// often the gateway is started again before the event is delivered.
	lostSeq = math.MaxUint32
	// lostWindow is how many lost connections' close events wait at a time.
	lostWindow = 1024
)

// lostEnd is what became of a connection whose gateway died.
var lostEnd = End{Code: 1006, Reason: "gateway restarted", Initiator: "gateway"}

// ready gives a lane to the pool. One that begins with an open event waits until
// the journal has the connection: so the app is never told of a connection that
// would be forgotten.
func (f *Forwarder) ready(l *lane, first action, src *Source, now time.Duration) {
	if f.cfg.Journal == nil || first != actionOpen {
		f.put(l, now)
		return
	}
	f.cfg.Journal.Opened(src.ConnID, appendState(nil, src), func() { f.put(l, f.now()) })
}

func (f *Forwarder) put(l *lane, now time.Duration) {
	if !f.pool.put(l, now) && l.auth != nil {
		f.end(l, l.head, ending{answer: &Answer{Err: CutOff}})
	}
}

// appendState appends what a close event needs to know about a connection besides
// its id: the length of the user name, the name, the packed headers.
func appendState(dst []byte, src *Source) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(src.User)))
	dst = append(dst, src.User...)
	return append(dst, src.Headers...)
}

func parseState(state []byte) (user, packed string, err error) {
	length, n := binary.Uvarint(state)
	if n <= 0 || length > uint64(len(state)-n) {
		return "", "", errors.New("forward: the journal has a connection that cannot be read")
	}
	rest := state[n:]
	return string(rest[:length]), string(rest[length:]), nil
}

// CloseLost sends the close events of connections that an earlier process has
// told the app of and that ended with it: their ids and what its Journal has of
// them. It returns when all of them have been delivered or failed for good, or
// with ctx. It needs Config.Journal, and may be called once, after Start.
func (f *Forwarder) CloseLost(ctx context.Context, lost iter.Seq2[string, []byte]) error {
	var errs []error
	n := uint64(0)
	for id, state := range lost {
		user, packed, err := parseState(state)
		if err != nil {
			f.cfg.Journal.Closed([]byte(id)) // it will not be readable next time either
			errs = append(errs, err)
			continue
		}
		select {
		case f.lost <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		n++
		src := Source{Key: n << 32, Seq: lostSeq, ConnID: []byte(id), User: user, Headers: packed}
		e := f.events.close(&src, &lostEnd)
		e.lost = true
		f.append(&src, e)
	}
	for range lostWindow { // until nobody has a place
		select {
		case f.lost <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return errors.Join(errs...)
}
