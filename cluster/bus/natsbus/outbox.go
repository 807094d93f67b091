package natsbus

import "sync"

// outgoing is a packet to be published.
type outgoing struct {
	to     [8]byte
	packet []byte
}

// outbox is what waits for the goroutine that publishes. Make it with newOutbox.
type outbox struct {
	changed *sync.Cond

	mu      sync.Mutex // guards following
	up      bool
	closed  bool
	waiting []outgoing
	bytes   int // of those that wait
	taken   int // and of those that take has returned last
}

func newOutbox() *outbox {
	o := new(outbox)
	o.changed = sync.NewCond(&o.mu)
	return o
}

// put returns false if the link is down, or too much waits.
func (o *outbox) put(out outgoing) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.up || o.closed || o.bytes+o.taken+len(out.packet) > maxWaiting {
		return false
	}
	o.waiting = append(o.waiting, out)
	o.bytes += len(out.packet)
	o.changed.Signal()
	return true
}

// take waits for packets, and returns all that there are in place of those that it
// returned before. Without packets there are no more.
func (o *outbox) take(before []outgoing) (packets []outgoing) {
	clear(before)
	if cap(before) > keptPackets {
		before = nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.taken = 0
	for len(o.waiting) == 0 && !o.closed {
		o.changed.Wait()
	}
	packets, o.waiting = o.waiting, before[:0]
	o.taken, o.bytes = o.bytes, 0
	return packets
}

// keptPackets is for how many packets room is kept.
const keptPackets = 1024

// setUp says that the link is up or down. Returns how many packets are dropped for it.
func (o *outbox) setUp(up bool) (dropped int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.up = up
	if !up {
		dropped = len(o.waiting)
		clear(o.waiting)
		o.waiting, o.bytes = o.waiting[:0], 0
	}
	return dropped
}

// close lets take return what there is, and then nothing.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.changed.Signal()
}

// state returns whether the link is up, and how many bytes wait.
func (o *outbox) state() (up bool, bytes int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.up && !o.closed, int64(o.bytes + o.taken)
}
