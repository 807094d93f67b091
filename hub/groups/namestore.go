package groups

import (
	"encoding/binary"
	"unsafe"
)

// names keeps the names of a table's groups, one behind the other in chunks. Each
// is behind its length and the number of its group. What names that are gone leave
// behind is given back by moving what else is in a chunk once that is less than
// half of it.
type names struct {
	list   []nameChunk // the last one is being filled
	spare  []uint32    // places in list without memory
	filled uint32      // the one that is being filled
}

// nameChunk is one chunk.
type nameChunk struct {
	bytes *[nameChunkBytes]byte
	end   uint16 // of what is filled
	live  uint16 // bytes of groups that exist
}

const (
	nameChunkBytes = 1 << 12
	nameHead       = 4 + 1
)

// place says where a name is: chunk and offset.
type place uint32

func (p place) chunk() uint32  { return uint32(p) / nameChunkBytes }
func (p place) offset() uint32 { return uint32(p) % nameChunkBytes }

const nameChunkMemory = nameChunkBytes + int64(unsafe.Sizeof(nameChunk{}))

// block returns a name with its head.
func (s *names) block(p place) []byte {
	b := s.list[p.chunk()].bytes[p.offset():]
	return b[:nameHead+int(b[4])]
}

// text returns a name; it is valid until the next call of add or remove.
func (s *names) text(p place) []byte { return s.block(p)[nameHead:] }

func (s *names) is(p place, text string) bool { return string(s.text(p)) == text }

// add keeps the name of group g.
func (s *names) add(t *Table, text string, g uint32) place {
	size := uint16(nameHead + len(text))
	if len(s.list) == 0 || s.list[s.filled].end+size > nameChunkBytes {
		s.begin(t)
	}
	c := &s.list[s.filled]
	p := place(s.filled*nameChunkBytes + uint32(c.end))
	b := c.bytes[c.end:][:size]
	binary.LittleEndian.PutUint32(b, g)
	b[4] = uint8(len(text))
	copy(b[nameHead:], text)
	c.end += size
	c.live += size
	return p
}

// begin begins a chunk. Of the one that was filled until now most may be gone.
func (s *names) begin(t *Table) {
	full := s.filled
	c := nameChunk{bytes: new([nameChunkBytes]byte)}
	if n := len(s.spare); n > 0 {
		s.filled = s.spare[n-1]
		s.spare = s.spare[:n-1]
		s.list[s.filled] = c
	} else {
		s.filled = uint32(len(s.list))
		s.list = append(s.list, c)
	}
	t.spend(nameChunkMemory)
	if full != s.filled && s.list[full].live < nameChunkBytes/2 {
		s.empty(t, full)
	}
}

// remove drops a name, whose group must not refer to it any more.
func (s *names) remove(t *Table, p place) {
	at := p.chunk()
	c := &s.list[at]
	c.live -= uint16(len(s.block(p)))
	if at != s.filled && c.live < nameChunkBytes/2 {
		s.empty(t, at)
	}
}

// empty moves the names that are left in a chunk, and frees it.
func (s *names) empty(t *Table, at uint32) {
	old := s.list[at]
	s.list[at] = nameChunk{}
	t.spend(-nameChunkMemory)
	for from := uint32(0); from < uint32(old.end); {
		b := old.bytes[from:]
		b = b[:nameHead+int(b[4])]
		g := binary.LittleEndian.Uint32(b)
		if e := t.groups.at(g); e.count > 0 && e.name == place(at*nameChunkBytes+from) {
			e.name = s.add(t, string(b[nameHead:]), g)
		}
		from += uint32(len(b))
	}
	s.spare = append(s.spare, at) // not before: the places in it must mean one thing
}
