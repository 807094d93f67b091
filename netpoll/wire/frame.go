package wire

import (
	"encoding/binary"
	"slices"
	"unsafe"

	"github.com/gobwas/ws"
)

// Frame is an encoded frame from server to client, and its compressed forms.
type Frame struct {
	encoded []byte
	header  int                        // bytes of it
	packed  *[MaxWindowBits + 1][]byte // compressed, by the window's bits; see Compress
}

// EncodeFrame encodes an unfragmented frame and copies payload. A control frame's
// payload is at most 125 bytes (RFC 6455, 5.5), which the caller must check.
func EncodeFrame(op ws.OpCode, payload []byte) Frame {
	b := slices.Grow([]byte(nil), MaxServerHeader+len(payload)) // all that the allocator gives counts in Memory
	b = AppendFrameHeader(b, op, len(payload))
	return Frame{encoded: append(b, payload...), header: len(b)}
}

// EncodeCloseFrame encodes a close frame. It cuts reason at a rune boundary to 123
// bytes. Code 1005 stands for a close frame without code and reason (RFC 6455,
// 7.1.5), and is never sent itself.
func EncodeCloseFrame(code ws.StatusCode, reason string) Frame {
	if code == ws.StatusNoStatusRcvd {
		return EncodeFrame(ws.OpClose, nil)
	}
	payload := make([]byte, 0, ws.MaxControlFramePayloadSize)
	payload = binary.BigEndian.AppendUint16(payload, uint16(code))
	return EncodeFrame(ws.OpClose, append(payload, CutReason(reason)...))
}

// FrameOf returns a Frame that is encoded already. It keeps encoded.
func FrameOf(encoded []byte) Frame { return Frame{encoded: encoded, header: headerLen(encoded)} }

// Len is the size of the encoded frame in bytes.
func (f *Frame) Len() int { return len(f.encoded) }

// OpCode is the frame's opcode.
func (f *Frame) OpCode() ws.OpCode { return ws.OpCode(f.encoded[0] & 0x0F) }

// Payload is the frame's payload, to be read only.
func (f *Frame) Payload() []byte { return f.encoded[f.header:] }

// Bytes is the encoded frame, to be read only.
func (f *Frame) Bytes() []byte { return f.encoded }

// BytesFor is the frame as it is sent to a connection that agreed on p: compressed, if
// Compress was called for p and made it shorter.
func (f *Frame) BytesFor(p DeflateParams) []byte {
	if f.packed != nil && p.Agreed() {
		if b := f.packed[p.alike(len(f.encoded)-f.header).WindowBits]; len(b) > 0 {
			return b
		}
	}
	return f.encoded
}

// Memory is how many bytes of memory the frame and its compressed forms take.
func (f *Frame) Memory() int {
	n := cap(f.encoded)
	if f.packed != nil {
		n += int(unsafe.Sizeof(*f.packed))
		for _, b := range f.packed {
			n += cap(b)
		}
	}
	return n
}

// Compress adds the compressed form for connections that agreed on p, unless it
// would not be shorter. Nobody else may use f meanwhile.
func (f *Frame) Compress(d *Deflater, p DeflateParams) {
	payload := f.Payload()
	p = p.alike(len(payload))
	if f.packed == nil {
		f.packed = new([MaxWindowBits + 1][]byte)
	}
	if len(f.packed[p.WindowBits]) == 0 {
		f.packed[p.WindowBits], _ = AppendCompressedFrame(nil, d, p, f.OpCode(), payload)
	}
}

// AppendCompressedFrame appends a frame with the compressed payload to dst. It
// returns dst as it was, and false, if that would not be shorter than payload.
func AppendCompressedFrame(dst []byte, d *Deflater, p DeflateParams, op ws.OpCode, payload []byte) (out []byte, ok bool) {
	start := len(dst)
	out = append(dst, make([]byte, MaxServerHeader)...) // the header's length follows from the payload's
	out, ok = d.append(out, payload, p)
	if !ok {
		return dst, false
	}
	packed := out[start+MaxServerHeader:]
	header := AppendFrameHeader(out[start:start:start+MaxServerHeader], op, len(packed))
	header[0] |= rsv1 << 4
	return append(out[:start+len(header)], packed...), true
}

// MaxServerHeader is the size of the longest header of an unmasked frame.
const MaxServerHeader = 10

// AppendFrameHeader appends the header of an unfragmented, unmasked frame with
// n bytes of payload.
func AppendFrameHeader(dst []byte, op ws.OpCode, n int) []byte {
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

// headerLen is the size of the header at the start of b, as AppendFrameHeader makes
// it.
func headerLen(b []byte) int {
	switch b[1] {
	case 126:
		return 4
	case 127:
		return MaxServerHeader
	default:
		return 2
	}
}

// ServerFrameLen returns the size, header included, of the frame at the start of b,
// whose header AppendFrameHeader made. The payload need not be in b. ok is false if b
// ends within the header.
func ServerFrameLen(b []byte) (n int, ok bool) {
	if len(b) < 2 {
		return 0, false
	}
	switch length := int(b[1]); {
	case length <= 125:
		return 2 + length, true
	case length == 126 && len(b) >= 4:
		return 4 + int(binary.BigEndian.Uint16(b[2:])), true
	case length == 127 && len(b) >= MaxServerHeader:
		return MaxServerHeader + int(binary.BigEndian.Uint64(b[2:])), true
	default:
		return 0, false
	}
}
