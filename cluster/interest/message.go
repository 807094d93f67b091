package interest

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Kind says what a Message is.
type Kind uint8

// The messages. An instance sends a Change to all others. To one that has asked for
// everything it sends a Begin, as many Pieces as it takes, and an End; Changes may come
// between them.
const (
	Change Kind = 1 // Version, and the hashes that came and went with it
	Begin  Kind = 2 // Version: of the last change that came before
	Piece  Kind = 3 // hashes that it has at that moment
	End    Kind = 4 // Digest: at that moment
)

// Message is what one instance tells another of its names.
type Message struct {
	Kind    Kind
	Version uint64 // of a Change and a Begin
	Come    Hashes // of a Change and a Piece
	Gone    Hashes // of a Change
	Digest  Digest // of an End
}

// Hashes are hashes as they are written: 7 bytes for each.
type Hashes []byte

const hashBytes = hashBits / 8

// Len returns how many there are.
func (s Hashes) Len() int { return len(s) / hashBytes }

// All yields each of them.
func (s Hashes) All(yield func(Hash) bool) {
	for ; len(s) >= hashBytes; s = s[hashBytes:] {
		if !yield(hashAt(s)) {
			return
		}
	}
}

func hashAt(s Hashes) Hash {
	return Hash(s[0])<<48 | Hash(binary.BigEndian.Uint16(s[1:]))<<32 | Hash(binary.BigEndian.Uint32(s[3:]))
}

func (s Hashes) append(h Hash) Hashes {
	return append(s, byte(h>>48), byte(h>>40), byte(h>>32), byte(h>>24), byte(h>>16), byte(h>>8), byte(h))
}

// A message is a byte for its kind, numbers as unsigned varints, and hashes:
//
//	Change   version, how many come, those that come, those that go
//	Begin    version
//	Piece    those that come
//	End      version, count, sum (8 bytes, big endian)
//
// What follows the numbers of Begin and End is skipped: a later version may say more.

// Append appends the message to dst.
func (m *Message) Append(dst []byte) []byte {
	dst = append(dst, byte(m.Kind))
	switch m.Kind {
	case Change:
		dst = binary.AppendUvarint(dst, m.Version)
		dst = binary.AppendUvarint(dst, uint64(m.Come.Len()))
		dst = append(dst, m.Come...)
		dst = append(dst, m.Gone...)
	case Begin:
		dst = binary.AppendUvarint(dst, m.Version)
	case Piece:
		dst = append(dst, m.Come...)
	case End:
		dst = binary.AppendUvarint(dst, m.Digest.Version)
		dst = binary.AppendUvarint(dst, m.Digest.Count)
		dst = binary.BigEndian.AppendUint64(dst, m.Digest.Sum)
	}
	return dst
}

// ErrMessage is returned for what is no message.
var ErrMessage = errors.New("no message of package interest")

// Parse reads a message. Its hashes are part of b.
func Parse(b []byte) (m Message, err error) {
	r := reader{rest: b}
	m.Kind = Kind(r.byte())
	switch m.Kind {
	case Change:
		m.Version = r.number()
		m.Come = r.hashes(r.number())
		m.Gone = r.hashes(uint64(len(r.rest) / hashBytes))
		r.end()
	case Begin:
		m.Version = r.number()
	case Piece:
		m.Come = r.hashes(uint64(len(r.rest) / hashBytes))
		r.end()
	case End:
		m.Digest = Digest{Version: r.number(), Count: r.number(), Sum: r.word()}
	default:
		r.fail("its kind is %d", m.Kind)
	}
	if r.err != nil {
		return Message{}, r.err
	}
	return m, nil
}

// reader takes a message apart. After the first error it returns zeros.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{ErrMessage}, args...)...)
	}
	r.rest = nil
}

func (r *reader) take(n int) []byte {
	if len(r.rest) < n {
		r.fail("it ends too early")
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) word() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.fail("a number in it cannot be read")
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// hashes takes n hashes, none of which may be 0.
func (r *reader) hashes(n uint64) Hashes {
	if n > uint64(len(r.rest)/hashBytes) {
		r.fail("it has fewer hashes than it says")
		return nil
	}
	s := Hashes(r.take(int(n) * hashBytes))
	for h := range s.All {
		if h == 0 {
			r.fail("a hash in it is 0")
			return nil
		}
	}
	return s
}

func (r *reader) end() {
	if len(r.rest) > 0 {
		r.fail("%d bytes are left at its end", len(r.rest))
	}
}
