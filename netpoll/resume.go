package netpoll

import (
	"net/netip"
	"time"

	"github.com/gobwas/ws"

	"ws-gateway/netpoll/wire"
)

// A client that asks for it keeps its session when its transport is lost: the connection
// stays in its slot without a descriptor, and takes what is sent to it, until the client
// comes back on another transport or Config.ResumeFor is over. The Handler sees one
// connection all the time.
//
//	stateOpen ── transport lost, ping timeout, superseded ──▶ stateAway
//	stateAway ── valid token ──▶ stateOpen
//	stateAway ── time over, Close, too much kept ──▶ ended
//
//	resume.go            the states
//	resume_record.go     what is kept of such a connection
//	resume_messages.go   counts, acknowledgements and what is kept for sending again
//	resume_handshake.go  tokens, and how a handshake finds its connection
//	farewell.go          how a client that comes back learns that it was closed

// Resumer is what a Handler does beside if connections can be resumed. Its methods run on
// the loop that they are about, and must not block.
type Resumer interface {
	// AppendID appends the name by which the app knows a connection: characters that
	// need no escapes in JSON and may be in a token of HTTP. ParseID is its inverse; ok is
	// false for a connection that is not of this server.
	AppendID(dst []byte, id ID) []byte
	ParseID(name []byte) (id ID, ok bool)

	// Identity is the user whom a handshake names. Tokens are valid for that user alone.
	Identity(l *Loop, r *wire.Request) []byte

	// ClientAddr is the address of the client that a handshake names.
	ClientAddr(l *Loop, r *wire.Request) netip.Addr

	// Admit decides about a handshake with a token of that user. It does what Upgrade
	// does before it looks at limits or asks the app. A verdict that accepts has no other
	// meaning.
	Admit(l *Loop, r *wire.Request) Verdict

	// Away reports that c has lost its transport. c can be sent to, paused and closed.
	// It may be called while a Handler method or a method of c is under way.
	Away(c *Conn)

	// Returned reports that c, which was away for so long, has another transport; r is its
	// handshake. If it has replaced a transport that seemed to be alive, away is 0, and
	// there was no call of Away. c must not be sent to or closed before the method has
	// returned.
	Returned(c *Conn, r *wire.Request, away time.Duration)

	// Acknowledged reports an acknowledgement. It shows that the client is there, as a
	// ping would. If it is not news, all the messages had been acknowledged before.
	Acknowledged(c *Conn, news bool)
}

// Away reports whether the connection has no transport and waits for its client.
func (c *Conn) Away() bool { return c.state == stateAway }

// Away is how many of the loop's connections are away.
func (l *Loop) Away() int { return int(l.stats.Away) }

// AwayFor is for how long a connection that is away has been so.
func (c *Conn) AwayFor() time.Duration {
	return time.Duration(c.loop.srv.milliseconds()-c.record().left) * time.Millisecond
}

// GiveWay ends a connection that is away, so that another one can be there: the other one's
// client is there, this one's may never come back. It returns false, and has done nothing, if
// the connection is not away, or is being recorded for another server. It may be called within
// a method of the Handler, but not within one about this connection.
func (c *Conn) GiveWay() bool {
	l := c.loop
	if c.state != stateAway || l.suspending != nil {
		return false
	}
	l.stats.AwayGaveWay++
	c.endAway(End{Cause: Disconnected, Code: statusAbnormal})
	return true
}

// mayGoAway reports whether the client can come back if the transport is lost now, and
// get all that it has missed. One whose close frame was put by does not come back.
func (c *Conn) mayGoAway() bool {
	l := c.loop
	return c.resume != 0 && c.state == stateOpen && l.cfg.resumes() && !l.stopping && c.record().whole() && c.pause&byCrowd == 0
}

// goAway makes the connection wait for its client.
func (c *Conn) goAway() {
	l := c.loop
	c.state = stateAway
	c.loseTransport()
	c.record().left = l.srv.milliseconds()
	l.stats.Away++
	l.stats.WentAway++
	l.await(c, awayDeadline)
	l.cfg.Resumer.Away(c)
}

// loseTransport closes the descriptor and drops what belongs to this transport alone.
// What is in the outbox is kept for sending again; what is in the inbox does not count as
// received, so the client sends it again.
func (c *Conn) loseTransport() {
	l := c.loop
	if l.corked == c {
		l.corked, l.cork = nil, l.cork[:0]
	}
	if c.in != nil {
		l.putInbox(c)
	}
	if c.out != nil {
		l.putOutbox(c)
	}
	if c.pause != 0 {
		l.stats.Paused--
	}
	c.uncountDeflate()
	c.deflate = wire.DeflateParams{}
	l.unawait(c)
	if c.fd >= 0 { // or Part has given it away
		closeSocket(c.fd, false)
		l.stats.Descriptors--
	}
	c.fd, c.interest, c.thenClose = -1, detached, false
	c.transport++
}

// leave sends a close frame, if the transport takes it, and goes away.
func (c *Conn) leave(code ws.StatusCode, reason string) {
	c.loop.uncork()
	if c.state != stateOpen {
		return // the transport broke
	}
	if c.out == nil {
		c.write(newCloseFrame(code, reason).wire.Bytes()) // the client may be there and not have pinged
	}
	c.goAway()
}

// endAway ends a connection that is away.
func (c *Conn) endAway(end End) {
	c.loop.unawait(c)
	c.loop.stats.Away--
	c.pause = 0 // it is not counted as paused
	if end.Cause == AppClosed {
		c.loop.farewells.add(c, end)
	}
	c.end(stateLingering, end)
	c.destroy(false)
}

// attach gives the connection the transport of a handshake, which is l.request. received
// is how many messages the client has.
func (l *Loop) attach(c, from *Conn, received uint64, deflate wire.DeflateParams, extensions string, rest []byte) {
	r := c.record()
	response := l.upgrader.Accept(&l.request, wire.ResumeProtocol, extensions)
	away := time.Duration(0)
	if c.state == stateOpen {
		c.loseTransport()
	} else {
		away = time.Duration(l.srv.milliseconds()-r.left) * time.Millisecond
		l.unawait(c)
		l.stats.Away--
		c.state = stateOpen
	}
	in := from.giveTransport(c)
	c.agree(deflate)
	if c.pause != 0 {
		l.stats.Paused++
	}
	l.stats.Resumed++
	l.stats.Handshakes.observe(time.Since(in.since))
	r.next()
	c.acknowledge(r, received)
	l.cfg.Resumer.Returned(c, &l.request, away)
	if c.put(l.greet(c.ID(), r, response, true, ""), nil) == nil && c.sendAgain(r) {
		c.decode(rest)
		c.watch()
	}
	l.reclaim(in)
}

// giveTransport gives the descriptor of a handshake to c and frees the handshake's slot.
// It returns the inbox, which holds the request head.
func (from *Conn) giveTransport(c *Conn) (in *inbox) {
	from.detach()
	in, from.in = from.in, nil
	c.fd, from.fd = from.fd, -1
	from.release()
	return in
}

// proveTransport notes that a frame has come on the transport: the client has its token,
// and those before it are void.
func (c *Conn) proveTransport() {
	if c.resume != 0 {
		c.record().unproven = 0
	}
}

// milliseconds is the time since the server was made. It wraps around after 49 days.
func (s *Server) milliseconds() uint32 { return uint32(time.Since(s.made).Milliseconds()) }
