package netpoll

// A connection that sends no request head, or a byte of it now and then, costs little
// but a descriptor, for HandshakeTimeout. If others need its place it is closed at
// once. The oldest goes first: an honest client sends its head as soon as it has
// connected.

const (
	shedAtOnce = 128 // handshakes that each loop ends if descriptors are short
	shedAge    = 2   // ticks: a handshake has at least a second
)

// makeRoom ends the oldest handshakes, until there is room for one more.
func (l *Loop) makeRoom() {
	for l.stats.Handshaking >= l.maxHandshakes {
		l.dropOldest()
	}
}

// shed ends old handshakes, since descriptors are short.
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

// dropOldest ends the handshake that began first, unless the rest of its head has
// arrived and was only not read yet.
func (l *Loop) dropOldest() {
	c := l.conns.At(l.deadlines[handshakeDeadline].head)
	l.readable(c)
	if c.state == stateHandshake {
		l.stats.HandshakeDrops++
		c.destroy(true)
	}
}
