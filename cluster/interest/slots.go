package interest

import "math/bits"

// entry is a hash with 8 bits beside it. 0 is none.
type entry uint64

func makeEntry(h Hash, low uint8) entry { return entry(h)<<8 | entry(low) }

func (e entry) hash() Hash { return Hash(e >> 8) }
func (e entry) low() uint8 { return uint8(e) }

// spread decides where hashes lie: an odd number that nobody else knows, so that nobody
// can choose names whose hashes would lie in one place.
type spread uint64

// newSpread makes a number whose bits are all used from one of which few may be.
func newSpread(seed uint64) spread { return spread(mix(Hash(seed)) | 1) }

// of returns the hash's place as a fraction of 2^64.
func (s spread) of(h Hash) uint64 { return uint64(h) * uint64(s) }

// Both a Table and a Local are divided into shards, so that none of them is large when
// it grows, and so that goroutines seldom wait for one another.
const (
	shardBits = 10
	shards    = 1 << shardBits
)

func (s spread) shard(h Hash) uint64 { return s.of(h) >> (64 - shardBits) }

// slots is one shard: open addressing with linear probing. Entries of the same hash
// lie in one run, as far as no other entry lies between them.
//
// Its size is no power of two, so that it can grow by a quarter: with 64 to 80 % in
// use an entry takes 10 to 12.5 bytes.
type slots struct {
	at    []entry
	count int
}

const smallestSlots = 8

func (s *slots) home(k spread, h Hash) int {
	home, _ := bits.Mul64(k.of(h)<<shardBits, uint64(len(s.at)))
	return int(home)
}

// next is the place behind i.
func (s *slots) next(i int) int {
	if i++; i < len(s.at) {
		return i
	}
	return 0
}

// find returns where e is.
func (s *slots) find(k spread, e entry) (i int, found bool) {
	if s.count == 0 {
		return 0, false
	}
	for i = s.home(k, e.hash()); s.at[i] != 0; i = s.next(i) {
		if s.at[i] == e {
			return i, true
		}
	}
	return i, false
}

// findHash returns where an entry with this hash is.
func (s *slots) findHash(k spread, h Hash) (i int, found bool) {
	if s.count == 0 {
		return 0, false
	}
	for i = s.home(k, h); s.at[i] != 0; i = s.next(i) {
		if s.at[i].hash() == h {
			return i, true
		}
	}
	return i, false
}

// insert adds e, which must not be there, and returns where it is.
func (s *slots) insert(k spread, e entry) int {
	if 5*(s.count+1) > 4*len(s.at) {
		s.resize(k, max(smallestSlots, len(s.at)*5/4))
	}
	s.count++
	return s.put(k, e)
}

func (s *slots) put(k spread, e entry) int {
	i := s.home(k, e.hash())
	for s.at[i] != 0 {
		i = s.next(i)
	}
	s.at[i] = e
	return i
}

// removeAt removes the entry at i. What lies behind it, and could not lie nearer to
// its home for it, moves up.
func (s *slots) removeAt(k spread, hole int) {
	size := len(s.at)
	for i := s.next(hole); s.at[i] != 0; i = s.next(i) {
		if behind(s.home(k, s.at[i].hash()), i, size) >= behind(hole, i, size) {
			s.at[hole], hole = s.at[i], i
		}
	}
	s.at[hole] = 0
	s.count--
	switch {
	case s.count == 0:
		s.at = nil
	case size > smallestSlots && 5*s.count < 2*size:
		s.resize(k, max(smallestSlots, s.count*5/3))
	}
}

// behind is how far i is behind from, going round.
func behind(from, i, size int) int {
	if i >= from {
		return i - from
	}
	return i - from + size
}

// keep removes the entries for which stays is false, in one pass.
func (s *slots) keep(k spread, stays func(e entry) bool) {
	old, left := s.at, 0
	for i, e := range old {
		switch {
		case e == 0:
		case stays(e):
			left++
		default:
			old[i] = 0
		}
	}
	if left == s.count {
		return
	}
	s.count, s.at = left, nil
	if left > 0 {
		s.fill(k, old, max(smallestSlots, left*5/3))
	}
}

func (s *slots) resize(k spread, size int) { s.fill(k, s.at, size) }

// fill gives the entries in old new places.
func (s *slots) fill(k spread, old []entry, size int) {
	s.at = make([]entry, size)
	for _, e := range old {
		if e != 0 {
			s.put(k, e)
		}
	}
}
