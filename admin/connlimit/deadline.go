package connlimit

import (
	"errors"
	"net"
	"time"

	"ws-gateway/netpoll/wire"
)

// A socket's deadline is an instant of the wall's clock. If the process is stopped for a
// while (SIGSTOP, a virtual machine that is paused), the deadline passes although the rest
// of a request may be here. So it is put off by the time in which the process did not run,
// according to Config.Clock.
//
// To set a socket's deadline takes longer than to compare two times, and a server sets three
// for each request. So a socket's deadline that comes earlier than what is allowed stays: if
// it passes first, it is put off likewise.

// allowance is the time that something may take; without a clock, or a limit, only the
// socket's deadline counts.
type allowance struct {
	began  time.Duration // by Config.Clock
	length time.Duration
	socket time.Time // the socket's deadline; zero: it has none
}

// set makes t the deadline, and reports whether it must be the socket's.
func (a *allowance) set(t time.Time, clock func() time.Duration) (arm bool) {
	a.began, a.length = 0, 0
	if clock != nil && !t.IsZero() {
		a.began, a.length = clock(), time.Until(t)
		if !a.socket.IsZero() && !t.Before(a.socket) {
			return false
		}
	}
	a.socket = t
	return true
}

// rest is the socket's deadline for what is left of the time.
func (a *allowance) rest(left time.Duration) time.Time {
	a.socket = time.Now().Add(left)
	return a.socket
}

// left is what remains of it.
func (c *Conn) left(a *allowance) time.Duration {
	if c.clock == nil {
		return 0
	}
	return a.length - (c.clock() - a.began)
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if !c.reading.set(t, c.clock) {
		return nil
	}
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if !c.writing.set(t, c.clock) {
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Read implements net.Conn. If an answer waits it is sent first. Read recognises other protocols than HTTP by their first bytes.
func (c *Conn) Read(b []byte) (n int, err error) {
	for {
		n, err = c.receive(b)
		if n > 0 && !c.heard {
			c.heard, c.Mistaken = true, wire.Mistaken(b[:n])
		}
		if n > 0 || !timedOut(err) {
			return n, err
		}
		left := c.left(&c.reading)
		if left <= 0 || c.Conn.SetReadDeadline(c.reading.rest(left)) != nil {
			return n, err
		}
	}
}

// Write implements net.Conn. It writes all of b unless its time is over, or keeps it for the
// next Read, see MaySendLater.
func (c *Conn) Write(b []byte) (n int, err error) {
	if err := c.flush(); err != nil {
		return 0, err
	}
	if c.keep(b) {
		return len(b), nil
	}
	return c.write(b)
}

func (c *Conn) write(b []byte) (n int, err error) {
	for {
		var m int
		m, err = c.Conn.Write(b[n:])
		if n += m; !timedOut(err) {
			return n, err
		}
		left := c.left(&c.writing)
		if left <= 0 || c.Conn.SetWriteDeadline(c.writing.rest(left)) != nil {
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
