package netpoll

import (
	"syscall"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"ws-gateway/netpoll/wire"
)

// Conn is one connection. It belongs to its loop: its methods may be called only
// on the loop's goroutine, and not after the Handler's Closed has returned.
//
// It is kept small, because an idle server holds little else: what only a busy
// connection needs hangs off in and out, which are nil while nothing is under way.
type Conn struct {
	loop     *Loop
	in       *inbox  // a request head, frame or message that has arrived in part
	out      *outbox // what the kernel did not take
	slot     uint32  // never changes
	gen      uint32  // of the slot; never used twice
	fd       int32
	deadline deadlineLinks

	state     connState
	deflate   wire.DeflateParams // agreed on in the handshake
	pause     PauseReason        // set bits stop the reading
	interest  interest           // what epoll watches for
	thenClose bool               // lingering ends as soon as the output is out
}

type connState uint8

const (
	stateFree      connState = iota // the slot has no connection
	stateHandshake                  // collecting the request head
	stateParked                     // the Handler has postponed its verdict
	stateOpen
	stateClosing   // our close frame is on its way, the peer's is awaited
	stateLingering // all is said: output drains, input is thrown away
)

// PauseReason is why a connection is not read. Each has to go before it is read
// again.
type PauseReason uint8

const (
	BackPressure PauseReason = 1 << iota // what has been read of it is not taken
	RateLimit                            // it has sent more than it may
	byPressure                           // Server.SetPressure
)

type interest uint8

const (
	watchIn  interest = 1 << iota
	watchOut          // output waits
	watchEnd          // nothing is read, but the client may go away
	detached          // the descriptor is not in the epoll
)

const (
	statusPolicy    = ws.StatusPolicyViolation // 1008
	statusTryAgain  = ws.StatusCode(1013)      // RFC 6455's IANA registry: Try Again Later
	statusNone      = ws.StatusNoStatusRcvd    // 1005
	statusAbnormal  = ws.StatusAbnormalClosure // 1006
	statusGoingAway = ws.StatusGoingAway       // 1001
)

// ID names the connection.
func (c *Conn) ID() ID { return MakeID(c.loop.index, c.slot, c.gen) }

// Loop is the loop that owns the connection.
func (c *Conn) Loop() *Loop { return c.loop }

// Send queues a frame; it is written at the latest when the current turn of the
// loop ends. It returns false where the frame was not taken: the connection is
// no longer open, or more than MaxPendingBytes would wait for it, in which case it
// has been closed as a SlowConsumer. A frame of any size is taken while nothing
// waits.
func (c *Conn) Send(f *Frame) bool {
	return c.state == stateOpen && c.put(f.wire.BytesFor(c.deflate), f) == nil
}

// Reply is Send for a message to this connection alone; payload is copied.
func (c *Conn) Reply(op ws.OpCode, payload []byte) bool {
	if c.state != stateOpen {
		return false
	}
	l := c.loop
	if c.deflate.Agreed() && !op.IsControl() && len(payload) >= l.cfg.CompressionThreshold {
		scratch := l.scratch[:0:min(cap(l.scratch), cap(l.cork))] // so that what is larger has memory of its own
		if b, ok := wire.AppendCompressedFrame(scratch, &l.srv.deflater, c.deflate, op, payload); ok {
			var own *Frame
			if len(b) > cap(l.cork) { // a large one is kept instead of copied
				own = &Frame{wire: wire.FrameOf(b)}
			}
			return c.put(b, own) == nil
		}
	}
	if len(payload)+wire.MaxServerHeader > cap(l.cork) {
		return c.Send(NewFrame(op, payload))
	}
	l.scratch = append(wire.AppendFrameHeader(l.scratch[:0], op, len(payload)), payload...)
	return c.put(l.scratch, nil) == nil
}

// Close ends the connection: the Handler's Closed is called before Close
// returns, then the close frame goes out and the close handshake takes its
// course. Reason is cut at a rune boundary to 123 bytes. Closing a connection that
// is no longer open does nothing.
func (c *Conn) Close(cause Cause, code ws.StatusCode, reason string) {
	if c.state != stateOpen {
		return
	}
	reason = wire.CutReason(reason)
	next := stateClosing
	switch cause {
	case ProtocolError, InvalidUTF8, MessageTooBig, OverCapacity:
		next = stateLingering // the rest of the input means nothing
	}
	c.end(next, End{Cause: cause, Code: code, Reason: reason})
	if cause == SlowConsumer && c.out != nil {
		c.loop.stats.PendingBytes -= int64(c.out.dropWhole())
		c.rank()
	}
	c.finish(newCloseFrame(code, reason))
}

// end makes the logical end: exactly once for each connection that was open,
// since nothing leads back to stateOpen.
func (c *Conn) end(next connState, end End) {
	l := c.loop
	c.state = next
	if c.deflate.Agreed() {
		l.srv.deflating[c.deflate.WindowBits].Add(-1)
	}
	l.stats.Open--
	l.stats.Closing++
	l.stats.Closed[end.Cause]++
	if c.in != nil {
		c.in.msg = nil // no message will need it, and what is kept counts
		c.dropMessage()
		l.stats.BytesUnread += uint64(len(c.in.held))
		if next == stateLingering { // nobody will decode it
			c.unhold()
		}
	}
	c.letGo()
	l.handler.Closed(c, end)
}

// finish sends the last frame of a connection that has ended, and sets the limit
// for the rest.
func (c *Conn) finish(last *Frame) {
	l := c.loop
	l.await(c, closeDeadline)
	c.unpause()
	if c.put(last.wire.Bytes(), last) != nil {
		return
	}
	c.watch()
	if c.state == stateClosing {
		c.decodeHeld() // the peer's close frame may be among it
	}
}

// Pause stops reading from the connection, also of what has been read and not
// yet been delivered.
func (c *Conn) Pause(why PauseReason) { c.stopReading(why) }

// Resume undoes Pause. Where no other reason is left, Handler.Resumed is called
// before anything else is delivered.
// It must not be called from within a Handler method, whose payload may lie in the
// buffer that it decodes into.
func (c *Conn) Resume(why PauseReason) { c.goOnReading(why) }

// Paused reports whether reading is stopped, by Pause or by pressure.
func (c *Conn) Paused() bool { return c.pause != 0 }

// PausedFor reports whether why is among the reasons for which reading is stopped.
func (c *Conn) PausedFor(why PauseReason) bool { return c.pause&why != 0 }

func (c *Conn) stopReading(why PauseReason) {
	if c.state != stateOpen || c.pause&why != 0 {
		return
	}
	if c.pause == 0 {
		c.loop.stats.Pauses++
		c.loop.stats.Paused++
	}
	c.pause |= why
	c.watch()
}

func (c *Conn) goOnReading(why PauseReason) {
	if c.state != stateOpen || c.pause&why == 0 {
		return
	}
	if c.pause != why {
		c.pause &^= why
		return
	}
	if why != byPressure && c.loop.srv.pressure.Load() { // what it has sent may already be here
		c.pause = byPressure
		c.loop.pressed = append(c.loop.pressed, c.ID())
		return
	}
	c.unpause()
	c.loop.handler.Resumed(c)
	c.decodeHeld()
	c.watch()
}

func (c *Conn) unpause() {
	if c.pause != 0 {
		c.pause = 0
		c.loop.stats.Paused--
	}
}

// watch makes epoll watch for what the connection waits for.
func (c *Conn) watch() {
	if c.state == stateFree {
		return
	}
	var want interest
	if c.state == stateParked {
		want |= watchEnd
	} else if c.pause == 0 {
		want |= watchIn
	}
	if c.out != nil {
		want |= watchOut
	}
	if want == c.interest || want == 0 && c.interest == detached {
		return
	}
	op := unix.EPOLL_CTL_MOD
	if c.interest == detached {
		op = unix.EPOLL_CTL_ADD
	}
	c.interest = want
	if errno := c.loop.poll.control(op, int(c.fd), want.events(), c.ID()); errno != 0 {
		c.broken()
	}
}

func (w interest) events() (e uint32) {
	if w&watchIn != 0 {
		e |= unix.EPOLLIN | unix.EPOLLRDHUP
	}
	if w&watchEnd != 0 {
		e |= unix.EPOLLRDHUP
	}
	if w&watchOut != 0 {
		e |= unix.EPOLLOUT
	}
	return e
}

// detach takes the descriptor out of the epoll: a connection that is not being
// read would otherwise report its broken transport over and over.
func (c *Conn) detach() {
	if c.interest != detached {
		c.loop.poll.control(unix.EPOLL_CTL_DEL, int(c.fd), 0, c.ID())
		c.interest = detached
	}
}

// broken ends a connection whose transport has ended.
func (c *Conn) broken() {
	if c.state == stateOpen {
		c.end(stateLingering, End{Cause: Disconnected, Code: statusAbnormal})
	}
	c.destroy(false)
}

// destroy closes the descriptor and frees the slot: the one way out for every
// connection. The Conn is not used again before the loop adopts a new one, which
// it never does from within a Handler call.
func (c *Conn) destroy(reset bool) {
	if c.state == stateFree {
		return
	}
	closeSocket(c.fd, reset)
	c.release()
}

// release frees the slot of a connection whose descriptor is closed or given
// away.
func (c *Conn) release() {
	l := c.loop
	switch c.state {
	case stateHandshake, stateParked:
		l.leaveHandshake(c)
	case stateClosing, stateLingering:
		l.stats.Closing--
	}
	l.stats.Descriptors--
	l.unawait(c)
	c.unpause()
	c.letGo()
	if l.corked == c {
		l.corked, l.cork = nil, l.cork[:0]
	}
	if c.in != nil {
		l.putInbox(c)
	}
	if c.out != nil {
		l.putOutbox(c)
	}
	c.state, c.fd, c.thenClose = stateFree, -1, false
	l.free = append(l.free, c.slot)
}

// write is writeRaw with the loop's counters.
func (c *Conn) write(b []byte) (int, syscall.Errno) {
	n, errno := writeRaw(c.fd, b)
	c.loop.stats.WritesOut++
	c.loop.stats.BytesOut += uint64(n)
	return n, errno
}
