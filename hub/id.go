package hub

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"

	"ws-gateway/netpoll"
)

// instance is a random number that a gateway draws when it starts, so that two
// gateways, or two starts of one, never give out the same public id.
type instance [8]byte

// Instance returns the hub's own number, with which the ids of its connections begin.
func (h *Hub) Instance() [8]byte { return h.instance }

// InstanceOf returns the number of the hub that has made the public id of a connection.
// ok is false if none can have.
func InstanceOf(public string) (instance [8]byte, ok bool) {
	raw, ok := decodeID(public)
	return [8]byte(raw[:8]), ok
}

// A public id is the URL-safe base64, without padding, of
//
//	instance 8 | loop 2 | slot 4 | generation 4
//
// in network byte order. 18 bytes fill 24 characters to the last bit, so each id
// has exactly one spelling.
const (
	idBytes = 18
	idChars = 24
)

var idEncoding = base64.RawURLEncoding.Strict()

func newInstance() (in instance) {
	rand.Read(in[:]) // never fails: it ends the process instead
	return in
}

// appendID appends the public form of id to dst.
func (in instance) appendID(dst []byte, id netpoll.ID) []byte {
	var raw [idBytes]byte
	copy(raw[:], in[:])
	binary.BigEndian.PutUint16(raw[8:], uint16(id.Loop()))
	binary.BigEndian.PutUint32(raw[10:], id.Slot())
	binary.BigEndian.PutUint32(raw[14:], id.Generation())
	return idEncoding.AppendEncode(dst, raw[:])
}

// parseID is the inverse of appendID. ok is false for an id that this instance never
// made. Whether the connection still exists only its loop knows.
func (in instance) parseID(s string) (id netpoll.ID, ok bool) {
	raw, ok := decodeID(s)
	if !ok || instance(raw[:8]) != in {
		return 0, false
	}
	loop := int(binary.BigEndian.Uint16(raw[8:]))
	slot := binary.BigEndian.Uint32(raw[10:])
	generation := binary.BigEndian.Uint32(raw[14:])
	if loop >= netpoll.MaxLoops || slot >= netpoll.MaxSlots || generation == 0 {
		return 0, false
	}
	return netpoll.MakeID(loop, slot, generation), true
}

func decodeID(s string) (raw [idBytes]byte, ok bool) {
	if len(s) != idChars {
		return raw, false
	}
	// The decoder skips line ends; then fewer bytes come out.
	n, err := idEncoding.Decode(raw[:], []byte(s))
	return raw, err == nil && n == idBytes
}
