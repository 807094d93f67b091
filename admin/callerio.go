package admin

import (
	"errors"
	"net"
	"time"

	"ws-gateway/netpoll/wire"
)

// A deadline of a socket is an instant of the wall's clock. After the process was
// stopped for a while (SIGSTOP, a virtual machine that was paused) it has passed,
// although the rest of a request may have come long ago. So it is put off by the
// time in which the process did not run, as Config.Clock has it.

// allowance is how long something may take; the zero value is no limit.
type allowance struct {
	began  time.Duration // by Config.Clock
	length time.Duration
}

func (c *caller) allow(t time.Time) allowance {
	if c.clock == nil || t.IsZero() {
		return allowance{}
	}
	return allowance{began: c.clock(), length: time.Until(t)}
}

// left is how much of it there is.
func (c *caller) left(a allowance) time.Duration {
	if c.clock == nil {
		return 0
	}
	return a.length - (c.clock() - a.began)
}

// SetReadDeadline remembers how long that is from now.
func (c *caller) SetReadDeadline(t time.Time) error {
	c.reading = c.allow(t)
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline remembers how long that is from now.
func (c *caller) SetWriteDeadline(t time.Time) error {
	c.writing = c.allow(t)
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline is both.
func (c *caller) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Read notices whose first bytes are of another protocol than HTTP.
func (c *caller) Read(b []byte) (n int, err error) {
	for {
		n, err = c.Conn.Read(b)
		if n > 0 && !c.heard {
			c.heard, c.mistaken = true, wire.Mistaken(b[:n])
		}
		if n > 0 || !timedOut(err) {
			return n, err
		}
		left := c.left(c.reading)
		if left <= 0 || c.Conn.SetReadDeadline(time.Now().Add(left)) != nil {
			return n, err
		}
	}
}

// Write writes all of b unless its time is over.
func (c *caller) Write(b []byte) (n int, err error) {
	for {
		var m int
		m, err = c.Conn.Write(b[n:])
		if n += m; !timedOut(err) {
			return n, err
		}
		left := c.left(c.writing)
		if left <= 0 || c.Conn.SetWriteDeadline(time.Now().Add(left)) != nil {
			return n, err
		}
	}
}

func timedOut(err error) bool {
	if err == nil {
		return false
	}
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
