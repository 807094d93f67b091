package interest

// Table knows which names the other instances have told. An instance of which it does
// not know everything is in Incomplete. One goroutine may use it at a time. Make it
// with NewTable.
type Table struct {
	// Static.
	spread spread
	most   int

	shards    [shards]shard
	instances [MaxInstances]instance
	complete  Set

	entries   int    // of instances that have not been forgotten
	forgotten int    // entries of the others, which are still in the shards
	forgets   uint64 // how many times an instance was forgotten
	sweeping  int    // the shard to sweep next
	gaveWay   uint64
}

// shard is a part of the hashes: each with the instance that has it.
type shard struct {
	slots
	swept uint64 // Table.forgets when it was swept
}

// instance is what the Table keeps of one of the others. digest is of what it has.
type instance struct {
	state  State
	behind uint8 // heartbeats since the last message, while something is to come
	digest Digest
	forget uint64 // Table.forgets when it was forgotten
}

// State says how much of what an instance has told a Table has.
type State uint8

// The states. An instance is complete only when Known.
const (
	Unknown  State = iota // nothing: it is to be asked for everything
	Syncing               // a part: the rest is on its way
	Known                 // everything
	TooMany               // nothing: it has so much that others had no room
	Doubtful              // everything up to a moment: changes after it may have been missed
)

func (s State) String() string {
	return [...]string{"unknown", "syncing", "known", "too many", "doubtful"}[s]
}

// NewTable returns a table in which every instance is Unknown. It keeps at most so many
// names, counted for each instance that has them; an entry takes about 12 bytes. seed
// is a number that nobody else knows.
func NewTable(seed uint64, most int) *Table {
	return &Table{spread: newSpread(seed), most: most}
}

// Find adds the instances to found that have told this hash. Those in Incomplete may
// have it, too.
func (t *Table) Find(h Hash, found *Set) {
	sh := &t.shards[t.spread.shard(h)]
	if sh.count == 0 {
		return
	}
	for i := sh.home(t.spread, h); sh.at[i] != 0; i = sh.next(i) {
		if e := sh.at[i]; e.hash() == h && t.valid(sh, e) {
			found.Add(e.low())
		}
	}
}

// valid reports whether an entry's instance has not been forgotten since the entry was
// made. An entry is made only in a shard that has just been swept.
func (t *Table) valid(sh *shard, e entry) bool { return t.instances[e.low()].forget <= sh.swept }

// Incomplete returns the numbers of which not everything is known, those that no
// instance has included.
func (t *Table) Incomplete() (s Set) {
	for i, word := range t.complete {
		s[i] = ^word
	}
	return s
}

// State says how much is known of an instance.
func (t *Table) State(i uint8) State { return t.instances[i].state }

// Digest returns the digest of what is known of an instance.
func (t *Table) Digest(i uint8) Digest { return t.instances[i].digest }

// Entries returns how many names are kept, counted for each instance that has them.
func (t *Table) Entries() int { return t.entries }

// GaveWay returns how many times an instance has become TooMany.
func (t *Table) GaveWay() uint64 { return t.gaveWay }

// HasRoom reports whether an instance that has so many names would find room.
func (t *Table) HasRoom(names uint64) bool {
	return names <= uint64(max(0, t.most-t.entries))
}

// Doubt notes that changes of an instance may have been missed. If it was Known it is
// Doubtful, until Check is told that nothing is missing: what is known of it is kept.
func (t *Table) Doubt(i uint8) (doubted bool) {
	in := &t.instances[i]
	if in.state != Known {
		return false
	}
	in.state, in.behind = Doubtful, 0
	t.complete.Remove(i)
	return true
}

func (t *Table) know(i uint8) {
	t.instances[i].state, t.instances[i].behind = Known, 0
	t.complete.Add(i)
}

// Forget makes an instance Unknown. It takes no time for what was known of it: that is
// swept out as others tell something, or by Sweep.
func (t *Table) Forget(i uint8) { t.forget(i, Unknown) }

func (t *Table) forget(i uint8, state State) {
	in := &t.instances[i]
	if n := int(in.digest.Count); n > 0 {
		t.entries -= n
		t.forgotten += n
		t.forgets++
		in.forget = t.forgets
	}
	in.state, in.behind, in.digest = state, 0, Digest{}
	t.complete.Remove(i)
}

// Sweep frees the memory of instances that have been forgotten, for one in 1024 of all
// hashes. more says whether some is left.
func (t *Table) Sweep() (more bool) {
	if t.forgotten == 0 {
		return false
	}
	t.sweep(&t.shards[t.sweeping])
	t.sweeping = (t.sweeping + 1) % shards
	return t.forgotten > 0
}

func (t *Table) sweep(sh *shard) {
	if sh.swept == t.forgets {
		return
	}
	before := sh.count
	if t.forgotten > 0 && before > 0 {
		sh.keep(t.spread, func(e entry) bool { return t.valid(sh, e) })
	}
	t.forgotten -= before - sh.count
	sh.swept = t.forgets
}

// add notes that an instance has a name.
func (t *Table) add(i uint8, h Hash) {
	t.Sweep() // or much that is forgotten would stay while others take as much again
	sh, e := &t.shards[t.spread.shard(h)], makeEntry(h, i)
	t.sweep(sh)
	if _, found := sh.find(t.spread, e); found {
		return
	}
	sh.insert(t.spread, e)
	t.instances[i].digest.add(h)
	if t.entries++; t.entries > t.most {
		t.forget(t.largest(), TooMany)
		t.gaveWay++
	}
}

// remove notes that an instance has a name no more.
func (t *Table) remove(i uint8, h Hash) {
	sh := &t.shards[t.spread.shard(h)]
	t.sweep(sh)
	if at, found := sh.find(t.spread, makeEntry(h, i)); found {
		sh.removeAt(t.spread, at)
		t.instances[i].digest.remove(h)
		t.entries--
	}
}

// largest is the instance that has the most entries: that one gives way, whoever came
// last, so that sends in vain go to one instance and not to many.
func (t *Table) largest() (i uint8) {
	for other := range t.instances {
		if t.instances[other].digest.Count > t.instances[i].digest.Count {
			i = uint8(other)
		}
	}
	return i
}
