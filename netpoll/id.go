package netpoll

// ID names one connection for the life of the process: the loop that owns it,
// its slot there, and the slot's generation. A generation is never used twice,
// so an ID that outlives its connection resolves to nothing, not to a stranger.
// The zero ID names no connection.
type ID uint64

// Limits that follow from the layout of an ID.
const (
	MaxLoops = 1 << 8  // loops in a server
	MaxSlots = 1 << 24 // connections at one time in a loop
)

// MakeID packs an ID. Generation 0 is kept for the loop's own descriptors.
func MakeID(loop int, slot, generation uint32) ID {
	return ID(uint64(loop)<<56 | uint64(slot)<<32 | uint64(generation))
}

// Loop returns the index of the owning loop.
func (id ID) Loop() int { return int(id >> 56) }

// Slot returns the slot within the loop.
func (id ID) Slot() uint32 { return uint32(id>>32) & (MaxSlots - 1) }

// Generation returns the generation of the slot.
func (id ID) Generation() uint32 { return uint32(id) }
