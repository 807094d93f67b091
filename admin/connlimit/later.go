package connlimit

import (
	"io"
	"sync/atomic"

	"ws-gateway/exchange"
)

// longestLater is the longest answer that is sent later: a command's is one line.
const longestLater = 1 << 10

// later holds an answer that has been written but not sent. The next read sends it and
// reads what comes back in a single wait (package exchange), which costs less than a write
// and a read that finds nothing.
type later struct {
	may    bool   // of the answer that is written next
	buffer []byte // of answers
	unsent []byte // in buffer
	socket exchange.Socket

	// waits says that there is an answer to be sent. As long as it is set, Limit.Shut does
	// not close the connection for having no request under way.
	waits atomic.Bool
}

// MaySendLater says that the next Write may leave its bytes to the Read or Close that
// follows. The caller must be sure that one of them follows at once.
func (c *Conn) MaySendLater() { c.later.may = true }

// keep keeps b to be sent later, if it may and can be.
func (c *Conn) keep(b []byte) bool {
	l := &c.later
	may := l.may
	l.may = false
	if !may || len(b) > longestLater {
		return false
	}
	if !l.socket.Usable() {
		l.socket.Sent = c.sent
		if l.socket.Use(c.Conn); !l.socket.Usable() {
			return false
		}
	}
	l.buffer = append(l.buffer[:0], b...)
	l.unsent = l.buffer
	l.waits.Store(true)
	return true
}

// sent notes that the answer has been sent. It returns false if the limit was shut
// meanwhile: then nothing more is read.
func (c *Conn) sent() bool {
	c.later.waits.Store(false)
	return !c.limit.closed.Load()
}

// flush sends the answer in the ordinary way.
func (c *Conn) flush() error {
	if !c.later.waits.Load() {
		return nil
	}
	_, err := c.write(c.later.unsent)
	c.later.unsent = nil
	c.later.waits.Store(false)
	return err
}

// receive sends the answer, if there is one, and reads.
func (c *Conn) receive(b []byte) (n int, err error) {
	l := &c.later
	if !l.waits.Load() {
		return c.Conn.Read(b)
	}
	sent, n, err := l.socket.Answer(l.unsent, b)
	if l.unsent = l.unsent[sent:]; len(l.unsent) == 0 {
		return n, err
	}
	// The socket is full, or the connection or its time has ended: an ordinary write tells.
	if err := c.flush(); err != nil {
		return 0, err
	}
	if c.limit.closed.Load() {
		return 0, io.EOF
	}
	return c.Conn.Read(b)
}
