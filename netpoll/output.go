package netpoll

import "errors"

// Output goes one of three ways:
//
//	cork    successive small frames of one connection are gathered, and written with
//	        one system call: before another connection sends, or when the turn ends
//	socket  a larger frame is written at once
//	outbox  what the kernel does not take waits until the socket is writable

const (
	corkSize      = 16 << 10
	writesPerTurn = 4 // of one connection's outbox
)

var (
	errGone = errors.New("connection is gone")
	errSlow = errors.New("too much waits for the connection")
)

// put sends b, whole frames. If b is shared's it may be kept; otherwise it is copied.
// After an error the connection is gone, or was closed as a SlowConsumer.
func (c *Conn) put(b []byte, shared *Frame) error {
	l := c.loop
	l.stats.FramesOut++
	if l.corked != c || len(l.cork)+len(b) > cap(l.cork) {
		was := c.state
		l.uncork()
		if c.state != was { // the connection that was corked broke, and the Handler ended this one too
			return errGone
		}
	}
	switch {
	case c.out != nil:
		return c.enqueue(b, shared)
	case len(b) > cap(l.cork):
		return c.transmit(b, shared)
	}
	l.corked = c
	l.cork = append(l.cork, b...)
	return nil
}

// enqueue appends b to the outbox, unless too much would wait.
func (c *Conn) enqueue(b []byte, shared *Frame) error {
	l := c.loop
	if c.state == stateOpen && c.out.bytes-c.out.again+len(b) > l.cfg.MaxPendingBytes && !l.sendingAgain {
		c.Close(SlowConsumer, statusPolicy, "slow consumer")
		return errSlow
	}
	l.stats.PendingBytes += int64(len(b))
	if shared != nil && len(b) >= ownedChunk {
		c.out.share(b, shared)
	} else {
		c.out.copy(b)
	}
	c.rank()
	return nil
}

// uncork writes what the cork holds.
func (l *Loop) uncork() {
	c := l.corked
	if c == nil {
		return
	}
	l.corked = nil
	b := l.cork
	l.cork = l.cork[:0]
	c.transmit(b, nil)
}

// transmit writes b, while nothing waits, and keeps what the kernel does not take.
func (c *Conn) transmit(b []byte, shared *Frame) error {
	written := 0
	for written < len(b) {
		n, errno := c.write(b[written:])
		if wouldBlock(errno) {
			break
		}
		if errno != 0 {
			c.broken()
			return errGone
		}
		written += n
	}
	if written < len(b) {
		c.keep(b, written, shared)
		return nil
	}
	c.flushed()
	return nil
}

// keep makes the rest of b wait in an outbox.
func (c *Conn) keep(b []byte, written int, shared *Frame) {
	l := c.loop
	c.out = l.getOutbox()
	c.out.begin(b, written, shared)
	l.stats.PendingBytes += int64(c.out.bytes)
	c.rank()
	c.expectProgress()
	c.watch()
}

// expectProgress restarts the write deadline. Progress is that bytes leave the
// kernel: a socket becomes writable only when a good part of its buffer is free,
// which takes a slow client long.
func (c *Conn) expectProgress() {
	if c.state == stateOpen {
		c.out.unsent = unsent(c.fd)
		c.loop.await(c, writeDeadline)
	}
}

// stalled closes the connection, whose write deadline has passed, unless it has made
// progress.
func (c *Conn) stalled() {
	if unsent(c.fd) < c.out.unsent {
		c.expectProgress()
		return
	}
	c.Close(SlowConsumer, statusPolicy, "slow consumer")
}

// writable writes from the outbox, a few times at most.
func (c *Conn) writable() {
	l := c.loop
	for range writesPerTurn {
		n, errno := c.write(c.out.next())
		if wouldBlock(errno) {
			break
		}
		if errno != 0 {
			c.broken()
			return
		}
		c.out.wrote(n)
		c.rank()
		l.stats.PendingBytes -= int64(n)
		if c.out.bytes == 0 {
			l.putOutbox(c)
			if c.state == stateOpen {
				l.unawait(c)
			}
			c.watch()
			c.flushed()
			return
		}
	}
	c.expectProgress()
}

// flushed ends a lingering connection when the kernel has all its output.
func (c *Conn) flushed() {
	if c.state != stateLingering {
		return
	}
	if c.thenClose {
		c.destroy(false)
		return
	}
	shutdownWrite(c.fd) // the peer sees our last bytes and the end of the stream, whatever it still sends
}

func (l *Loop) getOutbox() *outbox {
	if n := len(l.outboxes); n > 0 {
		o := l.outboxes[n-1]
		l.outboxes = l.outboxes[:n-1]
		return o
	}
	return &outbox{budget: l.holders[OutboxBudget].budget}
}

// rank updates what the connection holds of OutboxBudget.
func (c *Conn) rank() {
	c.loop.holders[OutboxBudget].set(&c.out.held, c.slot, c.out.weight, c.loop.now)
}

// putOutbox takes c's outbox back.
func (l *Loop) putOutbox(c *Conn) {
	o := c.out
	c.out = nil
	l.stats.PendingBytes -= int64(o.bytes)
	o.reset()
	l.holders[OutboxBudget].set(&o.held, c.slot, 0, l.now)
	if len(l.outboxes) < maxPooled {
		l.outboxes = append(l.outboxes, o)
	}
}
