package forward

import (
	"testing"
	"time"
)

// typical is what a chat's client sends.
var typical = []byte(`{"event":"chat","data":{"room":"lobby","text":"hello, it is 21 °C here","at":1735689600,"tags":["a","b"]}}`)

func BenchmarkEncodeMessage(b *testing.B) {
	for name, c := range map[string]struct {
		data   []byte
		binary bool
	}{"json": {typical, false}, "text": {typical[1:], false}, "binary": {typical, true}} {
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 0, 1<<10)
			b.ReportAllocs()
			for b.Loop() {
				f := formOf(c.data, c.binary, MaxJSONDepth)
				if messageSize(&alice, c.data, f) > cap(buf) {
					b.Fatal("the buffer is too small")
				}
				buf = appendRequestID(appendMessage(buf[:0], &alice, c.data, f), &alice)
			}
		})
	}
}

func BenchmarkEncodeOpen(b *testing.B) {
	req := Request{URI: "/ws?token=abc", RemoteAddr: "203.0.113.7:5123", Origin: "https://example.org",
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"}
	buf := make([]byte, 0, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		buf = appendOpen(buf[:0], &alice, &req)
	}
}

// BenchmarkSchedulerPick is a lane's way from ready to delivered among a
// thousand that are ready.
func BenchmarkSchedulerPick(b *testing.B) {
	s := testScheduler(16)
	for _, l := range testLanes(1_000) {
		s.add(l, 0)
	}
	b.ReportAllocs()
	for b.Loop() {
		pickOne(s, time.Second)
	}
}

// BenchmarkSchedulerWaiting is the same for a lane that waits for its next attempt,
// among a thousand such.
func BenchmarkSchedulerWaiting(b *testing.B) {
	s := testScheduler(16)
	for i, l := range testLanes(1_000) {
		s.addLater(l, time.Duration(i))
	}
	now := time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		j, _ := s.next(now)
		s.ended(j.kind, Delivered, now, now)
		s.addLater(j.lane, now+1_000)
		now++
	}
}

// pickOne serves a lane, which has another event then.
func pickOne(s *scheduler, now time.Duration) {
	j, _ := s.next(now)
	s.ended(j.kind, Delivered, now, now)
	s.add(j.lane, now)
}

func TestPickingALaneAllocatesNothing(t *testing.T) {
	s := testScheduler(16)
	for i, l := range testLanes(1_000) {
		s.add(l, 0)
		s.addLater(&lane{key: uint64(1_000 + i), head: &event{}}, time.Hour)
	}
	if n := testing.AllocsPerRun(1_000, func() { pickOne(s, time.Second) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkLane is an event's way into its connection's lane and out again.
func BenchmarkLane(b *testing.B) {
	for name, others := range map[string]uint64{"alone": 0, "among 10000": 10_000} {
		b.Run(name, func(b *testing.B) {
			var tab table
			for key := range others {
				tab.add(key+1, &event{})
			}
			e := &event{}
			b.ReportAllocs()
			for b.Loop() {
				e.next = nil
				a := tab.add(0, e)
				tab.remove(a.lane)
			}
		})
	}
}
