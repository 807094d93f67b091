package netpoll

import "github.com/gobwas/ws"

// Part ends the transport of an open connection with a close frame, and leaves the
// connection away, if its client can come back to it. It returns false, and has done
// nothing, if not. If the connection is away already it returns true.
//
// The transport goes on as a connection of its own, of which the Handler knows nothing: it
// completes the close handshake, behind the output that waits. What the client sends there
// does not count as received.
func (c *Conn) Part(code ws.StatusCode, reason string) bool {
	l := c.loop
	l.uncork()
	if c.state == stateAway {
		return true
	}
	if !c.mayGoAway() {
		return false
	}
	c.detach()
	rest := l.newConn(c.fd)
	c.fd = -1
	l.stats.Descriptors--
	if rest != nil { // otherwise there is no slot, and the socket has been closed
		c.giveRest(rest)
	}
	c.goAway()
	if rest != nil {
		rest.finish(newCloseFrame(code, reason))
	}
	return true
}

// giveRest gives rest, which has the descriptor, what has been read and what is to be
// written. If reading was stopped, what has been read cannot be decoded, and nothing is.
func (c *Conn) giveRest(rest *Conn) {
	l := c.loop
	l.stats.Handshaking--
	l.stats.Closing++
	rest.state, rest.interest, rest.deflate = stateClosing, detached, c.deflate
	if c.in != nil {
		c.in.msg = nil
		c.dropMessage()
	}
	if c.pause != 0 || c.in != nil && len(c.in.postponed) > 0 {
		rest.state = stateLingering
	} else {
		rest.in, c.in = c.in, nil
	}
	if c.out != nil {
		l.holders[OutboxBudget].set(&c.out.held, c.slot, 0, l.now)
		rest.out, c.out = c.out, nil
		rest.rank()
	}
}
