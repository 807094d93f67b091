package netpoll

import "math"

// resumable is what is kept of a connection that can be resumed, beside Conn. There may be
// a million of them, and each byte counts.
type resumable struct {
	sent     uint64 // data messages to the client
	received uint64 // data messages from the client that the Handler has been given
	kept     *kept  // the last of those sent; nil: none
	gap      uint32 // messages before them that the client does not have either
	left     uint32 // when the transport was lost, by Server.milliseconds
	tokens
}

// tokens says which tokens are valid: the newest one, and those before it until the client
// is known to have it.
type tokens struct {
	turn     uint32 // of the newest one
	unproven uint16 // how many came after the one that the client is known to have
}

// knows reports whether a token of this turn is valid.
func (t *tokens) knows(turn uint32) bool { return t.turn-turn <= uint32(t.unproven) }

// used notes that a token of this turn, which is valid, was used: the client has it, and those
// before it are void. Otherwise a handshake that was held up, and has received less than the
// client has by now, would end the session.
func (t *tokens) used(turn uint32) { t.unproven = uint16(t.turn - turn) }

// next makes a new token. A client that has lost thousands of answers loses its session.
func (t *tokens) next() {
	t.turn++
	t.unproven += min(1, math.MaxUint16-t.unproven)
}

// whole reports whether all messages that the client does not have are kept. While they
// are not, the connection cannot be resumed.
func (r *resumable) whole() bool { return r.gap == 0 }

// acked is how many messages the client has.
func (r *resumable) acked() uint64 { return r.sent - uint64(r.kept.len()) - uint64(r.gap) }

// lack notes that the client has only so many of the messages that are not kept.
func (r *resumable) lack(acked uint64) {
	r.gap = uint32(min(r.sent-uint64(r.kept.len())-acked, math.MaxUint32))
}

// resumables are the records of a loop's connections. A connection has the index of its
// record; 0 is no record, so connections that did not ask for one cost nothing.
type resumables struct {
	chunks []*[slabChunk]resumable
	used   uint32 // records ever used
	free   []uint32
	pool   []*kept
	unread signs
}

func (t *resumables) at(i uint32) *resumable { return &t.chunks[i/slabChunk][i%slabChunk] }

// take returns an unused record.
func (t *resumables) take() (i uint32) {
	if n := len(t.free); n > 0 {
		i = t.free[n-1]
		t.free = t.free[:n-1]
	} else {
		t.used++
		i = t.used
		if int(i/slabChunk) == len(t.chunks) {
			t.chunks = append(t.chunks, new([slabChunk]resumable))
		}
	}
	*t.at(i) = resumable{}
	return i
}

// record is what is kept of a connection that can be resumed.
func (c *Conn) record() *resumable { return c.loop.resumables.at(c.resume) }

// becomeResumable gives an open connection its record.
func (c *Conn) becomeResumable() {
	c.resume = c.loop.resumables.take()
	c.record().turn = 1
	c.loop.stats.Resumable++
}

// ceaseResumable undoes it, as the connection ends.
func (c *Conn) ceaseResumable() {
	t := &c.loop.resumables
	c.dropKeptMessages(c.record())
	t.free = append(t.free, c.resume)
	c.resume = 0
	c.loop.stats.Resumable--
}
