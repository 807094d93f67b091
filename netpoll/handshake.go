package netpoll

import (
	"net/http"
	"time"

	"ws-gateway/netpoll/wire"
)

// A request head is answered in one of these ways:
//
//	reject   it breaks a rule of HTTP or WebSocket, or a limit of ours: 4xx
//	handOff  its path is not the client path: it becomes a management connection
//	park     the Handler wants to decide later: Unpark brings the Verdict
//	carryOut the Handler has decided: the connection opens, or is refused

// handshake takes bytes of a connection whose request head is not complete. A
// head that comes in one piece is read where it lies; b is overwritten.
func (l *Loop) handshake(c *Conn, b []byte) {
	in := c.in
	from := len(in.head)
	if from > 0 {
		in.head = append(in.head, b...)
		b = in.head
		c.chargeHead()
	}
	if e := wire.Mistaken(b); e != nil {
		l.reject(c, e, nil, true)
		return
	}
	end := wire.HeadEnd(b, from)
	if end > l.cfg.MaxHeaderBytes || end < 0 && len(b) > l.cfg.MaxHeaderBytes {
		l.reject(c, errHeadTooLong, nil, true)
		return
	}
	if end >= 0 {
		l.request.Remote = in.peer
		l.answerHead(c, b[:end], b[end:])
		return
	}
	if e := wire.CheckPartialHead(b); e != nil {
		l.reject(c, e, nil, true)
		return
	}
	if from == 0 {
		in.head = append(in.head, b...)
		c.chargeHead()
	}
}

var (
	errHeadTooLong = &wire.HandshakeError{Status: http.StatusRequestHeaderFieldsTooLarge, Text: "request head over the limit"}
	errNotFound    = &wire.HandshakeError{Status: http.StatusNotFound, Text: "not found"}
	errNotLocal    = &wire.HandshakeError{Status: http.StatusForbidden, Text: "management is for local callers only"}
)

// answerHead answers a complete request head; rest is what came behind it.
func (l *Loop) answerHead(c *Conn, head, rest []byte) {
	r := &l.request
	moreInput := len(rest) > 0
	if e := wire.ParseHead(head, r); e != nil {
		l.reject(c, e, r.Method, moreInput)
		return
	}
	if !onPath(r.Path, l.cfg.Path) {
		l.handOff(c, head, rest)
		return
	}
	if e := wire.CheckUpgrade(r); e != nil {
		l.reject(c, e, r.Method, moreInput)
		return
	}
	deflate, extensions, e := l.negotiate(r)
	if e != nil {
		l.reject(c, e, r.Method, moreInput)
		return
	}
	if l.cfg.resumes() {
		if o := r.ResumeOffer(); o.Asked && l.answeredOffer(c, &o, deflate, extensions, head, rest) {
			return
		}
	}
	v := l.handler.Upgrade(c, r)
	if v.Pending {
		l.park(c, head, rest)
		return
	}
	l.carryOut(c, v, deflate, extensions, rest)
}

// onPath reports whether path is the client path want, or want with one trailing
// slash. Nothing is decoded and no case is folded.
func onPath(path []byte, want string) bool {
	if string(path) == want {
		return true
	}
	n := len(want)
	return n > 0 && want[n-1] != '/' && len(path) == n+1 && path[n] == '/' && string(path[:n]) == want
}

// negotiate answers the extensions that r offers, as the configuration allows.
func (l *Loop) negotiate(r *wire.Request) (deflate wire.DeflateParams, extensions string, e *wire.HandshakeError) {
	deflate, extensions, e = wire.NegotiateDeflate(r)
	if !l.cfg.Compression {
		deflate, extensions = wire.DeflateParams{}, ""
	}
	return deflate, extensions, e
}

// carryOut does with a valid opening handshake, which is l.request, what the
// Handler has decided.
func (l *Loop) carryOut(c *Conn, v Verdict, deflate wire.DeflateParams, extensions string, rest []byte) {
	if v.Status != 0 {
		l.stats.Refused++
		l.response = v.appendRefusal(l.response[:0])
		l.sendRefusal(c, l.response, len(rest) > 0)
		return
	}
	if l.cfg.resumes() && l.request.ResumeOffer().Asked {
		c.becomeResumable()
		response := l.upgrader.Accept(&l.request, wire.ResumeProtocol, extensions)
		l.open(c, deflate, l.greet(c.ID(), c.record(), response, false, v.Subprotocol), rest)
		return
	}
	l.open(c, deflate, l.upgrader.Accept(&l.request, v.Subprotocol, extensions), rest)
}

// open opens a connection that the Handler has accepted.
func (l *Loop) open(c *Conn, deflate wire.DeflateParams, response, rest []byte) {
	l.leaveHandshake(c)
	c.state = stateOpen
	l.stats.Open++
	l.stats.Upgraded++
	l.stats.Handshakes.observe(time.Since(c.in.since))
	l.unawait(c)
	c.agree(deflate)
	in := c.in
	c.in = nil
	c.establish()
	if c.put(response, nil) == nil {
		c.decode(rest)
		c.watch()
	}
	l.reclaim(in)
}

// park keeps a handshake until Unpark. The connection is not read meanwhile: what
// the client sends early waits in the kernel, behind what came with the head.
func (l *Loop) park(c *Conn, head, rest []byte) {
	in := c.in
	if len(in.head) == 0 {
		in.head = append(append(in.head, head...), rest...)
	}
	in.end = len(head)
	c.chargeHead()
	l.stats.Handshaking--
	l.stats.Parked++
	c.state = stateParked
	l.unawait(c)
	c.watch()
}

// Unpark brings the Verdict that Handler.Upgrade had postponed for the connection
// that id names, and has the same effect as if Upgrade had returned it. It returns
// false, and ignores v, if the connection has gone away meanwhile. v.Pending means
// nothing here. Loop goroutine only, and not from within a Handler method.
func (l *Loop) Unpark(id ID, v Verdict) bool {
	c := l.parked(id)
	if c == nil {
		return false
	}
	in, r := c.in, &l.request
	head, rest := in.head[:in.end], in.head[in.end:]
	r.Remote = in.peer
	e := wire.ParseHead(head, r)
	if e != nil {
		panic("BUG: a parked head does not parse: " + e.Text)
	}
	deflate, extensions, e := l.negotiate(r)
	if e != nil {
		panic("BUG: a parked head offers what cannot be parsed: " + e.Text)
	}
	l.carryOut(c, v, deflate, extensions, rest)
	return true
}

// Parked reports whether the handshake that id names still waits for Unpark.
func (l *Loop) Parked(id ID) bool { return l.parked(id) != nil }

func (l *Loop) parked(id ID) *Conn {
	if id.Loop() != l.index || id.Slot() >= l.slots {
		return nil
	}
	if c := l.conns.At(id.Slot()); c.gen == id.Generation() && c.state == stateParked {
		return c
	}
	return nil
}

// leaveHandshake takes c out of the gauges of handshakes, whatever becomes of it.
func (l *Loop) leaveHandshake(c *Conn) {
	if c.state == stateParked {
		l.stats.Parked--
	} else {
		l.stats.Handshaking--
	}
}

// reject answers a request that the Handler never sees. Method is empty if it is
// not known; moreInput is sendRefusal's.
func (l *Loop) reject(c *Conn, e *wire.HandshakeError, method []byte, moreInput bool) {
	l.stats.HandshakeErrors++
	l.response = e.AppendTo(l.response[:0], method)
	l.sendRefusal(c, l.response, moreInput)
}

// sendRefusal sends the response to a request that is rejected or refused, and ends
// the connection. If there is more input, or may be, since the head is not complete,
// the input is drained for a while: closing at once would destroy the response.
func (l *Loop) sendRefusal(c *Conn, response []byte, moreInput bool) {
	l.leaveHandshake(c)
	c.dropKept()
	l.stats.Closing++
	c.state = stateLingering
	c.watch()
	c.thenClose = !moreInput
	l.await(c, closeDeadline)
	c.put(response, nil)
}

// handOff passes the connection, with all that has been read of it, to whoever
// accepts from Server.HandedOff.
func (l *Loop) handOff(c *Conn, head, rest []byte) {
	r := &l.request
	switch {
	case l.cfg.HandOff == nil:
		l.reject(c, errNotFound, r.Method, len(rest) > 0)
		return
	case !l.cfg.HandOff(r.Remote, r.Path):
		l.reject(c, errNotLocal, r.Method, len(rest) > 0)
		return
	}
	read := make([]byte, 0, len(head)+len(rest))
	read = append(append(read, head...), rest...)
	c.detach()
	fd := c.fd
	c.release()
	if l.srv.handedOff.give(fd, read) {
		l.stats.HandedOff++
		return
	}
	l.stats.HandshakeErrors++
	writeRaw(fd, wire.AppendRefusal(nil, http.StatusServiceUnavailable, "too many management connections"))
	closeSocket(fd, false)
}
