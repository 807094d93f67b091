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
