package netpoll

import (
	"net/netip"
	"time"

	"github.com/gobwas/ws"
)

// inbox holds what has arrived of a connection and is not complete: its request
// head, a frame, a message, or bytes behind the point at which reading was
// stopped. An idle connection has none.
type inbox struct {
	peer  netip.AddrPort // during the handshake
	since time.Time      // likewise: when the connection was accepted
	head  []byte         // the request head so far; of a parked handshake, with all that came behind it
	end   int            // of the head, in a parked handshake

	hdr     [14]byte // a frame header so far
	hdrLen  int
	frame   header // the frame under way, if inFrame
	inFrame bool
	got     int64 // bytes of its payload that have arrived

	control []byte // payload of the control frame under way

	op     ws.OpCode // of the message under way; 0: none
	packed bool      // it is compressed
	msg    []byte    // its payload so far, unmasked
	text   utf8State // of a message that is not compressed

	held []byte // read, not decoded: reading was stopped
}

const (
	maxPooled     = 256      // inboxes, and outboxes, that a loop keeps for the next
	maxPooledData = 16 << 10 // bytes of a buffer that stays with a pooled inbox
)

// idle reports that nothing is under way.
func (in *inbox) idle() bool {
	return in.hdrLen == 0 && !in.inFrame && in.op == 0 && in.held == nil
}

// begin notes the message that h begins, if h begins one.
func (in *inbox) begin(h *header) {
	if h.op != ws.OpContinuation {
		in.op, in.packed = h.op, h.compressed()
	}
}

// dropMessage forgets the message under way, so that it counts no longer.
func (in *inbox) dropMessage(l *Loop) {
	l.assembling -= int64(cap(in.msg))
	in.op, in.packed, in.text = 0, false, utf8State{}
	if cap(in.msg) > maxPooledData {
		in.msg = nil
	}
	in.msg = in.msg[:0]
	l.assembling += int64(cap(in.msg))
}

// unhold takes the held bytes out.
func (in *inbox) unhold(l *Loop) []byte {
	held := in.held
	in.held = nil
	l.assembling -= int64(cap(held))
	return held
}

// extend appends p to the message under way. It reports false where that would
// exceed the loop's share of MaxAssemblyMemory.
func (in *inbox) extend(l *Loop, p []byte) bool {
	before := cap(in.msg)
	if grown := len(in.msg) + len(p); grown > before && l.assembling+int64(grown-before) > l.maxAssembling {
		return false
	}
	in.msg = append(in.msg, p...)
	l.assembling += int64(cap(in.msg) - before)
	return true
}

// inboxOf returns c's inbox, giving it one if need be.
func (l *Loop) inboxOf(c *Conn) *inbox {
	if c.in != nil {
		return c.in
	}
	if n := len(l.inboxes); n > 0 {
		c.in = l.inboxes[n-1]
		l.inboxes = l.inboxes[:n-1]
		l.assembling += int64(cap(c.in.msg))
	} else {
		c.in = new(inbox)
	}
	return c.in
}

// putInbox takes c's inbox back.
func (l *Loop) putInbox(c *Conn) {
	in := c.in
	c.in = nil
	l.reclaim(in)
}

// reclaim empties an inbox for its next owner.
func (l *Loop) reclaim(in *inbox) {
	in.unhold(l)
	l.assembling -= int64(cap(in.msg))
	if len(l.inboxes) == maxPooled {
		return
	}
	*in = inbox{head: pooled(in.head), msg: pooled(in.msg), control: in.control[:0]}
	l.inboxes = append(l.inboxes, in)
}

func pooled(b []byte) []byte {
	if cap(b) > maxPooledData {
		return nil
	}
	return b[:0]
}
