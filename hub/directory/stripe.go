package directory

import (
	"slices"
	"sync"
)

// keptEntries is how many entries an empty stripe keeps allocated.
const keptEntries = 64

// stripe holds the users of one part of the hash space: a table of entries
// without pointers, which are found by hash through buckets and linked in the
// order of their creation. mu guards all of it.
type stripe struct {
	mu          sync.Mutex
	clock       int64    // when the newest session joined
	buckets     []uint32 // first entry of each chain; a power of two
	entries     []entry  // entries[0] is no entry
	free        uint32   // first unused entry, chained by chain
	first, last uint32   // by creation
	count       int      // entries in use
	walks       []*walk  // that stand somewhere in this stripe
}

// entry is one user, who has at least one session. The name is in the sessions.
type entry struct {
	since      int64 // when its first session joined; no two entries of a stripe share it
	hash       uint32
	chain      uint32 // next in its bucket, or next unused entry
	prev, next uint32 // by creation
	head, tail ref    // its sessions, in the order of joining
	count      uint32
}

// find returns the entry of name, or 0.
func (st *stripe) find(d *Directory, name string, hash uint32) uint32 {
	if len(st.buckets) == 0 {
		return 0
	}
	i := st.buckets[hash&uint32(len(st.buckets)-1)]
	for ; i != 0; i = st.entries[i].chain {
		if e := &st.entries[i]; e.hash == hash && d.at(e.head).User == name {
			return i
		}
	}
	return 0
}

// create makes an entry without sessions.
func (st *stripe) create(hash uint32, now int64) uint32 {
	if st.count >= len(st.buckets) {
		st.rehash(max(8, 2*len(st.buckets)))
	}
	i := st.free
	if i != 0 {
		st.free = st.entries[i].chain
	} else {
		if len(st.entries) == 0 {
			st.entries = append(st.entries, entry{})
		}
		i = uint32(len(st.entries))
		st.entries = append(st.entries, entry{})
	}
	bucket := &st.buckets[hash&uint32(len(st.buckets)-1)]
	st.entries[i] = entry{since: now, hash: hash, chain: *bucket, prev: st.last, head: nobody, tail: nobody}
	*bucket = i
	if st.last != 0 {
		st.entries[st.last].next = i
	} else {
		st.first = i
	}
	st.last = i
	st.count++
	return i
}

func (st *stripe) rehash(size int) {
	st.buckets = make([]uint32, size)
	for i := st.first; i != 0; i = st.entries[i].next {
		e := &st.entries[i]
		bucket := &st.buckets[e.hash&uint32(size-1)]
		e.chain, *bucket = *bucket, i
	}
}

// destroy removes an entry that has no session left.
func (st *stripe) destroy(i uint32) {
	e := &st.entries[i]
	link := &st.buckets[e.hash&uint32(len(st.buckets)-1)]
	for *link != i {
		link = &st.entries[*link].chain
	}
	*link = e.chain
	if e.prev != 0 {
		st.entries[e.prev].next = e.next
	} else {
		st.first = e.next
	}
	if e.next != 0 {
		st.entries[e.next].prev = e.prev
	} else {
		st.last = e.prev
	}
	*e = entry{chain: st.free}
	st.free = i
	st.count--
	if st.count == 0 && len(st.entries) > keptEntries {
		st.entries, st.buckets, st.free = nil, nil, 0
	}
}

// append puts s at the end of the entry's sessions.
func (st *stripe) append(d *Directory, i uint32, s *Session, r ref) {
	e := &st.entries[i]
	s.entry, s.next, s.prev = i, nobody, e.tail
	if e.tail != nobody {
		d.at(e.tail).next = r
	} else {
		e.head = r
	}
	e.tail = r
	e.count++
}

// remove takes s out of its entry's sessions.
func (st *stripe) remove(d *Directory, s *Session) {
	e := &st.entries[s.entry]
	if s.prev != nobody {
		d.at(s.prev).next = s.next
	} else {
		e.head = s.next
	}
	if s.next != nobody {
		d.at(s.next).prev = s.prev
	} else {
		e.tail = s.prev
	}
	e.count--
}

// after returns the session that follows s: the next one of its user, or, unless
// the walk is for one user, the first one of the next user.
func (st *stripe) after(s *Session, oneUser bool) ref {
	switch {
	case s.next != nobody:
		return s.next
	case oneUser:
		return nobody
	default:
		return st.firstOf(st.entries[s.entry].next)
	}
}

// firstOf returns the first session of an entry, nobody if i is no entry.
func (st *stripe) firstOf(i uint32) ref {
	if i == 0 {
		return nobody
	}
	return st.entries[i].head
}

// forget takes a walk off the list of those that stand in the stripe.
func (st *stripe) forget(w *walk) {
	if i := slices.Index(st.walks, w); i >= 0 {
		st.walks = slices.Delete(st.walks, i, i+1)
	}
}
