package hub

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"ws-gateway/netpoll"
)

const (
	// stripeCount is the number of locks that the directory is divided among. A
	// stripe must fit in the 8 bits that a listing has for it.
	stripeCount = 256

	// keptEntries is how many entries an empty stripe keeps allocated.
	keptEntries = 64
)

// directory maps user names to their sessions. It is the one thing that the
// loops share, so it is divided by the hash of the name into stripes, each with
// a lock that is held for a bounded piece of map work and for nothing else.
type directory struct {
	seed    maphash.Seed
	slabs   []*netpoll.Slab[session] // by loop; static once the loops are attached
	users   atomic.Int64
	stripes [stripeCount]stripe
}

// stripe holds the users of one part of the hash space: a table of entries
// without pointers, found by hash through buckets and linked in the order of
// their creation. All of it is guarded by mu.
type stripe struct {
	mu          sync.Mutex
	clock       int64    // when the newest session joined
	buckets     []uint32 // first entry of each chain; a power of two
	entries     []entry  // entries[0] is no entry
	free        uint32   // first unused entry, chained by chain
	first, last uint32   // by creation
	count       int      // entries in use
	walks       []*walk  // stand somewhere in this stripe
}

// entry is one user. Its name is that of any of its sessions, of which it has at
// least one.
type entry struct {
	since      int64 // when its first session joined; no two entries of a stripe share it
	hash       uint32
	chain      uint32 // next of its bucket
	prev, next uint32 // by creation
	head, tail ref    // its sessions, in the order of joining
	count      uint32
}

func newDirectory() *directory { return &directory{seed: maphash.MakeSeed()} }

func (d *directory) at(r ref) *session {
	loop := int(r >> 24)
	if loop >= len(d.slabs) {
		return nil
	}
	return d.slabs[loop].At(uint32(r) & (netpoll.MaxSlots - 1))
}

// locate divides a name's hash into the stripe and the hash within it.
func (d *directory) locate(name string) (stripe uint8, hash uint32) {
	sum := maphash.String(d.seed, name)
	return uint8(sum >> 56), uint32(sum)
}

// join lists s, whose other fields are set, under name, unless the user has
// limit connections already (0: no limit). It sets what depends on the company:
// the shared name and the time of joining, now or just after the newest.
func (d *directory) join(id netpoll.ID, s *session, name string, limit int, now int64) bool {
	at, hash := d.locate(name)
	st := &d.stripes[at]
	st.mu.Lock()
	defer st.mu.Unlock()
	now = max(now, st.clock+1)
	i := st.find(d, name, hash)
	switch {
	case i == 0:
		i = st.create(hash, now)
		d.users.Add(1)
	case limit > 0 && int(st.entries[i].count) >= limit:
		return false
	default:
		name = d.at(st.entries[i].head).user
	}
	st.clock = now
	s.user, s.connected = name, now
	st.append(d, i, s, refOf(id))
	s.listed.Store(uint64(makeListing(id.Generation(), at)))
	return true
}

// leave takes s off the list.
func (d *directory) leave(id netpoll.ID, s *session) {
	st := &d.stripes[s.listing().stripe()]
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, w := range st.walks {
		if w.next == refOf(id) {
			w.next = st.after(s, w.only)
		}
	}
	st.remove(d, s)
	if st.entries[s.entry].count == 0 {
		st.destroy(s.entry)
		d.users.Add(-1)
	}
	s.listed.Store(0)
}

// lock locks the stripe of the session that id names, if it is listed, so that
// the caller may read what is immutable of it.
func (d *directory) lock(id netpoll.ID) (*session, *stripe) {
	s := d.at(refOf(id))
	if s == nil {
		return nil, nil
	}
	was := s.listing()
	if was.generation() != id.Generation() {
		return nil, nil
	}
	st := &d.stripes[was.stripe()]
	st.mu.Lock()
	if s.listing() != was {
		st.mu.Unlock()
		return nil, nil
	}
	return s, st
}

// find returns the entry of name, or 0.
func (st *stripe) find(d *directory, name string, hash uint32) uint32 {
	if len(st.buckets) == 0 {
		return 0
	}
	i := st.buckets[hash&uint32(len(st.buckets)-1)]
	for ; i != 0; i = st.entries[i].chain {
		if e := &st.entries[i]; e.hash == hash && d.at(e.head).user == name {
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
func (st *stripe) append(d *directory, i uint32, s *session, r ref) {
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
func (st *stripe) remove(d *directory, s *session) {
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

// after returns the session that follows s: of its own user, or, unless only
// that one is wanted, the first of the next user.
func (st *stripe) after(s *session, only bool) ref {
	switch {
	case s.next != nobody:
		return s.next
	case only:
		return nobody
	default:
		return st.firstOf(st.entries[s.entry].next)
	}
}

// firstOf returns the first session of an entry, nobody of no entry.
func (st *stripe) firstOf(i uint32) ref {
	if i == 0 {
		return nobody
	}
	return st.entries[i].head
}

func (st *stripe) forget(w *walk) {
	if i := slices.Index(st.walks, w); i >= 0 {
		st.walks = slices.Delete(st.walks, i, i+1)
	}
}
