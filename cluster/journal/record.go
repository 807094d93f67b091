package journal

import (
	"encoding/binary"
	"errors"
	"iter"
)

// A batch is the version of this form and records. A record is its kind, the length of the
// connection's id, the id, the length of its state, and the state: of an opened connection
// what its close event needs, of metadata a number of 8 bytes, of which the highest counts,
// and the value.
const (
	batchVersion = 1

	kindOpened = 'o'
	kindClosed = 'c'
	kindMeta   = 'm'
)

var errBatch = errors.New("a batch of records that this version cannot read")

func appendRecord(dst []byte, kind byte, id, state []byte) []byte {
	dst = append(dst, kind)
	dst = append(binary.AppendUvarint(dst, uint64(len(id))), id...)
	return append(binary.AppendUvarint(dst, uint64(len(state))), state...)
}

// readBatch gives the records of a batch to yield, without copying.
func readBatch(b []byte, yield func(kind byte, id, state []byte)) error {
	if len(b) == 0 || b[0] != batchVersion {
		return errBatch
	}
	field := func(from []byte) (value, rest []byte, ok bool) {
		n, size := binary.Uvarint(from)
		if size <= 0 || n > uint64(len(from)-size) {
			return nil, nil, false
		}
		return from[size : size+int(n)], from[size+int(n):], true
	}
	for b = b[1:]; len(b) > 0; {
		kind := b[0]
		id, rest, ok := field(b[1:])
		state, rest, ok2 := field(rest)
		if !ok || !ok2 || kind == kindMeta && len(state) < 8 {
			return errBatch
		}
		yield(kind, id, state)
		b = rest
	}
	return nil
}

// Entry is a connection that was opened and not closed.
type Entry struct {
	ID          string
	State, Meta []byte
}

// set is what records say.
type set struct {
	open   map[string]*held
	closed map[string]struct{} // of those whose opening may be read later
	order  []string
}

type held struct {
	state, meta []byte
	number      uint64 // of meta
	opened      bool
}

func newSet() *set { return &set{open: map[string]*held{}, closed: map[string]struct{}{}} }

func (s *set) add(kind byte, id, state []byte) {
	key := string(id)
	if kind == kindClosed {
		s.closed[key] = struct{}{}
		delete(s.open, key)
		return
	}
	if _, gone := s.closed[key]; gone {
		return
	}
	h := s.open[key]
	if h == nil {
		h = new(held)
		s.open[key] = h
		s.order = append(s.order, key)
	}
	switch kind {
	case kindOpened:
		h.opened, h.state = true, append([]byte{}, state...)
	case kindMeta:
		if number := binary.BigEndian.Uint64(state); number >= h.number {
			h.number, h.meta = number, append([]byte{}, state[8:]...)
		}
	}
}

// entries are the connections that are open, in the order in which they were opened.
func (s *set) entries() (all []Entry) {
	for _, id := range s.order {
		if h := s.open[id]; h != nil && h.opened {
			all = append(all, Entry{ID: id, State: h.state, Meta: h.meta})
		}
	}
	return all
}

// recordsOf are the records that an open connection needs.
func (s *set) recordsOf(id string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		h := s.open[id]
		if h == nil || !h.opened || !yield(appendRecord(nil, kindOpened, []byte(id), h.state)) || h.number == 0 {
			return
		}
		yield(appendRecord(nil, kindMeta, []byte(id), metaState(h.number, h.meta)))
	}
}
