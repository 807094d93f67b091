package interest

import (
	"crypto/sha256"
	"encoding/binary"
	"unsafe"

	"github.com/dchest/siphash"
)

// Hash stands for a name: 56 bits, of which at least one is set. The kind of the name
// is part of it, so a user and a group of the same name have different hashes.
type Hash uint64

const hashBits = 56

// Key makes hashes. Instances of a cluster must have the same.
type Key struct{ user, group [2]uint64 }

// NewKey returns the key of a cluster. It is no secret. What a client could do with
// names that it has chosen to have one hash is to make a send to one of them go to
// the instances of all; it cannot make a Table slow, because where a hash lies there
// depends on a number that each process draws.
func NewKey(app string) (k Key) {
	sum := sha256.Sum256([]byte("ws-gateway interest 1\x00" + app))
	word := func(i int) uint64 { return binary.BigEndian.Uint64(sum[8*i:]) }
	return Key{user: [2]uint64{word(0), word(1)}, group: [2]uint64{word(2), word(3)}}
}

// User returns the hash of a user's name, which may be empty.
func (k *Key) User(name string) Hash { return hashOf(&k.user, name) }

// Group returns the hash of a group's name.
func (k *Key) Group(name string) Hash { return hashOf(&k.group, name) }

func hashOf(key *[2]uint64, name string) Hash {
	bytes := unsafe.Slice(unsafe.StringData(name), len(name)) // SipHash only reads them
	return max(1, Hash(siphash.Hash(key[0], key[1], bytes)>>(64-hashBits)))
}
