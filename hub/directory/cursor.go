package directory

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/maphash"
)

// ErrCursor is returned for a cursor that List did not make.
var ErrCursor = errors.New("directory: not a cursor of this gateway")

// cursor is the position between two pages of a list. Its text ends with a hash
// whose seed is drawn at the start: a cursor from another gateway or an earlier
// start, or one that somebody has changed, is refused instead of misread.
type cursor struct {
	part  uint32 // stripe, or index in the query's users
	query uint64 // what Query.hash says
	place place
}

const (
	cursorBytes = 4 + 8 + 4 + 4 + 8 + 4 + 8 + 8
	sealBytes   = 8
)

var cursorEncoding = base64.RawURLEncoding.Strict()

func (d *Directory) encodeCursor(c cursor) string {
	raw := make([]byte, 0, cursorBytes+sealBytes)
	raw = binary.BigEndian.AppendUint32(raw, c.part)
	raw = binary.BigEndian.AppendUint64(raw, c.query)
	raw = binary.BigEndian.AppendUint32(raw, uint32(c.place.session))
	raw = binary.BigEndian.AppendUint32(raw, c.place.generation)
	raw = binary.BigEndian.AppendUint64(raw, uint64(c.place.connected))
	raw = binary.BigEndian.AppendUint32(raw, c.place.entry)
	raw = binary.BigEndian.AppendUint64(raw, uint64(c.place.since))
	raw = binary.BigEndian.AppendUint64(raw, uint64(c.place.horizon))
	raw = binary.BigEndian.AppendUint64(raw, maphash.Bytes(d.seed, raw))
	return cursorEncoding.EncodeToString(raw)
}

// decodeCursor reads a cursor for the query that has this hash.
func (d *Directory) decodeCursor(s string, query uint64) (c cursor, err error) {
	if len(s) != cursorEncoding.EncodedLen(cursorBytes+sealBytes) {
		return cursor{}, ErrCursor
	}
	raw, err := cursorEncoding.DecodeString(s)
	if err != nil || len(raw) != cursorBytes+sealBytes {
		return cursor{}, ErrCursor
	}
	if binary.BigEndian.Uint64(raw[cursorBytes:]) != maphash.Bytes(d.seed, raw[:cursorBytes]) {
		return cursor{}, ErrCursor
	}
	c.part = binary.BigEndian.Uint32(raw)
	c.query = binary.BigEndian.Uint64(raw[4:])
	c.place.session = ref(binary.BigEndian.Uint32(raw[12:]))
	c.place.generation = binary.BigEndian.Uint32(raw[16:])
	c.place.connected = int64(binary.BigEndian.Uint64(raw[20:]))
	c.place.entry = binary.BigEndian.Uint32(raw[28:])
	c.place.since = int64(binary.BigEndian.Uint64(raw[32:]))
	c.place.horizon = int64(binary.BigEndian.Uint64(raw[40:]))
	if c.query != query {
		return cursor{}, ErrCursor
	}
	return c, nil
}
