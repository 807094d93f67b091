package netpoll

import (
	"testing"

	"github.com/gobwas/ws"
)

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
	frame := shared.wire.Bytes()
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
