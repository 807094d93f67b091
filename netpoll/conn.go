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
// It is small, because an idle server holds little else: what only a busy
// connection needs is in its inbox and outbox, which are nil while it is idle.
type Conn struct {
	loop     *Loop
	in       *inbox  // a request head, frame or message that is not complete
	out      *outbox // output that the kernel did not take
	slot     uint32  // never changes
	gen      uint32  // generation of the slot; never used twice
	fd       int32
	deadline deadlineLinks
	resume   uint32 // index of its record in Loop.resumables; 0: it cannot be resumed

	state     connState
	deflate   wire.DeflateParams // agreed on in the handshake
	pause     PauseReason        // why it is not read: a set of bits
	interest  interest           // what epoll watches for
	thenClose bool               // close the socket as soon as the kernel has all output
	unread    bool               // it is in resumables.unread
	transport uint8              // changes with each transport, so that events of one before are told apart
}

type connState uint8

const (
	stateFree      connState = iota // the slot has no connection
	stateHandshake                  // collecting the request head
	stateParked                     // the Handler has postponed its decision
	stateOpen
	stateClosing   // our close frame is queued, the peer's has not come
	stateLingering // the last output drains; input is thrown away
	stateAway      // open, but without a transport: see resume.go
)

// PauseReason is why a connection is not read. It is read again when no reason is
// left.
type PauseReason uint8

const (
	BackPressure PauseReason = 1 << iota // the app does not take what it has sent
	RateLimit                            // it has sent more than it may
	byPressure                           // Server.SetPressure
	byCrowd                              // the peer closes, as many others do: see Conn.takesTurns
)

type interest uint8

const (
	watchIn   interest = 1 << iota
	watchOut           // output waits
	watchEnd           // nothing is read, but the end of the connection is reported
	detached           // the descriptor is not in the epoll
	transient          // its epoll is that of transients
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

// eventID is the connection's id as the data of its epoll events: instead of the loop,
// which is always the same, it has the number of the transport.
func (c *Conn) eventID() ID { return MakeID(int(c.transport), c.slot, c.gen) }

// Loop is the loop that owns the connection.
func (c *Conn) Loop() *Loop { return c.loop }

// Send queues a frame, which is written at the end of the loop's turn at the
// latest. It returns false if the connection is no longer open, or if more than
// MaxPendingBytes would wait for it: then it has been closed as a SlowConsumer. If
// nothing waits, Send takes a frame of any size. For a connection that is away a message
// is kept; if that would be more than Config.ResumeBuffer, the connection has ended.
func (c *Conn) Send(f *Frame) bool {
	if c.resume != 0 {
		return c.sendKept(f)
	}
	return c.state == stateOpen && c.put(f.wire.BytesFor(c.deflate), f) == nil
}

// Reply is Send for a message to this connection alone; payload is copied.
func (c *Conn) Reply(op ws.OpCode, payload []byte) bool {
	if c.resume != 0 && !op.IsControl() {
		return c.replyKept(op, payload)
	}
	if c.state != stateOpen {
		return false
	}
	l := c.loop
	if put, err := c.putCompressed(op, payload); put {
		return err == nil
	}
	if len(payload)+wire.MaxServerHeader > cap(l.cork) {
		return c.Send(NewFrame(op, payload))
	}
	l.scratch = append(wire.AppendFrameHeader(l.scratch[:0], op, len(payload)), payload...)
	return c.put(l.scratch, nil) == nil
}

// putCompressed sends a message compressed, if that was agreed on and makes it shorter;
// otherwise put is false.
func (c *Conn) putCompressed(op ws.OpCode, payload []byte) (put bool, err error) {
	l := c.loop
	if !c.deflate.Agreed() || op.IsControl() || len(payload) < l.cfg.CompressionThreshold {
		return false, nil
	}
	scratch := l.scratch[:0:min(cap(l.scratch), cap(l.cork))] // so that a larger frame gets memory of its own
	b, ok := wire.AppendCompressedFrame(scratch, &l.srv.deflater, c.deflate, op, payload)
	if !ok {
		return false, nil
	}
	var own *Frame
	if len(b) > cap(l.cork) { // a large frame is kept, not copied
		own = &Frame{wire: wire.FrameOf(b)}
	}
	return true, c.put(b, own)
}

// Close ends the connection. It calls the Handler's Closed, sends the close frame
// and begins the close handshake, whose end it does not wait for. Reason is cut at
// a rune boundary to 123 bytes. If the connection is no longer open, Close does
// nothing. A PingTimeout makes a connection that can be resumed go away instead.
func (c *Conn) Close(cause Cause, code ws.StatusCode, reason string) {
	reason = wire.CutReason(reason)
	switch {
	case c.state == stateAway:
		c.endAway(End{Cause: cause, Code: code, Reason: reason})
		return
	case c.state != stateOpen:
		return
	case cause == PingTimeout && c.mayGoAway():
		c.leave(code, reason)
		return
	}
	next := stateClosing
	switch cause {
	case ProtocolError, InvalidUTF8, MessageTooBig, OverCapacity:
		next = stateLingering // the rest of the input cannot be understood, or is not wanted
	case AppClosed:
		if c.resume != 0 && c.loop.cfg.resumes() {
			c.loop.farewells.add(c, End{Cause: cause, Code: code, Reason: reason}) // the transport may be dead already
		}
	}
	c.end(next, End{Cause: cause, Code: code, Reason: reason})
	if cause == SlowConsumer && c.out != nil {
		c.loop.stats.PendingBytes -= int64(c.out.dropWhole())
		c.rank()
	}
	c.finish(newCloseFrame(code, reason))
}

// end tells the Handler that an open connection has ended: exactly once for each,
// since no state leads back to stateOpen.
func (c *Conn) end(next connState, end End) {
	l := c.loop
	c.state = next
	c.uncountDeflate()
	if c.resume != 0 {
		c.ceaseResumable()
	}
	l.stats.Open--
	l.stats.Closing++
	l.stats.Closed[end.Cause]++
	if c.in != nil {
		c.in.msg = nil // no message will need it, and memory that is kept counts
		c.dropMessage()
		l.stats.BytesUnread += uint64(len(c.in.postponed))
		if next == stateLingering { // it will not be decoded
			c.takePostponed()
		}
	}
	c.dropKept()
	l.handler.Closed(c, end)
}

// finish sends the last frame of a connection that has ended, and starts the close
// deadline.
func (c *Conn) finish(last *Frame) {
	l := c.loop
	l.await(c, closeDeadline)
	c.unpause()
	if c.put(last.wire.Bytes(), last) != nil {
		return
	}
	c.watch()
	if c.state == stateClosing {
		c.decodePostponed() // it may contain the peer's close frame
	}
}

// Pause stops reading from the connection. What has been read already and not been
// decoded is not delivered either.
func (c *Conn) Pause(why PauseReason) { c.stopReading(why) }

// Resume undoes Pause. If no other reason is left, it calls Handler.Resumed, then
// delivers what had been read before. It must not be called from within a Handler
// method, whose payload may lie in the buffer that Resume decodes.
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
		if why != byCrowd { // which holds up nobody's messages
			c.loop.stats.Pauses++
		}
		c.loop.stats.Paused++
		if c.resume != 0 {
			c.loop.resumables.unread.stopped(c)
		}
	}
	c.pause |= why
	c.watch()
}

func (c *Conn) goOnReading(why PauseReason) {
	if c.state == stateAway {
		c.pause &^= why
		return
	}
	if c.state != stateOpen || c.pause&why == 0 {
		return
	}
	if c.pause != why {
		c.pause &^= why
		return
	}
	if why != byPressure && c.loop.srv.pressure.Load() { // its input may already be in this process
		c.pause = byPressure
		c.loop.pressed = append(c.loop.pressed, c.ID())
		return
	}
	c.unpause()
	c.loop.handler.Resumed(c)
	c.decodePostponed()
	c.watch()
}

func (c *Conn) unpause() {
	if c.pause != 0 {
		c.pause = 0
		c.loop.stats.Paused--
	}
}

// watch asks epoll for the events that the connection waits for.
func (c *Conn) watch() {
	if c.state == stateFree || c.state == stateAway {
		return
	}
	want := c.interest & transient
	if c.state == stateParked {
		want |= watchEnd
	} else if c.pause == 0 {
		want |= watchIn
	}
	if c.out != nil {
		want |= watchOut
	}
	out := c.interest&detached != 0
	if want == c.interest || want&^transient == 0 && out {
		return
	}
	op := unix.EPOLL_CTL_MOD
	if out {
		op = unix.EPOLL_CTL_ADD
	}
	c.interest = want
	if errno := c.loop.poll.control(want.set(), op, int(c.fd), want.events(), c.eventID()); errno != 0 {
		c.broken()
	}
}

func (w interest) set() epollSet {
	if w&transient != 0 {
		return transients
	}
	return established
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

// detach takes the descriptor out of its epoll. Of a connection that is not read the
// broken transport would otherwise be reported over and over.
func (c *Conn) detach() {
	if c.interest&detached == 0 {
		c.loop.poll.control(c.interest.set(), unix.EPOLL_CTL_DEL, int(c.fd), 0, c.eventID())
		c.interest = c.interest&transient | detached
	}
}

// becomeTransient has the connection served after those that stay.
func (c *Conn) becomeTransient() {
	c.detach()
	c.interest = detached | transient
	c.watch()
}

// establish undoes it: watch puts the descriptor among those of the established ones.
func (c *Conn) establish() {
	c.detach()
	c.interest = detached
}

// agree notes which compression was agreed on.
func (c *Conn) agree(deflate wire.DeflateParams) {
	c.deflate = deflate
	if deflate.Agreed() {
		c.loop.srv.deflating[deflate.WindowBits].Add(1)
	}
}

// uncountDeflate undoes agree, except that the peer may still send compressed frames.
func (c *Conn) uncountDeflate() {
	if c.deflate.Agreed() {
		c.loop.srv.deflating[c.deflate.WindowBits].Add(-1)
	}
}

// broken ends a connection whose transport has ended, unless its client may come back.
func (c *Conn) broken() {
	if c.mayGoAway() {
		c.goAway()
		return
	}
	if c.state == stateOpen {
		c.end(stateLingering, End{Cause: Disconnected, Code: statusAbnormal})
	}
	c.destroy(false)
}

// destroy closes the descriptor and frees the slot. Every connection ends here, but
// for those that are handed off. The loop uses the Conn again for a connection that
// it adopts later, never during a Handler call.
func (c *Conn) destroy(reset bool) {
	if c.state == stateFree {
		return
	}
	if c.fd >= 0 {
		closeSocket(c.fd, reset)
	}
	c.release()
}

// release frees the slot of a connection whose descriptor is closed, handed off or, then
// fd is -1, counted no longer.
func (c *Conn) release() {
	l := c.loop
	switch c.state {
	case stateHandshake, stateParked:
		l.leaveHandshake(c)
	case stateClosing, stateLingering:
		l.stats.Closing--
	}
	if c.fd >= 0 {
		l.stats.Descriptors--
	}
	l.unawait(c)
	c.unpause()
	c.dropKept()
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

// write is writeRaw, counted.
func (c *Conn) write(b []byte) (int, syscall.Errno) {
	n, errno := writeRaw(c.fd, b)
	c.loop.stats.WritesOut++
	c.loop.stats.BytesOut += uint64(n)
	return n, errno
}
