package interest

import "math/bits"

// MaxInstances is how many other instances a Table has room for. Their numbers have 8
// bits.
const MaxInstances = 256

// Set is a set of instances. The zero value is empty.
type Set [MaxInstances / 64]uint64

// Add puts an instance into the set.
func (s *Set) Add(i uint8) { s[i/64] |= 1 << (i % 64) }

// Remove takes an instance out of the set.
func (s *Set) Remove(i uint8) { s[i/64] &^= 1 << (i % 64) }

// Has reports whether an instance is in the set.
func (s *Set) Has(i uint8) bool { return s[i/64]>>(i%64)&1 != 0 }

// Union adds the instances in o.
func (s *Set) Union(o *Set) {
	for i, word := range o {
		s[i] |= word
	}
}

// Intersect removes the instances that are not in o.
func (s *Set) Intersect(o *Set) {
	for i, word := range o {
		s[i] &= word
	}
}

// Without returns the instances that are not in o.
func (s *Set) Without(o *Set) (rest Set) {
	for i, word := range o {
		rest[i] = s[i] &^ word
	}
	return rest
}

// Empty reports whether no instance is in the set.
func (s *Set) Empty() bool { return *s == Set{} }

// Len counts the instances.
func (s *Set) Len() (n int) {
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

// All yields the instances in ascending order. It yields those that were there when it
// was called.
func (s Set) All(yield func(i uint8) bool) {
	for at, word := range s {
		for ; word != 0; word &= word - 1 {
			if !yield(uint8(64*at + bits.TrailingZeros64(word))) {
				return
			}
		}
	}
}
