// Package frames is what the servers on gobwas/ws share: frames out of memory and
// replies into memory, so that a message costs one read and one write.
package frames

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/gobwas/ws"
)

// Longest is the largest message that is taken, in bytes.
const Longest = 64 << 20

// Errors of a client.
var (
	ErrUnmasked = errors.New("frames: a frame is not masked")
	ErrTooLong  = errors.New("frames: a frame is too long")
)

// Header reads a frame's header; r is best buffered.
func Header(r io.Reader) (ws.Header, error) {
	h, err := ws.ReadHeader(r)
	switch {
	case err != nil:
		return h, err
	case !h.Masked:
		return h, ErrUnmasked
	case h.Length > Longest:
		return h, ErrTooLong
	default:
		return h, nil
	}
}

// Next takes the first frame out of data and unmasks it in place. n is its length,
// 0 while it is incomplete.
func Next(r *bytes.Reader, data []byte) (h ws.Header, payload []byte, n int, err error) {
	if !headerComplete(data) {
		return h, nil, 0, nil
	}
	r.Reset(data)
	if h, err = Header(r); err != nil {
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

// Reply appends the answer to a frame: a data frame comes back as it is, a ping as
// a pong, a close frame as a close frame. end says that the connection ends then.
func Reply(dst []byte, h ws.Header, payload []byte) (reply []byte, end bool) {
	switch h.OpCode {
	case ws.OpPing:
		return Append(dst, true, ws.OpPong, payload), false
	case ws.OpPong:
		return dst, false
	case ws.OpClose:
		return Append(dst, true, ws.OpClose, payload), true
	default:
		return Append(dst, h.Fin, h.OpCode, payload), false
	}
}

// Append appends a frame as servers send it (RFC 6455, section 5.2).
func Append(dst []byte, fin bool, op ws.OpCode, payload []byte) []byte {
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
