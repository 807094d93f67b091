package load

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
)

// library is the payloads of messages that travel compressed (RFC 7692, without
// context takeover): JSON documents of which no two are alike. A connection sends one
// after the other.
type library struct {
	texts    [][]byte
	requests [][]byte // frames

	replies, bytes atomic.Uint64 // different frames that came, and what they have together
}

// documents is how many there are: what a server could keep of so many tells it nothing.
const documents = 1024

// Packed returns text messages of size bytes, at least 300, which are JSON such as apps
// send, and travel compressed both ways. prefix stands in front of each and is none of
// the size.
func Packed(prefix string, size int) (*Message, error) {
	if size < 300 {
		return nil, fmt.Errorf("load: a document has at least 300 bytes, not %d", size)
	}
	lib := &library{}
	w, err := flate.NewWriter(nil, flate.DefaultCompression)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	for n := range documents {
		text := append([]byte(prefix), document(n, size)...)
		var packed bytes.Buffer
		w.Reset(&packed)
		if _, err := w.Write(text); err != nil {
			return nil, fmt.Errorf("load: %w", err)
		}
		if err := w.Flush(); err != nil {
			return nil, fmt.Errorf("load: %w", err)
		}
		payload := bytes.TrimSuffix(packed.Bytes(), flushed)
		lib.texts = append(lib.texts, text)
		lib.requests = append(lib.requests, AppendFrame(nil, fin|rsv1|Text, payload))
	}
	return &Message{op: Text, payload: lib.texts[0], mark: -1, library: lib}, nil
}

const fin, rsv1 = 0x80, 0x40

// flushed is what a sender removes from a compressed message, and final an empty last
// block (RFC 7692, section 7.2).
var (
	flushed = []byte("\x00\x00\xff\xff")
	final   = []byte("\x01\x00\x00\xff\xff")
)

var words = [...]string{
	"the", "order", "has", "been", "packed", "and", "leaves", "today", "please", "ring", "at", "back", "door", "customer", "asks", "for",
	"an", "invoice", "with", "company", "name", "gift", "wrapping", "missing", "two", "parts", "return", "label", "sent", "by", "mail",
	"delivery", "between", "nine", "twelve", "o'clock", "neighbour", "takes", "it", "if", "nobody", "is", "home", "fragile", "glass",
}

// document is JSON of size bytes; each n has another one.
func document(n, size int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	word := func() string { return words[r.IntN(len(words))] }
	b := fmt.Appendf(nil, `{"event":"order.updated","data":{"id":"%08x-%04x-%04x","seq":%d,"at":"2026-%02d-%02dT%02d:%02d:%02d.%03dZ","customer":{"id":%d,"name":"%s %s","email":"%s.%d@example.org"},"items":[`,
		r.Uint32(), r.Uint32()&0xffff, r.Uint32()&0xffff, n, 1+r.IntN(12), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1000),
		r.IntN(1e6), word(), word(), word(), r.IntN(1000))
	const note, end = `],"note":"`, `"}}`
	for i := 0; size-len(b) > 220 && i < size/250; i++ {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"sku":"%s-%05d","title":"%s %s","quantity":%d,"price":%d.%02d,"in_stock":%t}`,
			word(), r.IntN(1e5), word(), word(), 1+r.IntN(9), r.IntN(500), r.IntN(100), r.IntN(4) > 0)
	}
	b = append(b, note...)
	for len(b)+len(end) < size {
		b = strconv.AppendInt(append(append(b, word()...), ' '), int64(r.IntN(100)), 10)
		b = append(b, ' ')
	}
	return append(b[:size-len(end)], end...)
}

// Deflated tells whether the messages travel compressed: the client must have been told
// to agree on that.
func (m *Message) Deflated() bool { return m.library != nil }

// ReplySize is the mean size of the compressed replies that came, heads of frames
// included.
func (m *Message) ReplySize() float64 {
	return float64(m.library.bytes.Load()) / float64(max(m.library.replies.Load(), 1))
}

// packedFrames are a library in the hands of one worker. A server compresses equal
// texts to equal frames, so that each kind of reply must be decompressed once.
type packedFrames struct {
	*library
	known   [][]byte // by document: the last reply that was right
	inflate io.ReadCloser
	text    bytes.Buffer
}

func (l *library) frames() *packedFrames {
	return &packedFrames{library: l, known: make([][]byte, len(l.texts)), inflate: flate.NewReader(nil)}
}

// number is the document that is message seq of a connection.
func (*packedFrames) number(conn, seq uint32) int { return int((conn*31 + seq) % documents) }

var errPlain = errors.New("the frame is not a whole compressed text")

// check judges a frame that should be document n.
func (p *packedFrames) check(n int, frame []byte, head int) error {
	if bytes.Equal(frame, p.known[n]) {
		return nil
	}
	if frame[0] != fin|rsv1|Text {
		return errPlain
	}
	source := io.MultiReader(bytes.NewReader(frame[head:]), bytes.NewReader(flushed), bytes.NewReader(final))
	if err := p.inflate.(flate.Resetter).Reset(source, nil); err != nil {
		return err
	}
	p.text.Reset()
	if _, err := p.text.ReadFrom(io.LimitReader(p.inflate, int64(len(p.texts[n]))+1)); err != nil {
		return fmt.Errorf("decompressing: %w", err)
	}
	if !bytes.Equal(p.text.Bytes(), p.texts[n]) {
		return fmt.Errorf("decompressed it is %s, not %s", printable(p.text.Bytes()), printable(p.texts[n]))
	}
	p.known[n] = bytes.Clone(frame)
	p.replies.Add(1)
	p.bytes.Add(uint64(len(frame)))
	return nil
}

// frameLength returns the length of the server's frame at the beginning of data, and of
// its head; 0 while it is incomplete.
func frameLength(data []byte) (whole, head int) {
	if len(data) < 2 {
		return 0, 0
	}
	head, length := 2, uint64(data[1])
	switch {
	case length == 126 && len(data) >= 4:
		head, length = 4, uint64(binary.BigEndian.Uint16(data[2:]))
	case length == 127 && len(data) >= 10:
		head, length = 10, binary.BigEndian.Uint64(data[2:])
	case length >= 126 && length < 128:
		return 0, 0
	}
	if uint64(len(data)-head) < length {
		return 0, 0
	}
	return head + int(length), head
}

// reply takes data for what is due to a message with a connection's or group's number,
// and returns what follows that, and whether it is whole by now. It gives the connection
// up when they differ.
func (w *worker) reply(i int32, c *conn, data []byte, number uint32) (rest []byte, whole bool) {
	p := w.ex.frames.packed
	if p == nil {
		return w.match(i, c, data, w.ex.frames.answer(number, c.received))
	}
	length, head := frameLength(data)
	if length == 0 {
		w.keep(i, data)
		return nil, false
	}
	if err := p.check(p.number(number, c.received), data[:length], head); err != nil {
		w.fail(i, c, fmt.Errorf("message %d is wrong: %w: %s", c.received, err, describe(data)))
		return nil, false
	}
	return data[length:], true
}
