package packet

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// Tag names a field. Package cluster says what each means.
type Tag uint8

// Fields are optional fields, one after the other.
type Fields []byte

// AppendField appends a field to fields.
func AppendField[V ~string | ~[]byte](fields Fields, tag Tag, value V) Fields {
	fields = append(fields, byte(tag))
	fields = binary.AppendUvarint(fields, uint64(len(value)))
	return append(fields, value...)
}

// AppendNumber appends a field whose value is a number, to be read with Number.
func AppendNumber(fields Fields, tag Tag, value uint64) Fields {
	var varint [binary.MaxVarintLen64]byte
	return AppendField(fields, tag, binary.AppendUvarint(varint[:0], value))
}

// Number is the number that AppendNumber has written.
func Number(value []byte) (n uint64, ok bool) {
	n, length := binary.Uvarint(value)
	return n, length > 0 && length == len(value)
}

// All ranges over the fields in their order. It ends before one that is not whole;
// there is none in what Split returns.
func (f Fields) All() iter.Seq2[Tag, []byte] {
	return func(yield func(Tag, []byte) bool) {
		for len(f) > 0 {
			tag, value, rest, ok := f.next()
			if !ok || !yield(tag, value) {
				return
			}
			f = rest
		}
	}
}

// Each ranges over the fields in their order, each as it is written.
func (f Fields) Each() iter.Seq2[Tag, Fields] {
	return func(yield func(Tag, Fields) bool) {
		for len(f) > 0 {
			tag, _, rest, ok := f.next()
			n := len(f) - len(rest)
			if !ok || !yield(tag, f[:n:n]) {
				return
			}
			f = rest
		}
	}
}

// Get returns the value of the first field of the tag.
func (f Fields) Get(tag Tag) (value []byte, ok bool) {
	for t, value := range f.All() {
		if t == tag {
			return value, true
		}
	}
	return nil, false
}

func (f Fields) next() (tag Tag, value []byte, rest Fields, ok bool) {
	length, n := binary.Uvarint(f[1:])
	if n <= 0 || length > uint64(len(f)-1-n) {
		return 0, nil, nil, false
	}
	value, rest = f[1+n:], f[1+n+int(length):]
	return Tag(f[0]), value[:length:length], rest, true
}

// Split takes a message's body apart: fields, of the length that its packet has said,
// and payload.
func Split(body []byte, fieldsLength uint32) (fields Fields, payload []byte, err error) {
	if uint64(fieldsLength) > uint64(len(body)) {
		return nil, nil, fmt.Errorf("%w: its fields are longer than it is", ErrMalformed)
	}
	fields, payload = Fields(body[:fieldsLength:fieldsLength]), body[fieldsLength:]
	for rest := fields; len(rest) > 0; {
		var ok bool
		if _, _, rest, ok = rest.next(); !ok {
			return nil, nil, fmt.Errorf("%w: a field is longer than the fields", ErrMalformed)
		}
	}
	return fields, payload, nil
}
