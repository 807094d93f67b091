package netpoll

// A connection that sends no request head, or one byte of it now and then, costs
// little but its descriptor, and that it can keep for HandshakeTimeout. When it
// gets in the way of others it goes at once: the oldest first, since the head of
// an honest client follows its connection closely.

const (
	shedAtOnce = 128 // handshakes that a shortage of descriptors ends, for each loop
	shedAge    = 2   // ticks, so that a handshake has had at least a second
)

// makeRoom ends the oldest handshakes until one more may begin.
func (l *Loop) makeRoom() {
	for l.stats.Handshaking >= l.maxHandshakes {
		l.dropOldest()
	}
}

// shed ends handshakes that have had their time, since descriptors are short.
func (l *Loop) shed() (more bool) {
	q := &l.deadlines[handshakeDeadline]
	for range shedAtOnce {
		if q.head == noSlot {
			break
		}
		began := l.conns.At(q.head).deadline.due - q.after
		if l.now-began < shedAge {
			break
		}
		l.dropOldest()
	}
	return false
}

// dropOldest ends the handshake that began first, unless what is missing of its
// head has arrived meanwhile and nobody has come to read it yet.
func (l *Loop) dropOldest() {
	c := l.conns.At(l.deadlines[handshakeDeadline].head)
	l.readable(c)
	if c.state == stateHandshake {
		l.stats.HandshakeDrops++
		c.destroy(true)
	}
}
