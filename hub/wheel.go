package hub

const (
	// wheelSpan is the number of one-second buckets: a power of two, over the
	// usual ping timeouts, so that what is armed is rarely put forward.
	wheelSpan = 512
	wheelMask = wheelSpan - 1

	// fireCost is what a fired entry takes off the budget: ending a connection
	// costs some microseconds and a write, passing an entry on some nanoseconds.
	fireCost = 64

	wheelChunk = 1 << 10 // nodes
	pageSlots  = 63      // a page is 256 bytes
	pageChunk  = 1 << 6  // pages
)

// wheel holds at most one deadline for each slot, in ticks of one second. It
// knows no clock: Advance is told the time. The zero value is an empty wheel at
// tick 0. It is not safe for concurrent use.
//
// It is lazy. A bucket is a bag of slots that are to be looked at when its tick
// comes; what is to happen then, the slot's node says. Pushing a deadline later
// only stores it, and disarming only forgets it: the slot stays in its bag, and
// is put forward, or dropped, when it is looked at. So the most frequent
// operation, a ping, is one store, and a tick reads bags from end to end instead
// of following links from one cache miss to the next (a linked list of the same
// size took five times as long). Nodes and bags lie in chunks that never move
// and hold no pointers, so the collector passes them by.
type wheel struct {
	now     uint32 // the tick that has been, or is being, worked through
	nodes   []*[wheelChunk]wheelNode
	buckets [wheelSpan]bag
	atWork  bag // what is left of the bucket of now
	pages   []*[pageChunk]page
	free    uint32 // first unused page
	fetched uint32 // a use for what is only to be fetched
}

// wheelNode is one slot's entry.
type wheelNode struct {
	due uint32 // 0: not armed
	at  uint32 // when after now: the slot is in the bucket of this tick
}

// bag is a stack of slots on a list of pages, all but the first of them full.
// Page numbers start at 1.
type bag struct {
	first uint32
	used  uint32 // of the first page
}

type page struct {
	next  uint32
	slots [pageSlots]uint32
}

// Set arms slot for tick due, or for the next tick when due is not after the
// wheel's. It replaces an earlier Set.
func (w *wheel) Set(slot, due uint32) {
	for uint32(len(w.nodes))*wheelChunk <= slot {
		w.nodes = append(w.nodes, new([wheelChunk]wheelNode))
	}
	n := w.node(slot)
	n.due = max(due, w.now+1)
	if n.at <= w.now || n.at > n.due {
		w.file(slot, n)
	}
}

// Clear disarms slot.
func (w *wheel) Clear(slot uint32) {
	if slot/wheelChunk < uint32(len(w.nodes)) {
		w.node(slot).due = 0
	}
}

// lag is how many ticks are not worked through at now.
func (w *wheel) lag(now uint32) int64 {
	lag := int64(now) - int64(w.now) - 1 // that of now itself is due
	if w.atWork.first != 0 {
		lag++
	}
	return max(lag, 0)
}

// Advance works through the ticks up to now and calls fire for each slot that
// is due; fire may call Set and Clear. Its work is bounded by budget, in slots
// looked at; where more is true that was not enough, and Advance is to be called
// again.
func (w *wheel) Advance(now uint32, budget int, fire func(slot uint32)) (more bool) {
	for {
		for w.atWork.first != 0 {
			if budget = w.workPage(budget, fire); w.atWork.used > 0 {
				return true
			}
			w.dropPage()
		}
		if w.now >= now {
			return false
		}
		w.now++
		bucket := &w.buckets[w.now&wheelMask]
		w.atWork, *bucket = *bucket, bag{}
	}
}

// workPage looks at the slots of the first page at work until it is empty or the
// budget is used up, and returns what is left of that.
func (w *wheel) workPage(budget int, fire func(slot uint32)) int {
	b := &w.atWork
	p := w.page(b.first)
	// The nodes are all over the memory. Asked for together, without anything
	// that depends on them in between, they arrive together: half the time.
	for _, slot := range p.slots[:b.used] {
		w.fetched += w.node(slot).due
	}
	for b.used > 0 && budget > 0 {
		b.used--
		budget -= w.look(p.slots[b.used], fire)
	}
	return budget
}

// dropPage frees the first page at work, which is empty.
func (w *wheel) dropPage() {
	b := &w.atWork
	p := w.page(b.first)
	b.first, p.next, w.free = p.next, w.free, b.first
	b.used = 0
	if b.first != 0 {
		b.used = pageSlots
	}
}

// look does what the node of a slot that was in the bucket of this tick says,
// and returns the cost.
func (w *wheel) look(slot uint32, fire func(slot uint32)) int {
	n := w.node(slot)
	switch {
	case n.due == 0 || n.at != w.now: // disarmed, or filed a second time
		return 1
	case n.due > w.now:
		w.file(slot, n)
		return 1
	default:
		n.due = 0
		fire(slot)
		return fireCost
	}
}

// file puts slot into the bucket of its deadline, or of the furthest tick that
// the wheel reaches.
func (w *wheel) file(slot uint32, n *wheelNode) {
	n.at = min(n.due, w.now+wheelMask)
	b := &w.buckets[n.at&wheelMask]
	if b.first == 0 || b.used == pageSlots {
		b.first, b.used = w.newPage(b.first), 0
	}
	w.page(b.first).slots[b.used] = slot
	b.used++
}

func (w *wheel) node(slot uint32) *wheelNode {
	return &w.nodes[slot/wheelChunk][slot%wheelChunk]
}

func (w *wheel) page(number uint32) *page {
	return &w.pages[(number-1)/pageChunk][(number-1)%pageChunk]
}

func (w *wheel) newPage(next uint32) uint32 {
	if w.free == 0 {
		from := uint32(len(w.pages)) * pageChunk
		w.pages = append(w.pages, new([pageChunk]page))
		for number := from + pageChunk; number > from; number-- {
			w.page(number).next, w.free = w.free, number
		}
	}
	number := w.free
	p := w.page(number)
	w.free, p.next = p.next, next
	return number
}
