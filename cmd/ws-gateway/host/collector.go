package host

import (
	"os"
	"runtime/debug"
)

// The collector's headroom over what is live, in per cent (GOGC). What lives here is
// mostly idle connections, which give it little to do: Go's default of 100 would take
// half as much memory again for each. Traffic allocates fast and keeps nothing, so that
// with little headroom one collection follows the other, and each marks the same idle
// connections.
const (
	idlePercent = 25
	// busyHeadroom is the most memory in bytes that headroom above idlePercent may take.
	// With so much collections are rare at any rate.
	busyHeadroom = 128 << 20
	// headroomShare is the part of what is left below the memory limit that it may take:
	// the rest is for what traffic itself holds.
	headroomShare = 4
)

// steps are the percentages under traffic. They are few, so that the percentage does not
// follow each movement of the heap: setting it stops the world for a moment.
var steps = [...]int{200, 100, 50, idlePercent}

// How the percentage follows traffic.
const (
	smallHeap  = 4 << 20 // the runtime takes a heap to be at least as large
	busyAfter  = 2       // looks in a row with much allocated, until it goes up
	quietAfter = 10      // looks in a row with less than a quarter of much, until it goes down
	roomToRise = 2       // times the headroom that must be there for it to go up
)

// TuneCollector sets how often the garbage collector runs in a quiet process, unless
// GOGC in the environment says otherwise. [Trim] changes it under traffic.
func TuneCollector() {
	if !collectorIsTold() {
		debug.SetGCPercent(idlePercent)
	}
}

// collectorIsTold says whether the environment says how often it runs.
func collectorIsTold() bool { return os.Getenv("GOGC") != "" }

// pacer decides about the collector's percentage.
type pacer struct {
	percent    int    // in force
	last       uint64 // bytes that had been allocated at the last look
	busy, less int    // looks in a row that found much allocated, and less than a quarter of that
}

// next returns the percentage from now on. now is what the runtime reports a tick after
// the last call; quiet, that next to nothing was allocated meanwhile.
//
// Much is as many bytes as live: at 25 % four collections in a tick. The percentage goes
// up after a few such looks, and down at once when it is quiet, so that traffic that
// comes and goes by the second does not move it to and fro.
func (p *pacer) next(now heap, quiet bool) int {
	meanwhile, much := now.allocated-p.last, max(now.live, smallHeap)
	p.last = now.allocated
	p.busy, p.less = counted(p.busy, meanwhile >= much), counted(p.less, meanwhile < much/4)
	switch {
	case quiet || p.less >= quietAfter:
		p.percent = idlePercent
	case p.percent > idlePercent:
		p.percent = min(p.percent, affordable(now, 1)) // more connections, or less memory
	case p.busy >= busyAfter:
		p.percent = affordable(now, roomToRise)
	}
	return p.percent
}

// counted counts how many times in a row something was so.
func counted(before int, so bool) int {
	if so {
		return before + 1
	}
	return 0
}

// affordable is the largest step whose headroom, so many times, is within bounds.
func affordable(h heap, times uint64) int {
	room := uint64(busyHeadroom)
	if h.limit > 0 {
		room = min(room, (h.limit-min(h.limit, h.needed))/headroomShare)
	}
	for _, percent := range steps {
		if max(h.live, smallHeap)/100*uint64(percent)*times <= room {
			return percent
		}
	}
	return idlePercent
}
