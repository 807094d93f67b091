package bus

import "testing"

func TestAQueueDropsPacketsPastItsBoundAndKeepsWhatTheLinkDoes(t *testing.T) {
	q := NewQueue(2 * (eventBytes + 10))
	for range 3 {
		q.Put(Event{Kind: Packet, Data: make([]byte, 10)})
	}
	q.Put(Event{Kind: Absent})
	q.Put(Event{Kind: Down})
	var s Stats
	q.AddTo(&s)
	if s.Received != 2 || s.ReceivedBytes != 20 || s.Dropped != 1 || s.Unread != 3*eventBytes+20 {
		t.Errorf("%+v", s)
	}
	if events := q.Take(nil); len(events) != 3 || events[2].Kind != Down {
		t.Errorf("%v", events)
	}
	q.Put(Event{Kind: Packet, Data: make([]byte, 10)})
	if events := q.Take(nil); len(events) != 1 {
		t.Errorf("there is no room again: %v", events)
	}
}
