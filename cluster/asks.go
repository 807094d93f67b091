package cluster

import (
	"maps"
	"net/netip"
	"time"

	"ws-gateway/hub"
	"ws-gateway/tokenbucket"
)

// fewestAsks is how many questions a second are always allowed; otherwise as many as there
// may be relays.
const fewestAsks = 64

// asks bounds how many questions a second other instances are asked for clients here. One
// address may use half of that: whoever makes up tokens leaves the rest to the others. It
// knows an address for as long as that may not ask as many as ever, and a second more; these
// are no more than may be asked in three seconds.
type asks struct {
	all, each tokenbucket.Rate
	spent     tokenbucket.Bucket
	by        map[hub.Block]tokenbucket.Bucket
	forgetAt  time.Duration
}

func newAsks(perSecond int) asks {
	all, each := float64(perSecond), float64(perSecond/2)
	return asks{all: tokenbucket.NewRate(all, all), each: tokenbucket.NewRate(each, each), by: map[hub.Block]tokenbucket.Bucket{}}
}

// allow reports whether one more may be asked for a client of this address, and counts it.
func (a *asks) allow(from netip.Addr, now time.Duration) bool {
	if now >= a.forgetAt {
		maps.DeleteFunc(a.by, func(_ hub.Block, b tokenbucket.Bucket) bool { return time.Duration(b) <= now })
		a.forgetAt = now + time.Second
	}
	block := hub.BlockOf(from)
	own := a.by[block]
	if a.spent.Left(&a.all, now) == 0 || own.Left(&a.each, now) == 0 {
		return false
	}
	a.spent.Spend(&a.all, now, 1)
	own.Spend(&a.each, now, 1)
	a.by[block] = own
	return true
}
