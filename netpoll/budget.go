package netpoll

import (
	"math/bits"
	"sync/atomic"
)

// Memory that one connection may hold is bounded by its own limits; memory that
// all may hold together by a budget. What is past a budget is asked back from
// those who hold the most, not from those who come last: a client that fills it
// pays for that itself, and who holds little does not notice.
//
//	holder  what one connection has of a budget; it hangs off what is held
//	purse   a loop's holders, by size class; the loop's own
//	budget  the sum of all loops, and the largest holder of each
//
// A loop looks after each event whether a budget is over (one load), and if the
// largest holder is its own that one gives way.

// Budget names a budget.
type Budget uint8

// The budgets.
const (
	HeaderBudget  Budget = iota // request heads larger than UsualHead, incomplete or kept: Config.HeaderMemory
	OutboxBudget                // what waits for clients: Config.OutboxMemory
	MessageBudget               // messages that have arrived in part: Config.MaxAssemblyMemory
	SocketBudget                // what the kernel holds for clients, as last looked at: Config.SocketMemory
	budgets
)

// purses is how many budgets are counted; what the kernel holds is looked at.
const purses = int(SocketBudget)

// Budgets is how many there are.
const Budgets = int(budgets)

// String returns the budget's name in metrics.
func (b Budget) String() string {
	return [budgets]string{"headers", "outboxes", "messages", "sockets"}[b]
}

// BudgetStats is what became of a budget.
type BudgetStats struct {
	Limit, Used int64  // gauges, bytes
	GaveWay     uint64 // connections that were closed, or not opened, because they held the most
}

// budget is what all loops hold together.
type budget struct {
	limit   atomic.Int64
	alarm   func() // wakes the loops; called when the limit is passed
	used    atomic.Int64
	gaveWay atomic.Uint64
	tops    []top // by loop
}

// top is the score of a loop's largest holder, as last shown. Loops do not share
// its cache line.
type top struct {
	atomic.Int64
	_ [56]byte
}

// add counts bytes more, or fewer. A nil budget counts nothing.
func (b *budget) add(bytes int64) {
	if b == nil || bytes == 0 {
		return
	}
	if used := b.used.Add(bytes); bytes > 0 && used > b.limit.Load() {
		b.alarm()
	}
}

func (b *budget) over() bool { return b.used.Load() > b.limit.Load() }

// fits reports whether so much more fits, and if not, whether somebody holds more
// than that: a newcomer that is itself the largest gives way at once.
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

// isLargest reports whether no other loop has shown a larger holder.
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
	still      int64 // of these, those that do not grow worse with time: see score
	slot       uint32
	since      uint32 // tick at which it began to hold something
	prev, next *holder
}

const sizeClasses = 64

// sizeClass is the power of two that bytes are below.
func sizeClass(bytes int64) int { return bits.Len64(uint64(bytes)) }

// purse has the holders of one loop and one budget in lists by size class, each
// in the order of joining. Only the loop's goroutine touches it.
type purse struct {
	*budget
	loop    int
	aged    bool // what is held long counts more: see score
	held    int64
	classes [sizeClasses + 1]struct{ first, last *holder }
	highest int // class, at least that of the largest holder
}

// set notes that h, which is that of slot's connection, holds so many bytes from
// now on. It does not count them.
func (p *purse) set(h *holder, slot uint32, bytes int64, now uint32) {
	was, is := sizeClass(h.bytes), sizeClass(bytes)
	p.held += bytes - h.bytes
	if h.bytes == 0 {
		h.slot, h.since = slot, now
	}
	h.bytes = bytes
	if was == is {
		return
	}
	if was > 0 {
		p.unlink(h, was)
	}
	if is > 0 {
		p.link(h, is)
	}
	if was >= p.highest || is > p.highest {
		p.show(now)
	}
}

func (p *purse) link(h *holder, class int) {
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

func (p *purse) unlink(h *holder, class int) {
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

// looked bounds the holders of a class that are looked at to find the largest.
const looked = 16

// largest returns the holder with the highest score, nil where there is none. It
// looks at the first ones of each class, which have been there longest.
func (p *purse) largest(now uint32) (h *holder, score int64) {
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

// score ranks holders: by bytes or, where what is held is on its way to be
// complete, by bytes and seconds. A client that holds half a message for long is
// then worse than one that is about to send a larger one. What has been read and
// waits for the app does not age: that it takes long is not the client's doing.
func (p *purse) score(h *holder, now uint32) int64 {
	if p.aged {
		return (h.bytes-h.still)*int64(now-h.since+1) + h.still
	}
	return h.bytes
}

// show tells the other loops how large the largest holder is.
func (p *purse) show(now uint32) {
	_, score := p.largest(now)
	p.tops[p.loop].Store(score)
}
