package netpoll

import "time"

// A connection has at most one deadline, of one of a few kinds, and all deadlines of
// a kind have the same timeout. A queue in order of arrival is therefore in order
// of expiry too: joining, leaving and finding what is due take constant time.
// (Ping deadlines move with every ping; they are in the hub's timing wheel.)
type deadlineKind uint8

const (
	noDeadline        deadlineKind = iota
	handshakeDeadline              // the request head is not complete
	writeDeadline                  // output waits and none of it leaves
	closeDeadline                  // the close handshake, or a refusal, is under way
	awayDeadline                   // the connection has lost its transport, and its client may come back
	deadlineKinds
)

const noSlot = ^uint32(0)

// deadlineQueue is a list of connections, linked by slot.
type deadlineQueue struct {
	head, tail uint32
	after      uint32 // ticks
}

// deadlineLinks is a connection's place in a queue.
type deadlineLinks struct {
	next, prev uint32
	due        uint32
	kind       deadlineKind
}

// ticksFor is after how many ticks at least d has passed. The current tick may
// have begun up to a second ago, so it does not count.
func ticksFor(d time.Duration) uint32 {
	return uint32((d+time.Second-1)/time.Second) + 1
}

// await moves c to the end of the queue of kind.
func (l *Loop) await(c *Conn, kind deadlineKind) {
	l.awaitUntil(c, kind, l.now+l.deadlines[kind].after)
}

// awaitUntil is await for a deadline that is not before those of the queue.
func (l *Loop) awaitUntil(c *Conn, kind deadlineKind, due uint32) {
	l.unawait(c)
	q := &l.deadlines[kind]
	c.deadline = deadlineLinks{next: noSlot, prev: q.tail, due: due, kind: kind}
	if q.tail == noSlot {
		q.head = c.slot
	} else {
		l.conns.At(q.tail).deadline.next = c.slot
	}
	q.tail = c.slot
}

// unawait takes c out of its queue, if it is in one.
func (l *Loop) unawait(c *Conn) {
	d := &c.deadline
	if d.kind == noDeadline {
		return
	}
	q := &l.deadlines[d.kind]
	if d.prev == noSlot {
		q.head = d.next
	} else {
		l.conns.At(d.prev).deadline.next = d.next
	}
	if d.next == noSlot {
		q.tail = d.prev
	} else {
		l.conns.At(d.next).deadline.prev = d.prev
	}
	d.kind = noDeadline
}

// expire ends up to budget connections whose deadline has passed, and reports
// whether there are more.
func (l *Loop) expire(budget int) (more bool) {
	for kind := handshakeDeadline; kind < deadlineKinds; kind++ {
		if kind == awayDeadline && l.suspending != nil {
			continue
		}
		for q := &l.deadlines[kind]; q.head != noSlot; budget-- {
			c := l.conns.At(q.head)
			if c.deadline.due > l.now {
				break
			}
			if budget == 0 {
				return true
			}
			l.expired(c, kind)
		}
	}
	return false
}

// expired ends c's wait. It always takes c out of its queue.
func (l *Loop) expired(c *Conn, kind deadlineKind) {
	l.unawait(c)
	switch kind {
	case handshakeDeadline:
		l.stats.HandshakeExpiry++
		c.destroy(false)
	case writeDeadline:
		c.stalled()
	case closeDeadline:
		l.stats.CloseExpiry++
		c.destroy(true)
	case awayDeadline:
		l.stats.AwayExpiry++
		c.endAway(End{Cause: Disconnected, Code: statusAbnormal})
	}
}
