package stream

import (
	"testing"
	"time"

	"ws-gateway/cluster/packet"
)

// While a bus has no room whatever happens costs an attempt now and then, however many streams
// there are and however much is sent and received.
func TestABusWithoutRoomIsTriedMoreAndMoreRarely(t *testing.T) {
	n := newNetwork(t, 1)
	n.run(100 * time.Millisecond)
	e := n.ends[0]
	e.full = true
	before := e.Stats()
	for range 1000 {
		n.send(0)
		n.send(1)
		n.run(time.Millisecond)
	}
	if tried := e.Stats().Refused - before.Refused; tried < 5 || tried > 20 {
		t.Errorf("%d attempts in a second", tried)
	}
	e.full = false
	n.run(retryMost)
	if e.Stats().Transmitted == before.Transmitted {
		t.Errorf("nothing is transmitted for %v after there is room", retryMost)
	}
	e.full = true
	before = e.Stats()
	n.send(0)
	n.run(retryFirst)
	if tried := e.Stats().Refused - before.Refused; tried < 2 {
		t.Errorf("%d attempts in the first %v", tried, retryFirst)
	}
	e.full = false
	n.run(2 * time.Second)
	n.audit()
}

// All streams of an instance find that its bus has no room at the same moment. They do not all
// come back at one.
func TestAttemptsOfSeveralStreamsAreSpread(t *testing.T) {
	at := map[time.Duration]bool{}
	for i := range byte(100) {
		b := newBackOff(packet.Instance{1}, packet.Instance{2, i})
		for range 10 {
			before := b.next
			b.refused(time.Second)
			if after := b.at - time.Second; after < before/2 || after >= before || b.next > retryMost {
				t.Fatalf("it is tried again after %v, then %v, want half of %v to all of it", after, b.next, before)
			}
		}
		at[b.at] = true
	}
	if len(at) < 90 {
		t.Errorf("100 streams come back at %d moments", len(at))
	}
}
