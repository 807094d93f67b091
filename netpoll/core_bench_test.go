package netpoll

import (
	"testing"

	"github.com/gobwas/ws"
)

func BenchmarkAppendFrameHeader(b *testing.B) {
	for name, n := range map[string]int{"small": 64, "medium": 4 << 10, "large": 1 << 20} {
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 0, maxServerHeader)
			b.ReportAllocs()
			for b.Loop() {
				buf = appendFrameHeader(buf[:0], ws.OpText, n)
			}
		})
	}
}

func BenchmarkNewFrame(b *testing.B) {
	payload := make([]byte, 512)
	b.ReportAllocs()
	for b.Loop() {
		NewFrame(ws.OpText, payload)
	}
}

// BenchmarkOutbox is output that the kernel takes in two pieces.
func BenchmarkOutbox(b *testing.B) {
	var o outbox
	shared := NewFrame(ws.OpText, make([]byte, 512))
	frame := shared.bytes()
	b.ReportAllocs()
	for b.Loop() {
		o.begin(frame, 100, shared)
		o.share(frame, shared)
		for o.bytes > 0 {
			o.wrote(min(len(o.next()), 300))
		}
		o.reset()
	}
}
