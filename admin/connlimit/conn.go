package connlimit

import (
	"io"
	"net"
	"time"

	"ws-gateway/admin/access"
	"ws-gateway/netpoll/wire"
)

// Conn is a connection within a limit.
type Conn struct {
	net.Conn
	Peer    access.Peer   // immutable, like the following
	Evicted chan struct{} // closed when it is ended for another; nil without Config.Any
	nth     uint64        // in the order in which connections came
	clock   func() time.Duration
	limit   *Limit

	// Guarded by the limit's mu.
	removed bool          // it does not count any more
	ended   chan struct{} // of an evicted one: closed when its goroutine ends
	busy    bool          // a request is under way
	held    bool          // it cannot be evicted

	// For the connection's goroutine only.
	Unread   bool                 // a request's body was left unread
	Mistaken *wire.HandshakeError // the first bytes were of another protocol than HTTP; nil: they were not
	heard    bool                 // something has been read

	reading, writing allowance
	later            later
}

const (
	lingerTime  = time.Second
	lingerBytes = 16 << 20
)

// Close ends the connection, for the goroutine that serves it. If an answer waits it is
// sent. If a body was left unread,
// what the client is still sending is read for a while: closing a socket with unread bytes
// resets the connection, and the client might never read why its request was refused.
func (c *Conn) Close() error {
	c.flush() // if it fails the connection has ended
	if c.Unread {
		if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
			half.CloseWrite()
		}
		c.Conn.SetReadDeadline(time.Now().Add(lingerTime))
		io.CopyN(io.Discard, c.Conn, lingerBytes)
	}
	return c.Conn.Close()
}
