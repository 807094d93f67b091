package netpoll

import (
	"math/bits"
	"sync/atomic"
)

// A connection's own limits bound the memory that it may hold; a budget bounds the
// memory that all connections may hold together. If a budget is exceeded, those
// who hold the most give way, not those who come last: a client that fills the
// budget pays for that itself, and clients that hold little do not notice.
//
//	holder   what one connection holds of a budget
//	holders  those of one loop, by size class; owned by the loop
//	budget   the sum of all loops, and the size of each loop's largest holder
//
// After each event a loop looks whether a budget is exceeded (one atomic load). If
// the largest holder is one of its own, that connection gives way.

// Budget names a budget.
type Budget uint8

// The budgets.
const (
	HeaderBudget  Budget = iota // request heads larger than UsualHead, incomplete or kept: Config.HeaderMemory
	OutboxBudget                // what waits for clients: Config.OutboxMemory
	MessageBudget               // messages that have arrived in part: Config.MaxAssemblyMemory
	ResumeBudget                // messages that are kept for sending again: Config.ResumeMemory
	SocketBudget                // what the kernel holds for clients, as last looked at: Config.SocketMemory
	budgets
)

// countedBudgets is how many budgets are counted as memory is taken and released.
// The last one, what the kernel holds, is measured.
const countedBudgets = int(SocketBudget)

// Budgets is how many there are.
const Budgets = int(budgets)

// String returns the budget's name in metrics.
func (b Budget) String() string {
	return [budgets]string{"headers", "outboxes", "messages", "resume", "sockets"}[b]
}

// BudgetStats says how far a budget is used, and how often it was exceeded.
type BudgetStats struct {
	Limit, Used int64  // gauges, bytes
	GaveWay     uint64 // connections that were closed, or not opened, because they held the most
}

// budget is what all loops hold together.
type budget struct {
	limit   atomic.Int64
	alarm   func() // wakes the loops; called if the limit is exceeded
	used    atomic.Int64
	gaveWay atomic.Uint64
	tops    []top // by loop
}

// top is the score of a loop's largest holder, as that loop last published it. It
// has a cache line of its own.
type top struct {
	atomic.Int64
	_ [56]byte
}

// add counts so many bytes more, or fewer if bytes is negative. A nil budget counts
// nothing.
func (b *budget) add(bytes int64) {
	if b == nil || bytes == 0 {
		return
	}
	if used := b.used.Add(bytes); bytes > 0 && used > b.limit.Load() {
		b.alarm()
	}
}

func (b *budget) over() bool { return b.used.Load() > b.limit.Load() }

// fits reports whether so many bytes more fit, or some connection holds more than
// that and can give way. Otherwise a newcomer would itself be the largest holder.
func (b *budget) fits(bytes int64) bool {
	if b.used.Load()+bytes <= b.limit.Load() {
		return true
	}
	for i := range b.tops {
		if sizeClass(b.tops[i].Load()) > sizeClass(bytes) {
			return true
		}
	}
	return false
}

// isLargest reports whether no other loop has published a larger holder.
func (b *budget) isLargest(loop int, score int64) bool {
	for i := range b.tops {
		if i != loop && b.tops[i].Load() > score {
			return false
		}
	}
	return true
}

func (b *budget) stats() BudgetStats {
	return BudgetStats{Limit: b.limit.Load(), Used: b.used.Load(), GaveWay: b.gaveWay.Load()}
}

// holder is what one connection holds. The zero value holds nothing.
type holder struct {
	bytes      int64
	still      int64 // of these, bytes that do not age: see score
	slot       uint32
	since      uint32 // the tick in which it began to hold something
	prev, next *holder
}

const sizeClasses = 64

// sizeClass is the power of two that bytes are below.
func sizeClass(bytes int64) int { return bits.Len64(uint64(bytes)) }

// holders are the holders of one loop and one budget, in a list for each size
// class, oldest first. Only the loop's goroutine uses it.
type holders struct {
	*budget
	loop    int
	aged    bool  // memory that is held for long counts more: see score
	held    int64 // bytes of all holders
	classes [sizeClasses + 1]struct{ first, last *holder }
	highest int // class, at least that of the largest holder
}

// set notes that h, the holder of slot's connection, holds so many bytes from now
// on. It does not count them in the budget.
func (p *holders) set(h *holder, slot uint32, bytes int64, now uint32) {
	was, is := sizeClass(h.bytes), sizeClass(bytes)
	p.held += bytes - h.bytes
	if h.bytes == 0 {
		h.slot, h.since = slot, now
	}
	h.bytes = bytes
	if was == is {
		return
	}
	largest := is > p.highest // link raises it
	if was > 0 {
		p.unlink(h, was)
	}
	if is > 0 {
		p.link(h, is)
	}
	if was >= p.highest || largest {
		p.show(now)
	}
}

func (p *holders) link(h *holder, class int) {
	list := &p.classes[class]
	h.prev, h.next = list.last, nil
	if list.last == nil {
		list.first = h
	} else {
		list.last.next = h
	}
	list.last = h
	p.highest = max(p.highest, class)
}

func (p *holders) unlink(h *holder, class int) {
	list := &p.classes[class]
	if h.prev == nil {
		list.first = h.next
	} else {
		h.prev.next = h.next
	}
	if h.next == nil {
		list.last = h.prev
	} else {
		h.next.prev = h.prev
	}
	h.prev, h.next = nil, nil
	for p.highest > 0 && p.classes[p.highest].first == nil {
		p.highest--
	}
}

// looked is how many holders of a class are compared to find the largest.
const looked = 16

// largest returns the holder with the highest score, or nil. It compares the first
// of each class, which have been there longest.
func (p *holders) largest(now uint32) (h *holder, score int64) {
	for class := p.highest; class > 0; class-- {
		n := 0
		for other := p.classes[class].first; other != nil && n < looked; other = other.next {
			if s := p.score(other, now); s > score {
				h, score = other, s
			}
			n++
		}
		if !p.aged && h != nil {
			break
		}
	}
	return h, score
}

// score ranks holders by bytes, or, if aged is set, by bytes times seconds: a client
// that leaves a message unfinished for long then gives way before one that is about
// to complete a larger message. Bytes that wait for the app do not age, since the
// client cannot help that.
func (p *holders) score(h *holder, now uint32) int64 {
	if p.aged {
		return (h.bytes-h.still)*int64(now-h.since+1) + h.still
	}
	return h.bytes
}

// show publishes the score of the largest holder to the other loops.
func (p *holders) show(now uint32) {
	_, score := p.largest(now)
	p.tops[p.loop].Store(score)
}
