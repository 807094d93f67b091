package netpoll

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestDeadlineTicksNeverFallShortOfTheDuration(t *testing.T) {
	for d, want := range map[time.Duration]uint32{1: 2, time.Second: 2, time.Second + 1: 3, 10 * time.Second: 11} {
		if got := ticksFor(d); got != want {
			t.Errorf("%v: %d ticks, want %d", d, got, want)
		}
	}
}

// A model: what is in which queue since when.
func TestDeadlineQueuesAgreeWithAModel(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	l := &Loop{}
	for kind := range l.deadlines {
		l.deadlines[kind] = deadlineQueue{head: noSlot, tail: noSlot, after: uint32(kind) * 3}
	}
	const conns = 200
	l.conns.Grow(0)
	type entry struct {
		kind deadlineKind
		due  uint32
	}
	model := map[uint32]entry{}
	for slot := range uint32(conns) {
		l.conns.At(slot).slot = slot
	}
	for range 20_000 {
		slot := random.Uint32N(conns)
		switch random.IntN(10) {
		case 0:
			l.now++
		case 1, 2:
			l.unawait(l.conns.At(slot))
			delete(model, slot)
		default:
			kind := deadlineKind(1 + random.IntN(int(deadlineKinds)-1))
			l.await(l.conns.At(slot), kind)
			model[slot] = entry{kind, l.now + l.deadlines[kind].after}
		}
	}
	found := 0
	for kind := handshakeDeadline; kind < deadlineKinds; kind++ {
		prev, due := noSlot, uint32(0)
		for slot := l.deadlines[kind].head; slot != noSlot; slot = l.conns.At(slot).deadline.next {
			d := l.conns.At(slot).deadline
			if model[slot] != (entry{kind, d.due}) || d.prev != prev || d.due < due {
				t.Fatalf("slot %d: %+v behind slot %d, the model says %+v", slot, d, prev, model[slot])
			}
			prev, due = slot, d.due
			found++
		}
		if l.deadlines[kind].tail != prev {
			t.Errorf("queue %d ends elsewhere", kind)
		}
	}
	if found != len(model) {
		t.Errorf("%d connections are queued, %d should be", found, len(model))
	}
}

// auditDeadlines walks the queues of a loop.
func auditDeadlines(t *testing.T, l *Loop) {
	t.Helper()
	queued := 0
	for kind := handshakeDeadline; kind < deadlineKinds; kind++ {
		prev, due := noSlot, uint32(0)
		for slot := l.deadlines[kind].head; slot != noSlot && queued <= int(l.slots); queued++ {
			d := &l.conns.At(slot).deadline
			if d.kind != kind || d.prev != prev || d.due < due {
				t.Errorf("queue %d, slot %d: %+v behind slot %d, due %d", kind, slot, *d, int32(prev), due)
				return
			}
			prev, due, slot = slot, d.due, d.next
		}
		if l.deadlines[kind].tail != prev {
			t.Errorf("queue %d ends with %d, its tail is %d", kind, int32(prev), int32(l.deadlines[kind].tail))
		}
	}
	for slot := range l.slots {
		if l.conns.At(slot).deadline.kind != noDeadline {
			queued--
		}
	}
	if queued != 0 {
		t.Errorf("%d connections in queues that wait for nothing", queued)
	}
}
