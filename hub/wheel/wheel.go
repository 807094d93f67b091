package wheel

const (
	// span is the number of one-second buckets: a power of two, and more than the
	// usual ping timeouts, so that few slots have to be filed a second time.
	span = 512
	mask = span - 1

	nodeChunk = 1 << 10 // nodes
	pageSlots = 63      // a page is 256 bytes
	pageChunk = 1 << 6  // pages
)

// FireCost is what a slot that fires takes off Advance's budget. To end a
// connection takes some microseconds and a write, to file a slot again some
// nanoseconds.
const FireCost = 64

// Wheel holds at most one deadline for each slot, in ticks of one second. It
// knows no clock: Advance is told the time. The zero value is an empty wheel at
// tick 0. It is not safe for concurrent use.
//
// It is lazy. A bucket is a bag of slots to look at when its tick comes; the
// slot's node says what to do with it then. A later deadline is only stored in
// the node, and a disarmed one only forgotten there: the slot stays in its bag
// until the wheel looks at it and files it again or drops it. So the most
// frequent operation, a ping, is one store. A tick reads bags from end to end
// instead of following links from one cache miss to the next (a linked list of
// the same size took five times as long). Nodes and bags lie in chunks that
// never move and hold no pointers, so the garbage collector does not scan them.
type Wheel struct {
	now     uint32 // the tick that has been, or is being, worked through
	nodes   []*[nodeChunk]node
	buckets [span]bag
	atWork  bag // what is left of the bucket of now
	pages   []*[pageChunk]page
	free    uint32 // first unused page
	fetched uint32 // keeps the compiler from dropping workPage's early reads
}

// node is the deadline of one slot.
type node struct {
	due uint32 // 0: not armed
	at  uint32 // if it is after now: the slot is in the bucket of this tick
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

// Set arms slot for tick due, or for the next tick if due is not after the
// wheel's. It replaces an earlier Set.
func (w *Wheel) Set(slot, due uint32) {
	for uint32(len(w.nodes))*nodeChunk <= slot {
		w.nodes = append(w.nodes, new([nodeChunk]node))
	}
	n := w.node(slot)
	n.due = max(due, w.now+1)
	if n.at <= w.now || n.at > n.due {
		w.file(slot, n)
	}
}

// Clear disarms slot.
func (w *Wheel) Clear(slot uint32) {
	if slot/nodeChunk < uint32(len(w.nodes)) {
		w.node(slot).due = 0
	}
}

// Lag returns how many ticks are behind schedule at now.
func (w *Wheel) Lag(now uint32) int64 {
	lag := int64(now) - int64(w.now) - 1 // that of now itself is due
	if w.atWork.first != 0 {
		lag++
	}
	return max(lag, 0)
}

// Advance works through the ticks up to now and calls fire for each slot that
// is due; fire may call Set and Clear. budget bounds the work of one call: a slot
// that is looked at takes 1 of it, one that fires takes FireCost. If more is true the
// budget was not enough, and the caller must call Advance again.
func (w *Wheel) Advance(now uint32, budget int, fire func(slot uint32)) (more bool) {
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
		bucket := &w.buckets[w.now&mask]
		w.atWork, *bucket = *bucket, bag{}
	}
}

// workPage looks at the slots of the first page at work until the page is empty
// or the budget is used up, and returns what is left of the budget.
func (w *Wheel) workPage(budget int, fire func(slot uint32)) int {
	b := &w.atWork
	p := w.page(b.first)
	// The nodes are all over the memory. The processor fetches them side by side
	// if nothing in between depends on them: that takes half the time.
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
func (w *Wheel) dropPage() {
	b := &w.atWork
	p := w.page(b.first)
	b.first, p.next, w.free = p.next, w.free, b.first
	b.used = 0
	if b.first != 0 {
		b.used = pageSlots
	}
}

// look handles a slot that was in the bucket of this tick, and returns the cost.
func (w *Wheel) look(slot uint32, fire func(slot uint32)) int {
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
		return FireCost
	}
}

// file puts slot into the bucket of its deadline, or into the furthest one if the
// deadline is beyond the wheel's span.
func (w *Wheel) file(slot uint32, n *node) {
	n.at = min(n.due, w.now+mask)
	b := &w.buckets[n.at&mask]
	if b.first == 0 || b.used == pageSlots {
		b.first, b.used = w.newPage(b.first), 0
	}
	w.page(b.first).slots[b.used] = slot
	b.used++
}

func (w *Wheel) node(slot uint32) *node {
	return &w.nodes[slot/nodeChunk][slot%nodeChunk]
}

func (w *Wheel) page(number uint32) *page {
	return &w.pages[(number-1)/pageChunk][(number-1)%pageChunk]
}

func (w *Wheel) newPage(next uint32) uint32 {
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
