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

// Inflater decompresses messages, one after the other, of any connections. The zero
// value is ready. From its first message on it holds a decoder of about 40 KB. It is
// not safe for concurrent use.
type Inflater struct {
	source deflateSource
	flate  inflateReader
	out    []byte
	room   int64 // how many bytes out may still grow
}

// inflateReader is what flate.NewReader returns.
type inflateReader interface {
	flate.Resetter
	io.WriterTo
}

// Append decompresses the payload of a whole message (RFC 7692, 7.2.2) and appends
// the outcome, at most limit bytes, to dst. If it fails it returns dst as it was, and
// ErrInflatedTooBig if the message is larger than limit: it stops decoding at most 32
// KiB, the decoder's window, beyond that. An empty payload is an empty message, since
// some senders forget the byte of 7.2.3.6.
//
// After a large message the result is as large: a caller that reuses it decides
// whether to keep it.
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
// RFC 7692, 7.2.1: a message may have blocks with and without that bit; after a block
// with it, the next one follows at a byte boundary. RFC 1951, 3.2.3: such a block is
// the last of its data set, so the next one begins with an empty window, as in all
// decoders that build on zlib.
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

// Write takes what the decoder has decompressed.
func (d *Inflater) Write(p []byte) (int, error) {
	if int64(len(p)) > d.room {
		return 0, ErrInflatedTooBig
	}
	d.room -= int64(len(p))
	d.out = append(d.out, p...)
	return len(p), nil
}

// deflateSource is what the decoder reads: the payload; the marker that RFC 7692,
// 7.2.2, appends to it; and an empty final block, without which the decoder would
// expect more. (A payload may be cut off so that marker and block complete it. It is
// then taken for a whole message, which its sender could also have sent.)
type deflateSource struct {
	rest []byte // of the payload
	tail uint8  // bytes of deflateTail that have been read
}

const deflateTail = syncMarker + "\x01\x00\x00\xff\xff"

// complete reports whether the message may end here, behind a final block: at the end
// of everything, behind the marker if that is part of the block, or at the end of the
// payload. In the last case the sender forgot the byte that must follow a final block
// (7.2.3.4); other receivers take such messages too.
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
