package wire

import (
	"errors"
	"io"

	"github.com/klauspost/compress/flate"
)

var (
	errNotDeflate     = errors.New("compressed message is not DEFLATE data")
	ErrInflatedTooBig = errors.New("decompressed message over the limit")
)

// Inflater decompresses messages. The zero value is ready. It belongs to one
// loop, and from its first message on holds a decoder of about 40 KB; nothing in
// it belongs to a connection.
type Inflater struct {
	source deflateSource
	flate  inflateReader
	out    []byte
	room   int64 // bytes that out may still grow
}

// inflateReader is what flate.NewReader returns.
type inflateReader interface {
	flate.Resetter
	io.WriterTo
}

// append decompresses the payload of a whole message (RFC 7692, 7.2.2) and appends
// the outcome, at most limit bytes, to dst. Otherwise it returns dst as it was and
// errNotDeflate, or ErrInflatedTooBig, at the latest when the decoder is its window
// of 32 KiB beyond the limit. An empty payload is an empty message: some senders
// forget the byte of 7.2.3.6.
//
// The outcome is valid for as long as dst is. After a large message dst has grown
// to its size: a caller that reuses it decides what to keep.
func (d *Inflater) Append(dst, payload []byte, limit int64) (out []byte, err error) {
	d.out, d.room = dst, limit
	d.source = deflateSource{rest: payload}
	for err == nil && !d.source.complete() {
		err = d.stream()
	}
	out, d.out, d.source.rest = d.out, nil, nil
	if err != nil {
		return dst, err
	}
	return out, nil
}

// stream decodes up to the end of a block with the BFINAL bit.
//
// RFC 7692, 7.2.1: messages may be made of blocks with and without that bit; after
// one that has it the next block follows at a byte boundary. RFC 1951, 3.2.3:
// such a block is the last of its data set, so that what follows begins with an
// empty window, as it does for all decoders that are made of zlib's.
func (d *Inflater) stream() error {
	if d.flate == nil {
		d.flate = flate.NewReader(&d.source).(inflateReader)
	} else if err := d.flate.Reset(&d.source, nil); err != nil {
		return errNotDeflate
	}
	_, err := d.flate.WriteTo(d)
	if err != nil && err != ErrInflatedTooBig {
		return errNotDeflate
	}
	return err
}

// Write takes what the decoder has decoded.
func (d *Inflater) Write(p []byte) (int, error) {
	if int64(len(p)) > d.room {
		return 0, ErrInflatedTooBig
	}
	d.room -= int64(len(p))
	d.out = append(d.out, p...)
	return len(p), nil
}

// deflateSource is what the decoder reads: the payload; the marker that RFC 7692,
// 7.2.2, puts behind it; and an empty final block, since the decoder takes no other
// end. (A payload that is cut off just so that these make a whole of it is taken for
// that: nothing but what its sender could have sent in full.)
type deflateSource struct {
	rest []byte // of the payload
	tail uint8  // bytes of deflateTail that have been read
}

const deflateTail = syncMarker + "\x01\x00\x00\xff\xff"

// complete reports whether a final block may end here: behind all, behind the
// marker where that block is the one it belongs to, or with the payload. In the last
// case the sender forgot the byte that must follow a final block (7.2.3.4), which
// leaves no doubt about the message and which other receivers do not miss.
func (s *deflateSource) complete() bool {
	return len(s.rest) == 0 && (s.tail == 0 || int(s.tail) == len(syncMarker) || int(s.tail) == len(deflateTail))
}

func (s *deflateSource) ReadByte() (byte, error) {
	if len(s.rest) > 0 {
		c := s.rest[0]
		s.rest = s.rest[1:]
		return c, nil
	}
	if int(s.tail) == len(deflateTail) {
		return 0, io.EOF
	}
	c := deflateTail[s.tail]
	s.tail++
	return c, nil
}

func (s *deflateSource) Read(p []byte) (n int, err error) {
	if len(s.rest) > 0 {
		n = copy(p, s.rest)
		s.rest = s.rest[n:]
		return n, nil
	}
	if int(s.tail) == len(deflateTail) {
		return 0, io.EOF
	}
	n = copy(p, deflateTail[s.tail:])
	s.tail += uint8(n)
	return n, nil
}
