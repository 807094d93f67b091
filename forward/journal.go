package forward

import (
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"math"
	"time"

	"ws-gateway/hub/meta"
)

// Journal remembers for the next start which connections the app has been told about and
// has not seen closed. Package journal has one.
type Journal interface {
	// Opened records a connection and what CloseLost needs to know about it, and then
	// calls recorded, soon and on any goroutine. It copies the slices and does not block.
	Opened(id, state []byte, recorded func())
	// Renamed records once more a connection that was opened, with the user whom the app has
	// named. This state counts, whatever the order. It copies the slices and does not block.
	Renamed(id, state []byte)
	// Meta records the metadata of a connection that was opened, JSON; empty: none. Of
	// those of a connection the one with the highest number counts. It copies the slices
	// and does not block.
	Meta(id []byte, number uint64, value []byte)
	// Closed records that the connection's close event has been dealt with. It copies id
	// and does not block.
	Closed(id []byte)
}

// JournalStats are counters since the start, unless marked as a gauge.
type JournalStats struct {
	Records     uint64 // written
	Failures    uint64 // batches of records that could not be written at once
	Dropped     uint64 // records that were given up
	Compactions uint64
	Bytes       int64 // gauge: size on disk, about
}

const (
	// lostSeq is the number of a lost connection's close event. Nobody knows how many
	// events the connection has had, but this is more. It stays the same however often the
	// gateway is started again before the event is delivered.
	lostSeq = math.MaxUint32
	// lostWindow is how many close events of lost connections wait at a time.
	lostWindow = 1024
)

// Why a connection is lost.
const (
	Restarted = "gateway restarted" // the process has ended, and a new one closes it
	Gone      = "gateway lost"      // another gateway closes it
)

// lostEnd is the end of a connection whose gateway has died.
func lostEnd(why string) *End { return &End{Code: 1006, Reason: why, Initiator: "gateway"} }

// ready gives a lane to the pool. If the lane begins with an open event it first waits
// until the journal has the connection, so that the app is never told about a connection
// that would be forgotten.
func (f *Forwarder) ready(l *lane, first action, src *Source, now time.Duration) {
	if f.cfg.Journal == nil || first != actionOpen {
		f.put(l, now)
		return
	}
	f.cfg.Journal.Opened(src.ConnID, appendState(nil, src), func() { f.put(l, f.now()) })
}

// Remember has the journal record a connection that an earlier process has told the app
// about and this one goes on with.
func (f *Forwarder) Remember(src Source) {
	if f.cfg.Journal != nil {
		f.cfg.Journal.Opened(src.ConnID, appendState(nil, &src), func() {})
	}
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

// Lost is a connection that an earlier process has told the app about and that ended with
// it: what its Journal has recorded.
type Lost struct {
	ID          string
	State, Meta []byte
}

// CloseLost sends the close events of lost connections. CloseLost returns when all have been delivered or have failed for
// good, or when ctx is done. It needs Config.Journal, and may be called after Start, once
// at a time. why is the reason that the events give.
func (f *Forwarder) CloseLost(ctx context.Context, why string, lost iter.Seq[Lost]) error {
	var errs []error
	for c := range lost {
		user, packed, err := parseState(c.State)
		if err != nil {
			f.cfg.Journal.Closed([]byte(c.ID)) // the next start could not read it either
			errs = append(errs, err)
			continue
		}
		select {
		case f.lost <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		f.lostKeys++
		src := Source{Key: f.lostKeys << 32, Seq: lostSeq, ConnID: []byte(c.ID), User: user, Headers: packed}
		e := f.events.close(&src, lostEnd(why))
		e.lost, e.equipped, e.meta = true, true, meta.Recorded(string(c.Meta))
		f.append(&src, e)
	}
	taken := 0
	defer func() { // the places are for the next call
		for range taken {
			<-f.lost
		}
	}()
	for ; taken < lostWindow; taken++ { // until no event has a place
		select {
		case f.lost <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return errors.Join(errs...)
}
