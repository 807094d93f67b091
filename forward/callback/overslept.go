package callback

import (
	"net"
	"time"
)

// A socket's deadline is an instant of the wall's clock. If the process was stopped
// across it (SIGSTOP, a paused virtual machine) it has passed when the process goes on,
// and the runtime reads no more, although the answer may have come long ago. So an
// answer is given up only if the time in which the process ran is over, by Client.Clock,
// and nothing has come.

// patientReader reads the client's connection as long as its time is not over.
type patientReader struct {
	client *Client
	conn   net.Conn
}

func (r *patientReader) Read(b []byte) (n int, err error) {
	if r.client.unsent {
		n, err = r.client.sendAndRead(b)
	} else {
		n, err = r.conn.Read(b)
	}
	for n == 0 && IsTimeout(err) && !unanswerable(r.client.wrote) && r.client.overslept() {
		n, err = r.conn.Read(b)
	}
	return n, err
}

// allowance is how long an exchange may take.
type allowance struct {
	began  time.Duration // by Client.Clock
	length time.Duration
	looked bool // for what has come although the time is over
}

// allow notes the deadline that has just been set.
func (c *Client) allow(length time.Duration) {
	if c.Clock != nil {
		c.allowed = allowance{began: c.Clock(), length: length}
	}
}

// overslept puts the deadline off if there is a reason: the process did not run for
// part of the time, or something has come meanwhile.
func (c *Client) overslept() bool {
	if c.Clock == nil {
		return false
	}
	left := c.allowed.length - (c.Clock() - c.allowed.began)
	if left <= 0 {
		if c.allowed.looked || !c.unasked.has() {
			return false
		}
		c.allowed.looked, left = true, restLimit
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut || c.conn == nil {
		return false
	}
	c.until = time.Now().Add(left)
	return c.conn.SetDeadline(c.until) == nil
}
