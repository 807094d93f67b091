package netpoll

import (
	"math"
	"sync/atomic"

	"github.com/gobwas/ws"

	"ws-gateway/netpoll/wire"
)

// Frame is an encoded frame. It is immutable, and all connections that it is sent
// to share it.
type Frame struct {
	wire    wire.Frame
	escaped *Frame // for clients that would take it for one about the session; see Server.Prepare
	meant   int32  // how many connections it is for; see For

	// waiting is how many outboxes hold it. A frame that is written at once never
	// touches it.
	waiting atomic.Int32

	keepers atomic.Int32 // how many connections keep it for sending again
	number  uint32       // see exporter.number
}

// NewFrame builds an unfragmented frame and copies payload. A control frame's
// payload is at most 125 bytes (RFC 6455, 5.5), which the caller must check.
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

// For says how many connections f is for; the default is one. If OutboxBudget is
// exceeded, f counts as that fraction of its size for each of them. It must be
// called before f is sent.
func (f *Frame) For(connections int) {
	f.meant = int32(min(connections, math.MaxInt32))
	if f.escaped != nil {
		f.escaped.meant = f.meant
	}
}

func (f *Frame) targets() int64 { return max(1, int64(f.meant)) }

// forResumable is f as a client gets it whose session can be resumed.
func (f *Frame) forResumable() *Frame {
	op, payload := f.Payload()
	switch {
	case !needsEscape(op, payload):
		return f
	case f.escaped != nil:
		return f.escaped
	default:
		return NewFrame(op, escaped(payload))
	}
}

// retain counts f's memory in b if no other outbox holds f.
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
