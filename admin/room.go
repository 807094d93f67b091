package admin

import (
	"sync"
	"sync/atomic"

	"ws-gateway/netpoll"
)

// room bounds the memory of commands, all together: their bodies, and the messages
// made of them until every loop has sent its share. Nobody waits for it: who does not
// fit is answered 503 before its body is read. One command always fits, whatever its
// size, or a body within Config.MaxBodyBytes could never be taken.
type room struct {
	limit   atomic.Int64
	used    atomic.Int64
	refused atomic.Uint64
}

func (r *room) stats() netpoll.BudgetStats {
	return netpoll.BudgetStats{Limit: r.limit.Load(), Used: r.used.Load(), GaveWay: r.refused.Load()}
}

// place is what one command holds. It belongs to one goroutine at a time.
type place struct {
	room *room
	held int64
}

// grow takes more, if there is room. What the place holds already is its own
// business: alone in the room it may grow as it likes.
func (p *place) grow(bytes int64) bool {
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
	p.leave()
	places.Put(p)
}

// leave gives back all.
func (p *place) leave() { p.keep(0) }
