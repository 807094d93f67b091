package netpoll

import (
	"net/netip"
	"time"

	"github.com/gobwas/ws"

	"ws-gateway/netpoll/wire"
)

// inbox holds a connection's input that is not complete or not decoded: its request
// head, a frame, a message, or what had been read when reading was stopped. An idle
// connection has none.
type inbox struct {
	peer  netip.AddrPort // during the handshake
	since time.Time      // likewise: when the connection was accepted
	head  []byte         // the request head so far; if parked, with all that came behind it
	end   int            // of the head, in a parked handshake

	hdr     [14]byte // a frame header so far
	hdrLen  int
	frame   ws.Header // the frame under way, if inFrame
	inFrame bool
	got     int64 // bytes of its payload that have arrived

	control []byte // payload of the control frame under way

	op     ws.OpCode        // of the message under way; 0: none
	packed bool             // it is compressed
	msg    []byte           // its payload so far, unmasked
	text   wire.UTF8Checker // of a message that is not compressed

	postponed []byte // read, but not decoded: reading was stopped

	headHeld, msgHeld holder // of HeaderBudget: head; of MessageBudget: msg and postponed
}

const (
	maxPooled     = 256      // inboxes, and outboxes, that a loop keeps for the next
	maxPooledData = 16 << 10 // bytes of a buffer that a pooled inbox may keep
)

// idle reports that nothing is under way.
func (in *inbox) idle() bool {
	return in.hdrLen == 0 && !in.inFrame && in.op == 0 && len(in.postponed) == 0
}

// begin notes that h begins a message, unless it is a continuation.
func (in *inbox) begin(h *ws.Header) {
	if h.OpCode != ws.OpContinuation {
		in.op, in.packed = h.OpCode, h.Rsv1()
	}
}

// dropMessage forgets the message under way, and large memory that it had.
func (c *Conn) dropMessage() {
	in := c.in
	in.op, in.packed, in.text = 0, false, wire.UTF8Checker{}
	if cap(in.msg) > maxPooledData {
		in.msg = nil
	}
	in.msg = in.msg[:0]
	c.chargeMessage()
}

// takePostponed returns the postponed bytes, which it forgets.
func (c *Conn) takePostponed() []byte {
	b := c.in.postponed
	c.in.postponed = nil
	c.chargeMessage()
	return b
}

// extend appends p to the message under way; missing bytes of its frame have not
// arrived. If it must grow, it makes room for these, or, if the frame is complete
// but the message may not be, for a quarter more.
func (c *Conn) extend(p []byte, missing int64) {
	in := c.in
	if need := len(in.msg) + len(p); need > cap(in.msg) {
		if missing == 0 {
			missing = int64(need / 4)
		}
		room := max(int64(need), min(2*int64(cap(in.msg)), int64(need)+missing))
		in.msg = append(make([]byte, 0, room), in.msg...)
	}
	in.msg = append(in.msg, p...)
	c.chargeMessage()
}

// chargeMessage counts the memory of the message under way and of postponed input.
func (c *Conn) chargeMessage() {
	if c.state == stateHandshake || c.state == stateParked { // the inbox may bring memory from its last owner
		return
	}
	c.in.msgHeld.still = int64(cap(c.in.postponed))
	c.loop.charge(MessageBudget, &c.in.msgHeld, c, cap(c.in.msg)+cap(c.in.postponed))
}

// chargeHead counts the memory of the request head, if it is larger than usual.
func (c *Conn) chargeHead() {
	bytes := cap(c.in.head)
	if bytes <= UsualHead {
		bytes = 0
	}
	c.loop.charge(HeaderBudget, &c.in.headHeld, c, bytes)
}

// dropHead forgets the request head, which has been answered.
func (c *Conn) dropHead() {
	if c.in != nil {
		c.in.head = nil
		c.chargeHead()
	}
}

// inboxOf returns c's inbox; if it has none, it gets one.
func (l *Loop) inboxOf(c *Conn) *inbox {
	if c.in != nil {
		return c.in
	}
	if n := len(l.inboxes); n > 0 {
		c.in = l.inboxes[n-1]
		l.inboxes = l.inboxes[:n-1]
		c.chargeMessage()
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
	l.charge(HeaderBudget, &in.headHeld, nil, 0)
	in.msgHeld.still = 0
	l.charge(MessageBudget, &in.msgHeld, nil, 0)
	in.postponed = nil
	if len(l.inboxes) == maxPooled {
		return
	}
	if cap(in.head) > UsualHead { // it would count for its next owner, who has sent nothing
		in.head = nil
	}
	*in = inbox{head: in.head[:0], msg: pooled(in.msg), control: in.control[:0]}
	l.inboxes = append(l.inboxes, in)
}

func pooled(b []byte) []byte {
	if cap(b) > maxPooledData {
		return nil
	}
	return b[:0]
}
