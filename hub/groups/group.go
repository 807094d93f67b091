package groups

// group is a group that has members on this loop. An entry that is not used has
// no members.
type group struct {
	hash  uint64
	name  place
	chain uint32 // next in its bucket, or next unused entry
	first uint32 // the newest member's record
	count uint32 // members
	mark  uint32 // see Table.Mark
}

// index finds groups by hash. It is divided like the directory, so that none of its
// parts is large when it grows.
type index struct {
	buckets []uint32 // first group of each chain; a power of two
	count   int
}

func (ix *index) bucket(hash uint64) *uint32 {
	return &ix.buckets[uint32(hash>>1)&uint32(len(ix.buckets)-1)]
}

// find returns the group with this name, or 0.
func (t *Table) find(n Name) uint32 {
	for g := t.chain(n.hash); g != 0; g = t.groups.at(g).chain {
		if e := t.groups.at(g); e.hash == n.hash && t.names.is(e.name, n.text) {
			return g
		}
	}
	return 0
}

// chain is the first group that may have this hash.
func (t *Table) chain(hash uint64) uint32 {
	ix := &t.index[hash>>56]
	if ix.count == 0 {
		return 0
	}
	return *ix.bucket(hash)
}

// create makes a group without members.
func (t *Table) create(n Name) uint32 {
	ix := &t.index[n.hash>>56]
	if ix.count >= len(ix.buckets) {
		t.rehash(ix, max(8, 2*len(ix.buckets)))
	}
	g := t.free
	if g != 0 {
		t.free = t.groups.at(g).chain
	} else {
		t.top++
		g = t.top
		t.spend(t.groups.grow(g))
	}
	bucket := ix.bucket(n.hash)
	e := t.groups.at(g)
	*e = group{hash: n.hash, chain: *bucket}
	*bucket = g
	ix.count++
	t.count++
	e.name = t.names.add(t, n.text, g)
	return g
}

// destroy removes a group whose last member has gone.
func (t *Table) destroy(g uint32) {
	e := t.groups.at(g)
	ix := &t.index[e.hash>>56]
	link := ix.bucket(e.hash)
	for *link != g {
		link = &t.groups.at(*link).chain
	}
	*link = e.chain
	hash, name := e.hash, e.name
	*e = group{chain: t.free}
	t.free = g
	ix.count--
	t.count--
	if !t.has(hash) {
		t.dir.vanish(hash, t.loop)
	}
	if w := t.dir.watcher; w != nil {
		w.GroupGone(string(t.names.text(name)))
	}
	t.names.remove(t, name)
	switch {
	case t.count == 0:
		t.clear()
	case len(ix.buckets) > 8 && 8*ix.count < len(ix.buckets):
		t.rehash(ix, len(ix.buckets)/2)
	}
}

// has reports whether there is a group with this hash: two names may have the same.
func (t *Table) has(hash uint64) bool {
	for g := t.chain(hash); g != 0; g = t.groups.at(g).chain {
		if t.groups.at(g).hash == hash {
			return true
		}
	}
	return false
}

func (t *Table) rehash(ix *index, size int) {
	old := ix.buckets
	ix.buckets = make([]uint32, size)
	t.spend(4 * int64(size-len(old)))
	for _, g := range old {
		for g != 0 {
			e := t.groups.at(g)
			bucket := ix.bucket(e.hash)
			g, e.chain, *bucket = e.chain, *bucket, g
		}
	}
}

// clear gives back all memory of a table without groups, however little it is: on
// many loops it could be all that Reserve may give away, and no join would use it.
func (t *Table) clear() {
	t.records, t.groups, t.names, t.stamps = chunks[record]{}, chunks[group]{}, names{}, chunks[uint32]{}
	t.index = [stripeCount]index{}
	t.top, t.free = 0, 0
	t.spend(-t.spent)
}
