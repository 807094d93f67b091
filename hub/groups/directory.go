package groups

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
)

// Watcher is told when a loop has the first member of a group, and when it has none any
// more, once the directory says so. The loop's goroutine calls it; it must not wait for
// anything that may be slow.
type Watcher interface {
	GroupCame(name string)
	GroupGone(name string)
}

// Directory says which loops have members of a group. Make it with NewDirectory.
type Directory struct {
	seed    maphash.Seed
	watcher Watcher                             // may be nil
	stripes atomic.Pointer[[stripeCount]stripe] // made for the first member
	groups  atomic.Int64

	limit    atomic.Int64 // bytes; see Reserve
	used     atomic.Int64 // bytes: its own, those of all tables, and what Charge has counted
	reserved atomic.Int64 // bytes
}

const (
	stripeCount = 256 // the highest 8 bits of a hash say which
	maxLoops    = 256 // whose numbers have 8 bits
)

// stripe has the lowest 56 bits of a hash, and the number of a loop, in each number
// of its set.
type stripe struct {
	mu      sync.Mutex
	present set
}

// Name is the name of a group with its hash.
type Name struct {
	text string
	hash uint64
}

// String returns the name.
func (n Name) String() string { return n.text }

// Hash returns the name's hash, by which groups are listed. It is never 0.
func (n Name) Hash() uint64 { return n.hash }

// NewDirectory returns a directory that has no groups.
func NewDirectory() *Directory { return &Directory{seed: maphash.MakeSeed()} }

// Watch has w told of groups. It must be called before the first join.
func (d *Directory) Watch(w Watcher) { d.watcher = w }

// Name prepares a name for the calls that take one.
func (d *Directory) Name(text string) Name { return Name{text, d.hash(text)} }

func (d *Directory) hash(text string) uint64 { return maphash.String(d.seed, text) | 1 }

// Names prepares names, each once, in the order of their hashes.
func (d *Directory) Names(texts []string) []Name {
	names := make([]Name, len(texts))
	for i, text := range texts {
		names[i] = d.Name(text)
	}
	slices.SortFunc(names, compareNames)
	return slices.Compact(names)
}

// Groups returns how many groups there are.
func (d *Directory) Groups() int { return int(d.groups.Load()) }

// Bytes returns the memory that counts towards the limit: tables, names, directory, and
// what Charge has counted.
func (d *Directory) Bytes() int64 { return d.used.Load() }

// SetLimit bounds the memory that Reserve gives away.
func (d *Directory) SetLimit(bytes int64) { d.limit.Store(bytes) }

// Limit returns what SetLimit has set.
func (d *Directory) Limit() int64 { return d.limit.Load() }

// Reserve puts memory aside for a join, unless that and what is used would be over
// the limit. Whoever has joined, or has not, gives it back with Release. Nothing
// holds a Table to what was reserved for it.
func (d *Directory) Reserve(bytes int64) bool {
	if d.used.Load()+d.reserved.Add(bytes) > d.limit.Load() && bytes > 0 {
		d.reserved.Add(-bytes)
		return false
	}
	return true
}

// Release gives back what Reserve has put aside.
func (d *Directory) Release(bytes int64) { d.reserved.Add(-bytes) }

// Charge counts bytes of somebody else, who keeps to the same limit; what is negative is no
// longer used.
func (d *Directory) Charge(bytes int64) { d.used.Add(bytes) }

// Loops calls visit with each loop that has members of the group.
func (d *Directory) Loops(n Name, visit func(loop int)) { d.LoopsOf(n.hash, visit) }

// LoopsOf is Loops for the groups with this hash.
func (d *Directory) LoopsOf(hash uint64, visit func(loop int)) {
	stripes := d.stripes.Load()
	if stripes == nil {
		return
	}
	var found [maxLoops]uint8
	n := 0
	st := &stripes[hash>>56]
	st.mu.Lock()
	st.present.like(hash<<8, func(loop uint8) {
		found[n] = loop
		n++
	})
	st.mu.Unlock()
	for _, loop := range found[:n] {
		visit(int(loop))
	}
}

// appear notes that a loop has the first member of a group.
func (d *Directory) appear(hash uint64, loop uint8) {
	stripes := d.stripes.Load()
	for stripes == nil {
		d.stripes.CompareAndSwap(nil, new([stripeCount]stripe))
		stripes = d.stripes.Load()
	}
	st := &stripes[hash>>56]
	st.mu.Lock()
	defer st.mu.Unlock()
	before := len(st.present.slots)
	st.present.add(hash<<8 | uint64(loop))
	d.used.Add(8 * int64(len(st.present.slots)-before))
	if st.loops(hash) == 1 {
		d.groups.Add(1)
	}
}

// vanish notes that a loop has no member of a group any more.
func (d *Directory) vanish(hash uint64, loop uint8) {
	st := &d.stripes.Load()[hash>>56]
	st.mu.Lock()
	defer st.mu.Unlock()
	before := len(st.present.slots)
	st.present.remove(hash<<8 | uint64(loop))
	d.used.Add(8 * int64(len(st.present.slots)-before))
	if st.loops(hash) == 0 {
		d.groups.Add(-1)
	}
}

// loops counts the loops that have the group.
func (st *stripe) loops(hash uint64) (n int) {
	st.present.like(hash<<8, func(uint8) { n++ })
	return n
}

// Hashes appends the hashes of up to limit groups to dst, ascending, beginning with
// the first one above after. A group that exists throughout is neither left out nor
// there twice in the calls of a list. Each call takes time for one 256th of all
// groups.
func (d *Directory) Hashes(dst []uint64, after uint64, limit int) []uint64 {
	stripes := d.stripes.Load()
	if stripes == nil {
		return dst
	}
	for i := int(after >> 56); i < stripeCount && limit > 0; i++ {
		found := stripes[i].above(after, uint64(i)<<56)
		slices.Sort(found)
		found = slices.Compact(found)
		found = found[:min(len(found), limit)]
		dst, limit = append(dst, found...), limit-len(found)
	}
	return dst
}

// above returns the stripe's hashes that are above after, in no order.
func (st *stripe) above(after, high uint64) (found []uint64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, n := range st.present.slots {
		if hash := high | n>>8; n != 0 && hash > after {
			found = append(found, hash)
		}
	}
	return found
}
