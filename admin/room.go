package admin

import (
	"sync"
	"sync/atomic"

	"ws-gateway/netpoll"
)

// room bounds the memory of commands, all together: their bodies, and the messages
// made of them until every loop has sent its share; or of lists while they are
// written. Nobody waits for it: who does not fit is answered 503 before its body is
// read. One command always fits, whatever its size, or a body within
// Config.MaxBodyBytes could never be taken.
type room struct {
	limit   atomic.Int64
	used    atomic.Int64
	refused atomic.Uint64
}

// rooms are those of --api-memory. Lists that nobody reads leave commands their
// room, and bodies that do not come leave lists theirs.
type rooms struct {
	commands, lists room
}

// listShare is the part of --api-memory that is for lists, 1/listShare.
const listShare = 4

// configure sets how much there is for both.
func (r *rooms) configure(memory int64) {
	r.lists.limit.Store(memory / listShare)
	r.commands.limit.Store(memory - memory/listShare)
}

func (r *rooms) stats() (sum netpoll.BudgetStats) {
	for _, one := range [...]*room{&r.commands, &r.lists} {
		sum.Limit += one.limit.Load()
		sum.Used += one.used.Load()
		sum.GaveWay += one.refused.Load()
	}
	return sum
}

// place is what one command holds. It belongs to one goroutine at a time.
type place struct {
	room *room
	held int64
}

// grow takes more, if there is room. What the place holds already is its own
// business: alone in the room it may grow as it likes. A nil place has no bounds.
func (p *place) grow(bytes int64) bool {
	if p == nil {
		return true
	}
	for {
		used := p.room.used.Load()
		if used > p.held && used+bytes > p.room.limit.Load() {
			p.room.refused.Add(1)
			return false
		}
		if p.room.used.CompareAndSwap(used, used+bytes) {
			p.held += bytes
			return true
		}
	}
}

// keep gives back all but bytes.
func (p *place) keep(bytes int64) {
	if bytes = min(bytes, p.held); bytes < p.held {
		p.room.used.Add(bytes - p.held)
		p.held = bytes
	}
}

// places are those that are not in use.
var places = sync.Pool{New: func() any { return new(place) }}

func (r *room) newPlace() *place {
	p := places.Get().(*place)
	*p = place{room: r}
	return p
}

// Release gives back all, and the place itself, which must not be used any more.
func (p *place) Release() {
	if p == nil {
		return
	}
	p.leave()
	places.Put(p)
}

// leave gives back all.
func (p *place) leave() { p.keep(0) }
