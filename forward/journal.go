package forward

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"math"
	"time"

	"github.com/tidwall/gjson"
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

var lostSuffix = []byte("-4294967295") // of their request ids

// lostEnd is what became of a connection whose gateway died.
var lostEnd = End{Code: 1006, Reason: "gateway restarted", Initiator: "gateway"}

// ready gives a lane to the pool. One that begins with an open event waits until
// the journal has the connection: so the app is never told of a connection that
// would be forgotten.
func (f *Forwarder) ready(l *lane, e *event, now time.Duration) {
	if f.cfg.Journal == nil || e.action != actionOpen {
		f.put(l, now)
		return
	}
	f.cfg.Journal.Opened(e.connID(), appendState(nil, e), func() { f.put(l, f.now()) })
}

func (f *Forwarder) put(l *lane, now time.Duration) {
	if !f.pool.put(l, now) && l.auth != nil {
		f.conclude(l, Answer{Err: CutOff})
	}
}

// over tells those who want to know what became of e: delivered, or failed for
// good. kept says that the dead-letter file has it.
func (f *Forwarder) over(e *event, o Outcome, status int, kept bool) {
	if f.cfg.Journal != nil && e.action == actionClose {
		// One that was cut off is sent at the next start, unless it is kept.
		if o != CutOff || kept {
			f.cfg.Journal.Closed(e.connID())
		}
		if bytes.HasSuffix(e.requestID(), lostSuffix) {
			<-f.lost
		}
	}
	if f.cfg.Done != nil {
		f.cfg.Done(e.requestID(), o, status, kept)
	}
}

// refused tells the journal that there will be no close event.
func (f *Forwarder) refused(e *event) {
	if f.cfg.Journal != nil {
		f.cfg.Journal.Closed(e.connID())
	}
}

// connID is the public connection id.
func (e *event) connID() []byte {
	id := e.requestID()
	return id[:bytes.LastIndexByte(id, '-')]
}

// appendState appends what a close event needs of e's connection besides its id:
// the length of the user name, the name, the packed headers.
func appendState(dst []byte, e *event) []byte {
	user := gjson.GetBytes(e.bodyBytes(), "user_name").String()
	dst = binary.AppendUvarint(dst, uint64(len(user)))
	dst = append(dst, user...)
	if e.headers == "" {
		return append(dst, e.cookie...)
	}
	dst = append(dst, '\n')
	dst = append(dst, e.cookie...)
	dst = append(dst, '\n')
	return append(dst, e.headers...)
}

func parseState(state []byte) (user, headers string, err error) {
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
		user, headers, err := parseState(state)
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
		f.Close(Source{Key: n << 32, Seq: lostSeq, ConnID: []byte(id), User: user, Headers: headers}, lostEnd)
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
