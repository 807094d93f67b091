package netpoll

// resumable is what is kept of a connection that can be resumed, beside Conn. There may be
// a million of them, and each byte counts.
type resumable struct {
	sent     uint64 // data messages to the client
	acked    uint64 // of these, how many the client has
	received uint64 // data messages from the client that the Handler has been given
	kept     *kept  // the last of those sent; nil: none
	turn     uint32 // of the newest token
	proven   uint32 // of the token that the client is known to have; those before it are void
	left     uint32 // when the transport was lost, by Server.milliseconds
	unread   bool   // the connection is in resumables.unread
}

// whole reports whether all messages that the client does not have are kept. While they
// are not, the connection cannot be resumed.
func (r *resumable) whole() bool { return r.sent-r.acked == uint64(r.kept.len()) }

// knows reports whether a token of this turn is valid.
func (r *resumable) knows(turn uint32) bool { return turn-r.proven <= r.turn-r.proven }

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
	r := c.record()
	r.turn, r.proven = 1, 1
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
