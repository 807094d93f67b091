package journal

import (
	"encoding/binary"
	"errors"
)

// A record is its kind, the length of the connection's id, the id and, if the connection
// was opened, what the close event needs to know about it; or its metadata, behind a number
// of 8 bytes: the highest is the last. That it was renamed has the form of that it was opened,
// and counts instead.
const (
	kindOpened  = 'o'
	kindRenamed = 'n'
	kindClosed  = 'c'
	kindMeta    = 'm'
)

var errRecord = errors.New("a record that this version does not know")

func appendRecord(dst []byte, kind byte, id, state []byte) []byte {
	dst = append(dst, kind)
	dst = binary.AppendUvarint(dst, uint64(len(id)))
	dst = append(dst, id...)
	return append(dst, state...)
}

// parseRecord takes a record apart without copying.
func parseRecord(r []byte) (kind byte, id, state []byte, err error) {
	if len(r) == 0 {
		return 0, nil, nil, errRecord
	}
	switch r[0] {
	case kindOpened, kindRenamed, kindClosed, kindMeta:
	default:
		return 0, nil, nil, errRecord
	}
	length, n := binary.Uvarint(r[1:])
	rest := r[1:]
	if n <= 0 || length > uint64(len(rest)-n) {
		return 0, nil, nil, errRecord
	}
	rest = rest[n:]
	if r[0] == kindMeta && uint64(len(rest)) < length+numberBytes {
		return 0, nil, nil, errRecord
	}
	return r[0], rest[:length], rest[length:], nil
}

const numberBytes = 8

// appendMeta appends the state of a record of metadata.
func appendMeta(dst []byte, number uint64, value []byte) []byte {
	return append(binary.BigEndian.AppendUint64(dst, number), value...)
}

// splitMeta takes it apart.
func splitMeta(state []byte) (number uint64, value []byte) {
	return binary.BigEndian.Uint64(state), state[numberBytes:]
}
