package hub

import (
	"testing"

	"ws-gateway/netpoll"
)

func BenchmarkAppendID(b *testing.B) {
	in, buf := newInstance(), make([]byte, 0, idChars)
	b.ReportAllocs()
	for b.Loop() {
		buf = in.appendID(buf[:0], netpoll.MakeID(1, 2, 3))
	}
}

func BenchmarkParseID(b *testing.B) {
	in := newInstance()
	text := string(in.appendID(nil, netpoll.MakeID(1, 2, 3)))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := in.parseID(text); !ok {
			b.Fatal("not parsed")
		}
	}
}

func TestReadingAnIDAllocatesNothing(t *testing.T) {
	in := newInstance()
	text := string(in.appendID(nil, netpoll.MakeID(1, 2, 3)))
	if n := testing.AllocsPerRun(100, func() { in.parseID(text) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkWheelSet is a ping among 100,000 sessions.
func BenchmarkWheelSet(b *testing.B) {
	const sessions = 100_000
	w := armed(sessions, 75)
	slot := uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		slot = (slot + 7919) % sessions
		w.Set(slot, 75)
	}
}

// BenchmarkWheelSecond is a second of 10,000 sessions, of which a 75th is looked
// at and put forward.
func BenchmarkWheelSecond(b *testing.B) {
	w := armed(10_000, 75)
	fire := func(slot uint32) { w.Set(slot, w.now+75) }
	b.ReportAllocs()
	for b.Loop() {
		for now := w.now + 1; w.Advance(now, wheelBudget, fire); {
		}
	}
}
