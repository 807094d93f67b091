package abuse

import "encoding/binary"

// Opcodes (RFC 6455, section 5.2).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
)

const fin = 0x80

// mask is every frame's.
var mask = [4]byte{0x5a, 0xc3, 0x1e, 0x87}

// appendHeader appends the header of a masked frame that claims length bytes of
// payload. first is the opcode, with fin and reserved bits.
func appendHeader(dst []byte, first byte, length uint64) []byte {
	switch {
	case length < 126:
		dst = append(dst, first, 0x80|byte(length))
	case length < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, first, 0x80|126), uint16(length))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, first, 0x80|127), length)
	}
	return append(dst, mask[:]...)
}

// appendFrame appends a masked frame.
func appendFrame(dst []byte, first byte, payload string) []byte {
	dst = appendHeader(dst, first, uint64(len(payload)))
	for i := range len(payload) {
		dst = append(dst, payload[i]^mask[i&3])
	}
	return dst
}

// repeat appends n frames that are alike.
func repeat(n int, first byte, payload string) []byte {
	var frames []byte
	for range n {
		frames = appendFrame(frames, first, payload)
	}
	return frames
}
