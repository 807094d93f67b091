package netpoll

import (
	"net/netip"
	"time"

	"github.com/gobwas/ws"

	"ws-gateway/netpoll/wire"
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
	frame   ws.Header // the frame under way, if inFrame
	inFrame bool
	got     int64 // bytes of its payload that have arrived

	control []byte // payload of the control frame under way

	op     ws.OpCode        // of the message under way; 0: none
	packed bool             // it is compressed
	msg    []byte           // its payload so far, unmasked
	text   wire.UTF8Checker // of a message that is not compressed

	held []byte // read, not decoded: reading was stopped

	headHeld, msgHeld holder // what head, and msg and held, are in the budgets
}

const (
	maxPooled     = 256      // inboxes, and outboxes, that a loop keeps for the next
	maxPooledData = 16 << 10 // bytes of a buffer that stays with a pooled inbox
)

// idle reports that nothing is under way.
func (in *inbox) idle() bool {
	return in.hdrLen == 0 && !in.inFrame && in.op == 0 && len(in.held) == 0
}

// begin notes the message that h begins, if h begins one.
func (in *inbox) begin(h *ws.Header) {
	if h.OpCode != ws.OpContinuation {
		in.op, in.packed = h.OpCode, h.Rsv1()
	}
}

// dropMessage forgets the message under way, so that it counts no longer.
func (c *Conn) dropMessage() {
	in := c.in
	in.op, in.packed, in.text = 0, false, wire.UTF8Checker{}
	if cap(in.msg) > maxPooledData {
		in.msg = nil
	}
	in.msg = in.msg[:0]
	c.weigh()
}

// unhold takes the held bytes out.
func (c *Conn) unhold() []byte {
	held := c.in.held
	c.in.held = nil
	c.weigh()
	return held
}

// extend appends p to the message under way, whose frame has so many bytes more:
// no more room is made than for these or, if further frames may follow, a quarter.
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
	c.weigh()
}

// weigh counts what is held of a message, or of what has been read behind a point
// at which reading was stopped.
func (c *Conn) weigh() {
	if c.state == stateHandshake || c.state == stateParked { // memory that an inbox brings along from its last owner
		return
	}
	c.in.msgHeld.still = int64(cap(c.in.held))
	c.loop.hold(MessageBudget, &c.in.msgHeld, c, cap(c.in.msg)+cap(c.in.held))
}

// weighHead counts what is held of a request head. Heads of usual size belong to
// what a connection takes in any case.
func (c *Conn) weighHead() {
	bytes := cap(c.in.head)
	if bytes <= UsualHead {
		bytes = 0
	}
	c.loop.hold(HeaderBudget, &c.in.headHeld, c, bytes)
}

// dropHead forgets a request head that will not be answered any more.
func (c *Conn) dropHead() {
	if c.in != nil {
		c.in.head = nil
		c.weighHead()
	}
}

// inboxOf returns c's inbox, giving it one if need be.
func (l *Loop) inboxOf(c *Conn) *inbox {
	if c.in != nil {
		return c.in
	}
	if n := len(l.inboxes); n > 0 {
		c.in = l.inboxes[n-1]
		l.inboxes = l.inboxes[:n-1]
		c.weigh()
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
	l.hold(HeaderBudget, &in.headHeld, nil, 0)
	in.msgHeld.still = 0
	l.hold(MessageBudget, &in.msgHeld, nil, 0)
	in.held = nil
	if len(l.inboxes) == maxPooled {
		return
	}
	if cap(in.head) > UsualHead { // its next owner, who has sent nothing, would hold what counts
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
