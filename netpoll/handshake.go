package netpoll

import (
	"net/http"

	"golang.org/x/sys/unix"
)

// handshake takes bytes of a connection whose request head is not complete. A
// head that comes in one piece is read where it lies; b is overwritten.
func (l *Loop) handshake(c *Conn, b []byte) {
	in := c.in
	from := len(in.head)
	if from > 0 {
		in.head = append(in.head, b...)
		b = in.head
	}
	end := headEnd(b, from)
	if end > l.cfg.MaxHeaderBytes || end < 0 && len(b) > l.cfg.MaxHeaderBytes {
		l.refuse(c, appendRefusal(nil, http.StatusRequestHeaderFieldsTooLarge, "request head over the limit"), nil)
		return
	}
	if end >= 0 {
		l.request.Remote = in.peer
		l.decide(c, b[:end], b[end:])
		return
	}
	if e := headHopeless(b); e != nil {
		l.refuse(c, e.appendTo(nil, nil), nil)
		return
	}
	if from == 0 {
		in.head = append(in.head, b...)
	}
}

// decide answers a complete request head; rest is what came behind it.
func (l *Loop) decide(c *Conn, head, rest []byte) {
	r := &l.request
	if e := parseHead(head, r); e != nil {
		l.refuse(c, e.appendTo(nil, r.Method), rest)
		return
	}
	if !onPath(r.Path, l.cfg.Path) {
		l.handOff(c, head, rest)
		return
	}
	if e := checkUpgrade(r); e != nil {
		l.refuse(c, e.appendTo(nil, r.Method), rest)
		return
	}
	var deflate deflateParams
	if l.cfg.Compression {
		var e *HandshakeError
		if deflate, l.upgrader.extensions, e = negotiateDeflate(r); e != nil {
			l.refuse(c, e.appendTo(nil, r.Method), rest)
			return
		}
	}
	response, accepted := l.upgrader.upgrade(r, func(r *Request) Verdict { return l.open(c, r) })
	if !accepted {
		l.stats.Refused++
		l.refused(c, response, rest)
		return
	}
	l.stats.Upgraded++
	if deflate.agreed() {
		c.deflate = deflate
		l.srv.deflating[deflate.windowBits].Add(1)
	}
	in := c.in
	c.in = nil
	if c.put(response, false) == nil {
		c.decode(rest, false)
	}
	l.reclaim(in)
}

// open asks the handler, and opens the connection where it accepts.
func (l *Loop) open(c *Conn, r *Request) Verdict {
	v := l.handler.Upgrade(c, r)
	if v.Status == 0 {
		c.state = stateOpen
		l.stats.Handshaking--
		l.stats.Open++
		l.unawait(c)
	}
	return v
}

// refuse answers a request that is not even a proper one.
func (l *Loop) refuse(c *Conn, response, rest []byte) {
	l.stats.HandshakeErrors++
	l.refused(c, response, rest)
}

// refused sends the answer and ends the connection. Where more of the request may
// follow, the input is drained for a while: closing would destroy the answer.
func (l *Loop) refused(c *Conn, response, rest []byte) {
	l.stats.Handshaking--
	l.stats.Closing++
	c.state = stateLingering
	c.thenClose = rest != nil && len(rest) == 0
	l.await(c, closeDeadline)
	c.put(response, false)
}

// handOff gives a request that is not for us, with all that has been read, to
// whoever accepts from Server.HandedOff.
func (l *Loop) handOff(c *Conn, head, rest []byte) {
	r := &l.request
	var e *HandshakeError
	switch {
	case l.cfg.HandOff == nil:
		e = &HandshakeError{Status: http.StatusNotFound, Text: "not found"}
	case !l.cfg.HandOff(r.Remote, r.Path):
		e = &HandshakeError{Status: http.StatusForbidden, Text: "management is for local callers only"}
	}
	if e != nil {
		l.refuse(c, e.appendTo(nil, r.Method), rest)
		return
	}
	read := make([]byte, 0, len(head)+len(rest))
	read = append(append(read, head...), rest...)
	l.poll.control(unix.EPOLL_CTL_DEL, int(c.fd), 0, c.ID())
	fd := c.fd
	c.release()
	if l.srv.handedOff.give(fd, read) {
		l.stats.HandedOff++
		return
	}
	l.stats.HandshakeErrors++
	writeRaw(fd, appendRefusal(nil, http.StatusServiceUnavailable, "too many management connections"))
	closeSocket(fd, false)
}
