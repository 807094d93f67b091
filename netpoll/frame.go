package netpoll

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/gobwas/ws"
)

// Frame is an encoded frame, immutable and shared by all the connections that
// it is sent to.
type Frame struct {
	encoded []byte
	header  int                        // bytes of it
	packed  *[maxWindowBits + 1][]byte // compressed, by the window's bits; see Server.Compress
	meant   int64                      // connections that it is for; see For

	// waiting counts the outboxes that it is in. It is touched only where output
	// waits, never by what is written at once.
	waiting atomic.Int32
}

// For says that f, which must not have been sent yet, is for so many connections:
// where output has to give way, each of them answers for its share. Without it, f
// is taken to be for one.
func (f *Frame) For(connections int) { f.meant = int64(connections) }

func (f *Frame) targets() int64 { return max(1, f.meant) }

// retain counts f's memory once, however many connections it waits for.
func (f *Frame) retain(b *budget) {
	if f.waiting.Add(1) == 1 {
		b.add(f.memory())
	}
}

func (f *Frame) release(b *budget) {
	if f.waiting.Add(-1) == 0 {
		b.add(-f.memory())
	}
}

func (f *Frame) memory() int64 {
	n := cap(f.encoded)
	if f.packed != nil {
		for _, b := range f.packed {
			n += cap(b)
		}
	}
	return int64(n)
}

// NewFrame builds an unfragmented frame and copies payload. A control frame's
// payload is at most 125 bytes (RFC 6455, 5.5); that is up to the caller.
func NewFrame(op ws.OpCode, payload []byte) *Frame {
	b := appendFrameHeader(make([]byte, 0, maxServerHeader+len(payload)), op, len(payload))
	return &Frame{encoded: append(b, payload...), header: len(b)}
}

// NewCloseFrame builds a close frame. Reason is cut at a rune boundary to 123
// bytes. Code 1005 stands for a close frame without code and reason (RFC 6455,
// 7.1.5), and is never sent itself.
func NewCloseFrame(code ws.StatusCode, reason string) *Frame {
	if code == ws.StatusNoStatusRcvd {
		return NewFrame(ws.OpClose, nil)
	}
	payload := make([]byte, 0, ws.MaxControlFramePayloadSize)
	payload = binary.BigEndian.AppendUint16(payload, uint16(code))
	return NewFrame(ws.OpClose, append(payload, cutReason(reason)...))
}

// Len is the size of the encoded frame in bytes.
func (f *Frame) Len() int { return len(f.encoded) }

// Payload is the frame's opcode and its payload, to be read only.
func (f *Frame) Payload() (ws.OpCode, []byte) {
	return ws.OpCode(f.encoded[0] & 0x0f), f.encoded[f.header:]
}

// bytes is the encoded frame. Nobody may write to it.
func (f *Frame) bytes() []byte { return f.encoded }

func (f *Frame) isControl() bool { return ws.OpCode(f.encoded[0] & 0x0F).IsControl() }

// bytesFor is the encoded frame for a connection that agreed on p: compressed, if
// it has been packed for such.
func (f *Frame) bytesFor(p deflateParams) []byte {
	if f.packed != nil && p.agreed() {
		if b := f.packed[p.alike(len(f.encoded)-f.header).windowBits]; b != nil {
			return b
		}
	}
	return f.encoded
}

// pack adds the compressed form for connections that agreed on p, unless it would
// not be shorter. The frame must not have been sent yet.
func (f *Frame) pack(d *deflater, p deflateParams) {
	payload := f.encoded[f.header:]
	p = p.alike(len(payload))
	if f.packed == nil {
		f.packed = new([maxWindowBits + 1][]byte)
	}
	if f.packed[p.windowBits] == nil {
		f.packed[p.windowBits] = packedFrame(nil, d, p, ws.OpCode(f.encoded[0]&0x0F), payload)
	}
}

// packedFrame appends a frame with the compressed payload to dst; nil where that
// would not be shorter.
func packedFrame(dst []byte, d *deflater, p deflateParams, op ws.OpCode, payload []byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, maxServerHeader)...) // the header's length follows from the payload's
	dst, ok := d.append(dst, payload, p)
	if !ok {
		return nil
	}
	packed := dst[start+maxServerHeader:]
	header := appendFrameHeader(dst[start:start:start+maxServerHeader], op, len(packed))
	header[0] |= rsv1 << 4
	return append(dst[:start+len(header)], packed...)
}

// maxServerHeader is the size of the longest header of an unmasked frame.
const maxServerHeader = 10

// appendFrameHeader appends the header of an unfragmented, unmasked frame with
// n bytes of payload.
func appendFrameHeader(dst []byte, op ws.OpCode, n int) []byte {
	first := 0x80 | byte(op)
	switch {
	case n <= 125:
		return append(dst, first, byte(n))
	case n <= 0xFFFF:
		return binary.BigEndian.AppendUint16(append(dst, first, 126), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, first, 127), uint64(n))
	}
}

// serverFrameLen returns the size, header included, of the frame that starts at
// b[0], which appendFrameHeader began; b need not hold all of it. ok is false
// where b ends within the header.
func serverFrameLen(b []byte) (n int, ok bool) {
	if len(b) < 2 {
		return 0, false
	}
	switch length := int(b[1]); {
	case length <= 125:
		return 2 + length, true
	case length == 126 && len(b) >= 4:
		return 4 + int(binary.BigEndian.Uint16(b[2:])), true
	case length == 127 && len(b) >= maxServerHeader:
		return maxServerHeader + int(binary.BigEndian.Uint64(b[2:])), true
	default:
		return 0, false
	}
}
