package stream

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"ws-gateway/cluster/packet"
)

// backOff says when a bus that had no room is tried again: later each time, up to retryMost, and
// not all streams at once.
type backOff struct {
	at     time.Duration // 0: it had room
	next   time.Duration // by how much it is put off at most
	random rand.PCG
}

func newBackOff(self, peer packet.Instance) backOff {
	return backOff{next: retryFirst, random: *rand.NewPCG(binary.BigEndian.Uint64(self[:]), binary.BigEndian.Uint64(peer[:]))}
}

// refused puts the next attempt off, by half of what it may be at the least.
func (b *backOff) refused(now time.Duration) {
	half := b.next / 2
	b.at = now + half + time.Duration(b.random.Uint64()%uint64(half))
	b.next = min(2*b.next, retryMost)
}

// clear is called when the bus has room.
func (b *backOff) clear() { b.at, b.next = 0, retryFirst }
