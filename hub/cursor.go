package hub

import (
	"encoding/binary"
	"errors"
	"hash/maphash"
)

// ErrCursor is returned for a cursor that List did not make.
var ErrCursor = errors.New("hub: not a cursor of this gateway")

// cursor is the position between two pages of a list. Its text form is sealed
// with a hash whose seed is drawn at the start, so that what was made by another
// gateway, by an earlier start or by hand is refused instead of misread.
type cursor struct {
	part  uint32 // stripe, or index in the query's users
	names uint64 // hash of the query's users, 0 where it has none
	place place
}

const (
	cursorBytes = 4 + 8 + 4 + 4 + 8 + 4 + 8 + 8
	sealBytes   = 8
)

func (h *Hub) encodeCursor(c cursor) string {
	raw := make([]byte, 0, cursorBytes+sealBytes)
	raw = binary.BigEndian.AppendUint32(raw, c.part)
	raw = binary.BigEndian.AppendUint64(raw, c.names)
	raw = binary.BigEndian.AppendUint32(raw, uint32(c.place.session))
	raw = binary.BigEndian.AppendUint32(raw, c.place.generation)
	raw = binary.BigEndian.AppendUint64(raw, uint64(c.place.connected))
	raw = binary.BigEndian.AppendUint32(raw, c.place.entry)
	raw = binary.BigEndian.AppendUint64(raw, uint64(c.place.since))
	raw = binary.BigEndian.AppendUint64(raw, uint64(c.place.horizon))
	raw = binary.BigEndian.AppendUint64(raw, maphash.Bytes(h.directory.seed, raw))
	return idEncoding.EncodeToString(raw)
}

// decodeCursor reads a cursor for a query of the users that names is the hash of.
func (h *Hub) decodeCursor(s string, names uint64) (c cursor, err error) {
	if len(s) != idEncoding.EncodedLen(cursorBytes+sealBytes) {
		return cursor{}, ErrCursor
	}
	raw, err := idEncoding.DecodeString(s)
	if err != nil || len(raw) != cursorBytes+sealBytes {
		return cursor{}, ErrCursor
	}
	if binary.BigEndian.Uint64(raw[cursorBytes:]) != maphash.Bytes(h.directory.seed, raw[:cursorBytes]) {
		return cursor{}, ErrCursor
	}
	c.part = binary.BigEndian.Uint32(raw)
	c.names = binary.BigEndian.Uint64(raw[4:])
	c.place.session = ref(binary.BigEndian.Uint32(raw[12:]))
	c.place.generation = binary.BigEndian.Uint32(raw[16:])
	c.place.connected = int64(binary.BigEndian.Uint64(raw[20:]))
	c.place.entry = binary.BigEndian.Uint32(raw[28:])
	c.place.since = int64(binary.BigEndian.Uint64(raw[32:]))
	c.place.horizon = int64(binary.BigEndian.Uint64(raw[40:]))
	if c.names != names {
		return cursor{}, ErrCursor
	}
	return c, nil
}
