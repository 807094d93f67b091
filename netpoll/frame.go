package netpoll

import (
	"sync/atomic"

	"github.com/gobwas/ws"

	"ws-gateway/netpoll/wire"
)

// Frame is an encoded frame, immutable and shared by all the connections that
// it is sent to.
type Frame struct {
	wire  wire.Frame
	meant int64 // connections that it is for; see For

	// waiting counts the outboxes that it is in. It is touched only if output
	// waits, never by what is written at once.
	waiting atomic.Int32
}

// NewFrame builds an unfragmented frame and copies payload. A control frame's
// payload is at most 125 bytes (RFC 6455, 5.5); that is up to the caller.
func NewFrame(op ws.OpCode, payload []byte) *Frame {
	return &Frame{wire: wire.EncodeFrame(op, payload)}
}

func newCloseFrame(code ws.StatusCode, reason string) *Frame {
	return &Frame{wire: wire.EncodeCloseFrame(code, reason)}
}

// Len is the size of the encoded frame in bytes.
func (f *Frame) Len() int { return f.wire.Len() }

// Payload is the frame's opcode and its payload, to be read only.
func (f *Frame) Payload() (ws.OpCode, []byte) { return f.wire.OpCode(), f.wire.Payload() }

// For says that f, which must not have been sent yet, is for so many connections:
// if output has to give way, each of them answers for its share. Without it, f is
// taken to be for one.
func (f *Frame) For(connections int) { f.meant = int64(connections) }

func (f *Frame) targets() int64 { return max(1, f.meant) }

// retain counts f's memory once, however many connections it waits for.
func (f *Frame) retain(b *budget) {
	if f.waiting.Add(1) == 1 {
		b.add(int64(f.wire.Memory()))
	}
}

func (f *Frame) release(b *budget) {
	if f.waiting.Add(-1) == 0 {
		b.add(-int64(f.wire.Memory()))
	}
}
