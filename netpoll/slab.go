package netpoll

import "sync/atomic"

const slabChunk = 1 << 10

// Slab holds one T for each slot of a loop, in chunks that never move, so that
// a *T stays valid and growing copies nothing. Only the loop's goroutine may
// call Grow; At may be called from anywhere, what the T holds has its own rules.
type Slab[T any] struct {
	chunks [MaxSlots / slabChunk]atomic.Pointer[[slabChunk]T]
}

// Grow makes room for slot and all slots that share its chunk.
func (s *Slab[T]) Grow(slot uint32) {
	if c := &s.chunks[slot/slabChunk]; c.Load() == nil {
		c.Store(new([slabChunk]T))
	}
}

// At returns the T of slot, or nil where Grow never made room for it.
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
