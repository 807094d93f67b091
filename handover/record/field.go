package record

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Tag names a field of a record, or the kind of a record. One that is odd may be skipped by
// a reader that does not know it.
type Tag uint64

func (t Tag) ignorable() bool { return t%2 == 1 }

// Fields are fields, one after the other: tag and length as unsigned varints, then so many
// bytes. The same tag may be there several times.
type Fields []byte

// Append appends a field.
func Append[V ~string | ~[]byte](f Fields, tag Tag, value V) Fields {
	f = binary.AppendUvarint(f, uint64(tag))
	f = binary.AppendUvarint(f, uint64(len(value)))
	return append(f, value...)
}

// AppendNumber appends a field whose value is a number, to be read with Number.
func AppendNumber(f Fields, tag Tag, n uint64) Fields {
	var varint [binary.MaxVarintLen64]byte
	return Append(f, tag, binary.AppendUvarint(varint[:0], n))
}

// ErrMalformed is returned for bytes that are not what this package writes.
var ErrMalformed = errors.New("record: malformed")

// UnknownError says that there is a field, or a kind of records, which a reader must know
// and does not: a later version has written it.
type UnknownError struct{ Tag Tag }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("record: field %d is not known to this version, and must not be skipped", e.Tag)
}

// Number is the number that AppendNumber has written. It has one spelling.
func Number(value []byte) (n uint64, err error) {
	n, length := binary.Uvarint(value)
	if length <= 0 || length != len(value) || length > 1 && value[length-1] == 0 {
		return 0, fmt.Errorf("%w: a number cannot be read", ErrMalformed)
	}
	return n, nil
}

// Read calls field with each field, in order, until it returns an error, which Read returns.
// known says that the reader knows the tag. value is a part of f.
func Read(f Fields, field func(tag Tag, value []byte) (known bool, err error)) error {
	for len(f) > 0 {
		tag, value, rest, err := next(f)
		if err != nil {
			return err
		}
		known, err := field(tag, value)
		if err != nil {
			return err
		}
		if !known && !tag.ignorable() {
			return &UnknownError{tag}
		}
		f = rest
	}
	return nil
}

func next(f []byte) (tag Tag, value, rest []byte, err error) {
	number, n := binary.Uvarint(f)
	if n <= 0 {
		return 0, nil, nil, fmt.Errorf("%w: a tag cannot be read", ErrMalformed)
	}
	length, m := binary.Uvarint(f[n:])
	if m <= 0 || length > uint64(len(f)-n-m) {
		return 0, nil, nil, fmt.Errorf("%w: field %d is longer than what is there", ErrMalformed, number)
	}
	from := n + m
	to := from + int(length)
	return Tag(number), f[from:to:to], f[to:], nil
}
