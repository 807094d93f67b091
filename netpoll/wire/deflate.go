package wire

import (
	"bytes"
	"errors"
	"sync"

	"github.com/klauspost/compress/flate"
)

// deflateLevel is the level beyond which compression costs more than it saves, on
// JSON of 300 B to 4 KiB: level 3 takes 5 to 25 % more time than 1 and makes messages
// up to 8 % shorter; 5 and 6 take another 10 to 30 %, for less than 4 %.
// go test -run - -bench DeflateLevels ./netpoll/wire
const deflateLevel = 3

// Deflater compresses messages for connections that agreed on permessage-deflate.
// The zero value is ready. It is safe for concurrent use: each call uses a compressor
// of its own, which is more than a megabyte; the garbage collector frees idle ones.
type Deflater struct {
	pools [MaxWindowBits + 1]sync.Pool // *compressor, by the window's bits
}

// alike returns parameters with which n bytes compress to what p's connections can
// decompress. Connections for which it returns the same can be sent the same frame.
// A message that fits p's window cannot refer back beyond it, so for short messages
// all parameters are alike.
func (p DeflateParams) alike(n int) DeflateParams {
	if p.Agreed() && n <= 1<<p.WindowBits {
		return DeflateParams{WindowBits: MaxWindowBits}
	}
	return p
}

// append appends the payload of a compressed message (RFC 7692, 7.2.1), which goes
// out with RSV1 set, to dst. If it would not be shorter than payload, ok is false and
// dst unchanged: the message is sent as it is. So is the empty message, whose
// compressed form is one byte (7.2.3.6).
func (d *Deflater) append(dst, payload []byte, p DeflateParams) (out []byte, ok bool) {
	if len(payload) == 0 {
		return dst, false
	}
	p = p.alike(len(payload))
	pool := &d.pools[p.WindowBits]
	c, _ := pool.Get().(*compressor)
	if c == nil {
		c = newCompressor(p)
	}
	out, ok = c.append(dst, payload)
	pool.Put(c)
	return out, ok
}

// compressor is a flate.Writer and what it writes to.
type compressor struct {
	flate *flate.Writer
	out   []byte
	room  int // bytes that out may still grow
}

// newCompressor makes a compressor with the window of p. Only for the largest window
// can the level be chosen; the others are level 5.
func newCompressor(p DeflateParams) *compressor {
	var w *flate.Writer
	var err error
	if p.WindowBits == MaxWindowBits {
		w, err = flate.NewWriter(nil, deflateLevel)
	} else {
		w, err = flate.NewWriterWindow(nil, 1<<p.WindowBits)
	}
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return &compressor{flate: w}
}

// syncMarker is how a flush ends, without the byte that its block header is part of.
// RFC 7692, 7.2.1 and 7.2.2: the sender removes it, the receiver appends it.
const syncMarker = "\x00\x00\xff\xff"

func (c *compressor) append(dst, payload []byte) (out []byte, ok bool) {
	c.out, c.room = dst, len(payload)-1+len(syncMarker)
	c.flate.Reset(c)
	_, err := c.flate.Write(payload)
	if err == nil {
		err = c.flate.Flush()
	}
	out, c.out = c.out, nil
	if err != nil || !bytes.HasSuffix(out[len(dst):], []byte(syncMarker)) {
		return dst, false
	}
	return out[:len(out)-len(syncMarker)], true
}

var errNotShorter = errors.New("the compressed message would not be shorter")

// Write takes what the flate.Writer has compressed, until it is as long as the
// message.
func (c *compressor) Write(p []byte) (int, error) {
	if len(p) > c.room {
		return 0, errNotShorter
	}
	c.room -= len(p)
	c.out = append(c.out, p...)
	return len(p), nil
}
