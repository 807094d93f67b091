package groups

// set is a set of numbers above 0 in one array without pointers: open addressing
// with linear probing. Numbers that differ only in their lowest 8 bits lie in one
// run, so that one look finds them all.
type set struct {
	slots []uint64 // a power of two; 0: free
	count int
}

const smallestSet = 8

func home(n uint64, size int) int { return int(n>>9) & (size - 1) } // bit 8 is always set: see Directory.hash

// add reports whether n was not there.
func (s *set) add(n uint64) bool {
	if 4*(s.count+1) > 3*len(s.slots) {
		s.resize(max(smallestSet, 2*len(s.slots)))
	}
	i := s.find(n)
	if s.slots[i] == n {
		return false
	}
	s.slots[i] = n
	s.count++
	return true
}

// find returns the place of n, or a free one at the end of its run.
func (s *set) find(n uint64) int {
	mask := len(s.slots) - 1
	i := home(n, len(s.slots))
	for s.slots[i] != 0 && s.slots[i] != n {
		i = (i + 1) & mask
	}
	return i
}

// remove reports whether n was there.
func (s *set) remove(n uint64) bool {
	if s.count == 0 {
		return false
	}
	hole, mask := s.find(n), len(s.slots)-1
	if s.slots[hole] == 0 {
		return false
	}
	for i := (hole + 1) & mask; s.slots[i] != 0; i = (i + 1) & mask {
		// What lies at i may move to the hole unless its home is behind the hole.
		if from := home(s.slots[i], len(s.slots)); (i-from)&mask >= (i-hole)&mask {
			s.slots[hole], hole = s.slots[i], i
		}
	}
	s.slots[hole] = 0
	s.count--
	switch {
	case s.count == 0:
		s.slots = nil
	case len(s.slots) > smallestSet && 8*s.count < len(s.slots):
		s.resize(len(s.slots) / 2)
	}
	return true
}

// like calls visit with the lowest 8 bits of each number that is n but for these.
func (s *set) like(n uint64, visit func(low uint8)) {
	if s.count == 0 {
		return
	}
	mask := len(s.slots) - 1
	for i := home(n, len(s.slots)); s.slots[i] != 0; i = (i + 1) & mask {
		if s.slots[i]>>8 == n>>8 {
			visit(uint8(s.slots[i]))
		}
	}
}

func (s *set) resize(size int) {
	old := s.slots
	s.slots = make([]uint64, size)
	for _, n := range old {
		if n != 0 {
			s.slots[s.find(n)] = n
		}
	}
}
