package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
)

// A file is its head, records and its end:
//
//	"wsgstate", a byte for the version of all this: 1
//	of each record: its kind and its length as unsigned varints, then so many bytes: fields
//	kind 0, length 8, how many records there are (8 bytes, big endian)
//	CRC-32C of everything before it (4 bytes, big endian)
const (
	magic   = "wsgstate"
	version = 1

	headBytes = len(magic) + 1
	endBytes  = 1 + 1 + 8
	sumBytes  = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Why a file is refused.
var (
	ErrDamaged = errors.New("record: the file is damaged, or not complete")
	ErrVersion = errors.New("record: the file is of another version")
	ErrNotOurs = errors.New("record: the file is not one of sessions")
)

// AppendRecord appends a record of a kind above 0.
func AppendRecord(dst []byte, kind Tag, f Fields) []byte { return Append(Fields(dst), kind, f) }

// Writer makes a file. Make it with NewWriter.
type Writer struct {
	sum     hash.Hash32
	records uint64
}

// NewWriter returns a Writer and the file's head.
func NewWriter() (w *Writer, head []byte) {
	w = &Writer{sum: crc32.New(castagnoli)}
	head = append([]byte(magic), version)
	w.sum.Write(head)
	return w, head
}

// Wrote notes that records, so many, have been written to the file.
func (w *Writer) Wrote(records []byte, n int) {
	w.sum.Write(records)
	w.records += uint64(n)
}

// End returns the file's end.
func (w *Writer) End() []byte {
	end := binary.BigEndian.AppendUint64([]byte{0, 8}, w.records)
	w.sum.Write(end)
	return binary.BigEndian.AppendUint32(end, w.sum.Sum32())
}

// ReadFile takes a whole file apart: it calls record with each record, in order, until that
// returns an error, which ReadFile returns. Before the first call the checksum is compared.
// known says that the caller knows the kind. fields are a part of file.
func ReadFile(file []byte, record func(kind Tag, f Fields) (known bool, err error)) error {
	switch {
	case len(file) < len(magic) || string(file[:len(magic)]) != magic:
		return ErrNotOurs
	case len(file) < headBytes+endBytes+sumBytes:
		return ErrDamaged
	case file[len(magic)] != version:
		return fmt.Errorf("%w: %d; this program reads %d", ErrVersion, file[len(magic)], version)
	}
	body, sum := file[:len(file)-sumBytes], file[len(file)-sumBytes:]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(sum) {
		return fmt.Errorf("%w: its checksum is another", ErrDamaged)
	}
	rest, records := body[headBytes:], uint64(0)
	for {
		kind, fields, after, err := next(rest)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		case kind == 0 && len(after) == 0 && len(fields) == 8 && binary.BigEndian.Uint64(fields) == records:
			return nil
		case kind == 0:
			return fmt.Errorf("%w: its end is not that of %d records", ErrDamaged, records)
		}
		known, err := record(kind, fields)
		if err != nil {
			return err
		}
		if !known && !kind.ignorable() {
			return &UnknownError{kind}
		}
		rest = after
		records++
	}
}
