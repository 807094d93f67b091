package groups

import "unsafe"

// chunkLength is how many elements a chunk has.
const chunkLength = 1 << 8

// chunks is an array that grows in chunks, which never move.
type chunks[T any] struct {
	list []*[chunkLength]T
}

// at returns element i, which must be within a chunk that grow has made.
func (c *chunks[T]) at(i uint32) *T { return &c.list[i/chunkLength][i%chunkLength] }

// grow makes room for element i and for all before it. It returns the bytes that
// this took.
func (c *chunks[T]) grow(i uint32) (bytes int64) {
	for int(i/chunkLength) >= len(c.list) {
		c.list = append(c.list, new([chunkLength]T))
		bytes += c.chunkBytes()
	}
	return bytes
}

// cut drops the chunks behind that of element i, but for one, so that a table which
// goes up and down does not make and drop a chunk each time. It returns the bytes
// that this freed.
func (c *chunks[T]) cut(i uint32) (bytes int64) {
	for keep := int(i/chunkLength) + 2; len(c.list) > keep; {
		last := len(c.list) - 1
		c.list[last] = nil
		c.list = c.list[:last]
		bytes += c.chunkBytes()
	}
	return bytes
}

func (c *chunks[T]) chunkBytes() int64 {
	var t T
	return chunkLength*int64(unsafe.Sizeof(t)) + int64(unsafe.Sizeof(uintptr(0)))
}
