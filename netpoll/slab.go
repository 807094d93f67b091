package netpoll

import "sync/atomic"

const slabChunk = 1 << 10

// Slab holds one T for each slot of a loop, in chunks that never move: a *T stays
// valid, and Grow copies nothing. Only the loop's goroutine may call Grow. Any
// goroutine may call At; who may use the T is up to its type.
type Slab[T any] struct {
	chunks [MaxSlots / slabChunk]atomic.Pointer[[slabChunk]T]
}

// Grow makes room for slot, and for the other slots of its chunk.
func (s *Slab[T]) Grow(slot uint32) {
	if c := &s.chunks[slot/slabChunk]; c.Load() == nil {
		c.Store(new([slabChunk]T))
	}
}

// At returns the T of slot, or nil if Grow never made room for it.
func (s *Slab[T]) At(slot uint32) *T {
	if slot >= MaxSlots {
		return nil
	}
	c := s.chunks[slot/slabChunk].Load()
	if c == nil {
		return nil
	}
	return &c[slot%slabChunk]
}
