package forward

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"ws-gateway/forward/callback"
	"ws-gateway/hub/meta"
)

// An event carries the metadata that its connection has when it is first POSTed, not when
// it happened: what the answer to an event says is there in the next one, though that may
// have waited behind it. Every attempt carries the same.

// metaField is the header field of an answer that gives its event's connection metadata.
const metaField = "X-Ws-Meta"

var errTwice = errors.New("the field is there more than once")

// equip gives e, the first event of the lane of key, the metadata that its connection has,
// unless it has been attempted before. That counts beside the cost of e.
func (t *table) equip(key uint64, e *event) {
	if t.meta != nil && !e.equipped {
		e.equipped = true
		e.meta = t.meta.Get(key)
		t.memory.add(e.metaCost())
	}
}

// metaCost is the memory that the event's metadata may hold, in bytes, if its connection has
// been given other since.
func (e *event) metaCost() int64 { return int64(len(e.meta.JSON())) }

// notes reads what answers say about metadata. It counts what cannot be read and what there
// is no memory for, and logs the first of each: an app that does it once does it always.
type notes struct {
	store      *meta.Store // nil: answers are not looked at
	log        zerolog.Logger
	unreadable atomic.Uint64
	refused    atomic.Uint64 // for want of memory

	unreadableOnce, refusedOnce sync.Once
}

// take keeps what the last answer that c has read, which is to e, gives its connection.
func (n *notes) take(c *callback.Client, key uint64, e *event) {
	if c.StatusOnly {
		n.unreadable.Add(1) // the log has it already
		return
	}
	fields := c.Fields(metaField)
	if len(fields) == 0 {
		return
	}
	v, err := n.store.ParseField(string(fields[0]))
	if len(fields) > 1 {
		err = errTwice
	}
	if err != nil {
		n.unreadable.Add(1)
		n.unreadableOnce.Do(func() {
			n.log.Warn().Bytes("request_id", e.requestID()).Str("header", metaField).Err(err).
				Msg("an answer's X-Ws-Meta cannot be the connection's metadata: such changes nothing; said once")
		})
		return
	}
	if n.store.Set(key, e.connID(), v) != nil {
		n.refused.Add(1)
		n.refusedOnce.Do(func() {
			n.log.Warn().Bytes("request_id", e.requestID()).
				Msg("an answer gives its connection metadata for which there is no memory: it keeps what it had, which is counted; said once")
		})
	}
}
