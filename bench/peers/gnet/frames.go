package main

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/gobwas/ws"
)

// longest is the largest message that is taken, in bytes.
const longest = 64 << 20

// Errors of a client.
var (
	errUnmasked = errors.New("a frame is not masked")
	errTooLong  = errors.New("a frame is too long")
)

// nextFrame takes the first frame out of data and unmasks it in place. n is its length,
// 0 while it is incomplete.
func nextFrame(r *bytes.Reader, data []byte) (h ws.Header, payload []byte, n int, err error) {
	if !headerComplete(data) {
		return h, nil, 0, nil
	}
	r.Reset(data)
	switch h, err = ws.ReadHeader(r); {
	case err != nil:
	case !h.Masked:
		err = errUnmasked
	case h.Length > longest:
		err = errTooLong
	}
	if err != nil {
		return h, nil, 0, err
	}
	begin := len(data) - r.Len()
	end := begin + int(h.Length)
	if end > len(data) {
		return h, nil, 0, nil
	}
	payload = data[begin:end]
	ws.Cipher(payload, h.Mask, 0)
	return h, payload, end, nil
}

// headerComplete looks before ws.ReadHeader does, which would make an error of too
// few bytes.
func headerComplete(data []byte) bool {
	if len(data) < ws.MinHeaderSize {
		return false
	}
	need := 2
	switch data[1] & 0x7f {
	case 126:
		need += 2
	case 127:
		need += 8
	}
	if data[1]&0x80 != 0 {
		need += 4
	}
	return len(data) >= need
}

// appendReply appends the answer to a frame: a data frame comes back as it is, a ping as
// a pong, a close frame as a close frame. end says that the connection ends then.
func appendReply(dst []byte, h ws.Header, payload []byte) (reply []byte, end bool) {
	switch h.OpCode {
	case ws.OpPing:
		return appendFrame(dst, true, ws.OpPong, payload), false
	case ws.OpPong:
		return dst, false
	case ws.OpClose:
		return appendFrame(dst, true, ws.OpClose, payload), true
	default:
		return appendFrame(dst, h.Fin, h.OpCode, payload), false
	}
}

// appendFrame appends a frame as servers send it (RFC 6455, section 5.2).
func appendFrame(dst []byte, fin bool, op ws.OpCode, payload []byte) []byte {
	first := byte(op)
	if fin {
		first |= 0x80
	}
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, first, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, first, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, first, 127), uint64(n))
	}
	return append(dst, payload...)
}
