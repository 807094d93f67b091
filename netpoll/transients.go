package netpoll

import (
	"net/netip"
	"time"

	"github.com/gobwas/ws"
)

// Transients are connections that come or go: those that are not open yet, because the
// acceptor has just given them to the loop, or their handshake is under way or has been
// refused; and those that were open and whose transport is broken, or whose client closes. Thousands may do so at
// once, when a network fails and comes back, and each takes a loop about ten times as long
// as a message. So the loop serves a few of them in each turn, after everything else that
// is ready: an open connection waits for a slice of the others, not for all of them.
//
// The rest waits where it is. Arrivals, which have been accepted and nothing more, are in a
// list in the order in which they came. So are leavers, whose close frame is only seen once
// it has been read: some in a turn are served at once, the others' frames are put by. The
// rest is in an epoll of its own, whose ready list is a queue too. No kind waits for the
// others, and nothing has to be done for one that ends or is ended while it waits.
const (
	transientsPerTurn = 16   // of each kind: each takes some 30 µs
	maxArrivals       = 4096 // of each loop; at that the acceptor pauses, and the kernel's backlog keeps the others
)

// arrivals are the connections that the loop has not looked at. The loop owns them; their
// count is in Loop.arriving.
type arrivals struct {
	queue []accepted
	next  int // index of the first
}

func (a *arrivals) none() bool { return a.next == len(a.queue) }

// add appends a batch.
func (a *arrivals) add(batch []accepted) {
	a.queue = append(a.queue[:copy(a.queue, a.queue[a.next:])], batch...)
	a.next = 0
}

// pop takes the first one. There must be one.
func (a *arrivals) pop() accepted {
	first := a.queue[a.next]
	if a.next++; a.none() {
		a.queue, a.next = a.queue[:0], 0
		if cap(a.queue) > acceptBatch {
			a.queue = nil
		}
	}
	return first
}

// leavers are the connections whose close frame was put by.
type leavers struct {
	queue  []ID
	served int  // close frames that this turn has served
	called bool // the one that is being decoded was the first
}

// closeHeader is the length of a close frame's header, with its mask: its payload has at most
// 125 bytes.
const closeHeader = ws.MinHeaderSize + 4

// takesTurns reports whether the connection's close frame is put by, as this turn has served
// its share of them. frame begins with it, rest is what follows its header. If the header has
// come in parts the frame is served at once.
func (c *Conn) takesTurns(frame, rest []byte) bool {
	l := &c.loop.leavers
	switch {
	case l.called:
		return false
	case len(frame)-len(rest) < closeHeader, len(l.queue) == 0 && l.served < transientsPerTurn:
		l.served++
		return false
	}
	c.detach()
	c.interest |= transient // the next that comes is its end
	c.stopReading(byCrowd)
	c.postpone(frame)
	l.queue = append(l.queue, c.ID())
	return true
}

// letGo serves some leavers.
func (l *Loop) letGo() {
	in := &l.leavers
	n := max(0, min(transientsPerTurn-in.served, len(in.queue)))
	in.served = 0
	if n == 0 {
		return
	}
	in.called = true
	for _, id := range in.queue[:n] {
		if c := l.Lookup(id); c != nil {
			c.goOnReading(byCrowd)
			l.enforceBudgets()
		}
	}
	in.called = false
	if in.queue = in.queue[n:]; len(in.queue) == 0 {
		in.queue = nil
	}
}

// comeAndGo serves some transients, and returns how many events of theirs it has served.
func (l *Loop) comeAndGo() (events int) {
	l.crowd = l.transients || !l.arrivals.none() || len(l.leavers.queue) > 0
	l.letGo()
	if l.transients {
		l.transients = false
		ready := l.poll.transients()
		events = len(ready)
		l.dispatchAll(ready)
	}
	for n := 0; n < transientsPerTurn && !l.arrivals.none(); n++ {
		c := l.arrivals.pop()
		l.arriving.Add(-1)
		l.adopt(c.fd, c.peer)
		l.enforceBudgets()
	}
	return events
}

// turnAway closes the arrivals when the loop ends.
func (l *Loop) turnAway() {
	for !l.arrivals.none() {
		closeSocket(l.arrivals.pop().fd, true)
		l.arriving.Add(-1)
	}
}

// adopt takes over a connection that has been accepted. In a crowd its head is often there
// by now, so it is read before anything is asked of the epoll.
func (l *Loop) adopt(fd int32, peer netip.AddrPort) {
	l.makeRoom()
	c := l.newConn(fd)
	if c == nil {
		return
	}
	l.stats.Accepted++
	in := l.inboxOf(c)
	in.peer, in.since = peer, time.Now()
	l.await(c, handshakeDeadline)
	l.readable(c)
	if c.state == stateHandshake {
		c.watch()
	}
}

// newConn gives a descriptor a slot. If there is none, or the loop is about to end, it
// closes the descriptor and returns nil.
func (l *Loop) newConn(fd int32) *Conn {
	var slot uint32
	if n := len(l.free); n > 0 {
		slot = l.free[n-1]
		l.free = l.free[:n-1]
	} else if l.slots < MaxSlots {
		slot = l.slots
		l.conns.Grow(slot)
		l.slots++
	} else {
		closeSocket(fd, true)
		return nil
	}
	c := l.conns.At(slot)
	gen := max(c.gen, l.srv.floor) + 1
	if gen == 0 {
		gen = 1
	}
	*c = Conn{loop: l, slot: slot, gen: gen, fd: fd, state: stateHandshake, interest: detached | transient}
	l.stats.Descriptors++
	l.stats.Handshaking++
	if l.stopping {
		c.destroy(true)
		return nil
	}
	return c
}
