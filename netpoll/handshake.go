package netpoll

import (
	"net/http"
	"time"

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
		c.weighHead()
	}
	if e := Mistaken(b); e != nil {
		l.refuse(c, e.appendTo(nil, nil), nil)
		return
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
		c.weighHead()
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
	l.conclude(c, head, rest, func(r *Request) Verdict { return l.handler.Upgrade(c, r) })
}

// conclude answers a valid opening handshake, which is l.request, as decide says.
func (l *Loop) conclude(c *Conn, head, rest []byte, decide func(*Request) Verdict) {
	r := &l.request
	deflate, extensions, e := negotiateDeflate(r)
	if e != nil {
		l.refuse(c, e.appendTo(nil, r.Method), rest)
		return
	}
	if !l.cfg.Compression {
		deflate, extensions = deflateParams{}, ""
	}
	l.upgrader.extensions = extensions
	pending := false
	response, accepted := l.upgrader.upgrade(r, func(r *Request) Verdict {
		v := decide(r)
		pending = v.Pending
		return v
	})
	switch {
	case pending:
		l.park(c, head, rest)
	case accepted:
		l.open(c, deflate, response, rest)
	default:
		l.stats.Refused++
		l.refused(c, response, rest)
	}
}

// open opens a connection that the handler has accepted.
func (l *Loop) open(c *Conn, deflate deflateParams, response, rest []byte) {
	l.decided(c)
	c.state = stateOpen
	l.stats.Open++
	l.stats.Upgraded++
	l.stats.Handshakes.observe(time.Since(c.in.since))
	l.unawait(c)
	c.deflate = deflate
	if deflate.agreed() {
		l.srv.deflating[deflate.windowBits].Add(1)
	}
	in := c.in
	c.in = nil
	if c.put(response, nil) == nil {
		c.decode(rest)
		c.watch()
	}
	l.reclaim(in)
}

// park keeps a handshake until Decide. It is not read meanwhile: what the client
// sends early waits in the kernel, behind what came with the head.
func (l *Loop) park(c *Conn, head, rest []byte) {
	in := c.in
	if len(in.head) == 0 {
		in.head = append(append(in.head, head...), rest...)
	}
	in.end = len(head)
	c.weighHead()
	l.stats.Handshaking--
	l.stats.Parked++
	c.state = stateParked
	l.unawait(c)
	c.watch()
}

// Decide brings the verdict that Handler.Upgrade had postponed for the connection
// that id names. It returns false where that has gone away meanwhile, in which case
// the verdict means nothing. Otherwise it is as if Upgrade had returned v. Loop goroutine only, and not from within a Handler method.
func (l *Loop) Decide(id ID, v Verdict) bool {
	c := l.parked(id)
	if c == nil {
		return false
	}
	in := c.in
	head, rest := in.head[:in.end], in.head[in.end:]
	l.request.Remote = in.peer
	if e := parseHead(head, &l.request); e != nil {
		panic("BUG: a parked head does not parse: " + e.Text)
	}
	v.Pending = false
	l.conclude(c, head, rest, func(*Request) Verdict { return v })
	return true
}

// Parked reports whether the handshake that id names still waits for Decide.
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

// decided counts a handshake that ends, in whichever way.
func (l *Loop) decided(c *Conn) {
	if c.state == stateParked {
		l.stats.Parked--
	} else {
		l.stats.Handshaking--
	}
}

// refuse answers a request that is not even a proper one.
func (l *Loop) refuse(c *Conn, response, rest []byte) {
	l.stats.HandshakeErrors++
	l.refused(c, response, rest)
}

// refused sends the answer and ends the connection. Where more of the request may
// follow, the input is drained for a while: closing would destroy the answer.
func (l *Loop) refused(c *Conn, response, rest []byte) {
	l.decided(c)
	c.letGo()
	l.stats.Closing++
	c.state = stateLingering
	c.watch()
	c.thenClose = rest != nil && len(rest) == 0
	l.await(c, closeDeadline)
	c.put(response, nil)
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
