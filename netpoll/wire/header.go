package wire

import (
	"encoding/binary"

	"github.com/gobwas/ws"
)

// Violation is a rule of RFC 6455 that a client broke: the code and the reason of the
// close frame that says so.
type Violation struct {
	Code   ws.StatusCode
	Reason string
}

var (
	errReservedBits   = &Violation{ws.StatusProtocolError, "reserved bits set in a frame header"}
	errReservedOpCode = &Violation{ws.StatusProtocolError, "reserved opcode"}
	errControlPieces  = &Violation{ws.StatusProtocolError, "fragmented control frame"}
	errControlLength  = &Violation{ws.StatusProtocolError, "control frame of more than 125 bytes"}
	errUnmasked       = &Violation{ws.StatusProtocolError, "unmasked frame"}
	errLengthForm     = &Violation{ws.StatusProtocolError, "frame length not in its shortest form"}
	errLengthSign     = &Violation{ws.StatusProtocolError, "frame length with the top bit set"}
)

// rsv1 is the bit of ws.Header.Rsv that permessage-deflate gives a meaning
// (RFC 7692, 6): the message that the frame begins is compressed.
const rsv1 = 4

// DecodeHeader decodes the header of a client's frame at the start of b, which is n
// bytes long. If b ends within the header, n is 0, and the caller tries again with
// more bytes; it never needs more than ws.MaxHeaderSize. A violation is reported as
// soon as the first byte that breaks the rule is in b. Deflate says whether
// permessage-deflate was agreed on.
func DecodeHeader(b []byte, deflate bool) (h ws.Header, n int, v *Violation) {
	if len(b) == 0 {
		return h, 0, nil
	}
	h.Fin = b[0]&0x80 != 0
	h.Rsv = b[0] >> 4 & 7
	h.OpCode = ws.OpCode(b[0] & 0x0F)
	reserved := h.Rsv
	if deflate && (h.OpCode == ws.OpText || h.OpCode == ws.OpBinary) {
		// RFC 7692, 6.1: RSV1 is set on the first fragment of a message only, and
		// never on a control frame.
		reserved &^= rsv1
	}
	switch {
	case reserved != 0:
		// RFC 6455, 5.2: MUST be 0 unless an extension is negotiated that
		// defines meanings for non-zero values.
		return h, 0, errReservedBits
	case h.OpCode.IsReserved():
		return h, 0, errReservedOpCode
	case h.OpCode.IsControl() && !h.Fin:
		// RFC 6455, 5.5: All control frames MUST have a payload length of 125
		// bytes or less and MUST NOT be fragmented.
		return h, 0, errControlPieces
	}
	if len(b) == 1 {
		return h, 0, nil
	}
	h.Masked = b[1]&0x80 != 0
	h.Length = int64(b[1] & 0x7F)
	switch {
	case !h.Masked:
		// RFC 6455, 5.1: The server MUST close the connection upon receiving a
		// frame that is not masked.
		return h, 0, errUnmasked
	case h.OpCode.IsControl() && h.Length > ws.MaxControlFramePayloadSize:
		return h, 0, errControlLength
	}
	n = 2
	if h.Length > 125 {
		if h.Length, n, v = decodeLength(b[1:]); v != nil || n == 0 {
			return h, 0, v
		}
		n++
	}
	if len(b) < n+len(h.Mask) {
		return h, 0, nil
	}
	return h, n + copy(h.Mask[:], b[n:]), nil
}

// decodeLength decodes the extended length that the length byte b[0] announces. n is
// how many bytes that is, b[0] included; 0 if b ends before.
//
// RFC 6455, 5.2: the minimal number of bytes MUST be used to encode the length;
// the most significant bit MUST be 0.
func decodeLength(b []byte) (length int64, n int, v *Violation) {
	ext := b[1:]
	if b[0]&0x7F == 126 {
		if len(ext) < 2 {
			return 0, 0, nil
		}
		if length = int64(binary.BigEndian.Uint16(ext)); length <= 125 {
			return 0, 0, errLengthForm
		}
		return length, 3, nil
	}
	if len(ext) > 0 && ext[0]&0x80 != 0 {
		return 0, 0, errLengthSign
	}
	// The upper six bytes tell whether two would have been enough.
	if len(ext) >= 6 && binary.BigEndian.Uint32(ext) == 0 && binary.BigEndian.Uint16(ext[4:]) == 0 {
		return 0, 0, errLengthForm
	}
	if len(ext) < 8 {
		return 0, 0, nil
	}
	return int64(binary.BigEndian.Uint64(ext)), 9, nil
}
