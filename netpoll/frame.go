package netpoll

import (
	"encoding/binary"

	"github.com/gobwas/ws"
)

// Frame is an encoded frame, immutable and shared by all the connections that
// it is sent to.
type Frame struct {
	encoded []byte
}

// NewFrame builds an unfragmented frame and copies payload. A control frame's
// payload is at most 125 bytes (RFC 6455, 5.5); that is up to the caller.
func NewFrame(op ws.OpCode, payload []byte) *Frame {
	b := make([]byte, 0, maxServerHeader+len(payload))
	return &Frame{encoded: append(appendFrameHeader(b, op, len(payload)), payload...)}
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

// bytes is the encoded frame. Nobody may write to it.
func (f *Frame) bytes() []byte { return f.encoded }

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
