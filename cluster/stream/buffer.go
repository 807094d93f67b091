package stream

import (
	"slices"

	"ws-gateway/cluster/packet"
)

// Content is a message's fields and payload, which the streams to several peers can
// share. It is immutable.
type Content struct {
	body    []byte
	fields  uint32
	holders int // messages that hold it
}

// NewContent copies fields and payload, which are below 4 GiB together.
func NewContent(fields packet.Fields, payload []byte) *Content {
	body := make([]byte, 0, len(fields)+len(payload))
	return &Content{body: append(append(body, fields...), payload...), fields: uint32(len(fields))}
}

// Split returns the fields and the payload, which must not be changed.
func (c *Content) Split() (fields packet.Fields, payload []byte) {
	return packet.Fields(c.body[:c.fields:c.fields]), c.body[c.fields:]
}

// Buffer bounds what all streams that share it hold. Past it, whichever stream holds
// most gives up the oldest that it has. Make it with NewBuffer.
type Buffer struct {
	limit, used int
	holders     []*outgoing
}

// itemBytes is what a message counts beside its content.
const itemBytes = 64

// NewBuffer returns a Buffer of limit bytes.
func NewBuffer(limit int) *Buffer { return &Buffer{limit: limit} }

// Used is how many bytes are held. A content that several streams hold counts once.
func (b *Buffer) Used() int { return b.used }

// hold reports whether there is room for one more message of c, which counts from
// then on.
func (b *Buffer) hold(c *Content) bool {
	for {
		bytes := itemBytes
		if c.holders == 0 {
			bytes += len(c.body)
		}
		if b.take(bytes) {
			c.holders++
			return true
		}
		largest := b.largest()
		if bytes > b.limit || largest == nil {
			return false
		}
		largest.giveUp(Full)
	}
}

// release is the inverse of hold.
func (b *Buffer) release(c *Content) {
	b.give(itemBytes)
	if c.holders--; c.holders == 0 {
		b.give(len(c.body))
	}
}

func (b *Buffer) take(bytes int) bool {
	if b.used+bytes > b.limit {
		return false
	}
	b.used += bytes
	return true
}

func (b *Buffer) give(bytes int) { b.used -= bytes }

// largest is the stream that holds most; nil if none holds anything. It is looked for
// only when the buffer is full.
func (b *Buffer) largest() (largest *outgoing) {
	for _, o := range b.holders {
		if o.held > 0 && (largest == nil || o.held > largest.held) {
			largest = o
		}
	}
	return largest
}

func (b *Buffer) join(o *outgoing) { b.holders = append(b.holders, o) }

func (b *Buffer) leave(o *outgoing) {
	if i := slices.Index(b.holders, o); i >= 0 {
		b.holders = slices.Delete(b.holders, i, i+1)
	}
}
