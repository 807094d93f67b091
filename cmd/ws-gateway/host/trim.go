package host

import (
	"context"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// trimEvery is about how often Trim looks.
const trimEvery = time.Second

// heap is what the runtime reports about its memory, in bytes.
type heap struct {
	allocated uint64 // since the start
	live      uint64 // after the last collection
	free      uint64 // held back from the system
	needed    uint64 // of what counts against the limit, all but garbage and what is free
	limit     uint64 // GOMEMLIMIT, or what --memory-share makes of the cgroup's; 0: none
}

// reader reads what the runtime reports.
func reader() func() heap {
	names := []string{
		"/gc/heap/allocs:bytes", "/gc/heap/live:bytes", "/memory/classes/heap/free:bytes",
		"/memory/classes/total:bytes", "/memory/classes/heap/released:bytes", "/memory/classes/heap/objects:bytes", "/gc/gomemlimit:bytes",
	}
	samples := make([]metrics.Sample, len(names))
	for i, name := range names {
		samples[i].Name = name
	}
	return func() heap {
		metrics.Read(samples)
		at := func(i int) uint64 { return samples[i].Value.Uint64() }
		h := heap{allocated: at(0), live: at(1), free: at(2), limit: at(6)}
		garbage := at(5) - min(at(5), h.live)
		h.needed = at(3) - at(4) - h.free - garbage
		if h.limit == math.MaxInt64 {
			h.limit = 0
		}
		return h
	}
}

// Trim lets memory follow traffic. When there is nothing to do it returns what is free to
// the system: silent connections should cost what they hold, without the headroom that
// the collector keeps for traffic. And it gives the collector more headroom while there
// is much traffic, unless GOGC in the environment says how much. It returns when ctx ends.
func Trim(ctx context.Context) {
	ticker := time.NewTicker(trimEvery)
	defer ticker.Stop()
	k := keeper{read: reader(), free: debug.FreeOSMemory}
	if !collectorIsTold() {
		k.set = func(percent int) { debug.SetGCPercent(percent) }
	}
	k.begin()
	for {
		select {
		case <-ticker.C:
			k.look()
		case <-ctx.Done():
			return
		}
	}
}

// keeper does what Trim says, each time it looks.
type keeper struct {
	read func() heap
	free func()            // returns memory to the system
	set  func(percent int) // of the collector; nil: that is not ours

	trim trimmer
	pace pacer
}

func (k *keeper) begin() { k.pace = pacer{percent: idlePercent, last: k.read().allocated} }

func (k *keeper) look() {
	now := k.read()
	quiet := k.trim.quiet(now)
	if k.set != nil {
		before := k.pace.percent
		if after := k.pace.next(now, quiet); after != before {
			k.set(after) // before memory is given back: with less headroom there is more of it
		}
	}
	if k.trim.due(now, quiet) {
		k.free()
		k.trim.done(k.read())
	}
}

// trimmer decides when memory is given back.
type trimmer struct {
	last    heap // what was seen last
	trimmed heap // right after the last time
}

// quiet says whether little was allocated since the last tick.
func (t *trimmer) quiet(now heap) bool {
	meanwhile := now.allocated - t.last.allocated
	t.last = now
	return meanwhile <= now.live/64
}

// due decides by the figures a tick later. Memory is given back if it was quiet, and
// enough was allocated since the last trim to be worth it: that way these collections
// are rarer than the collector's own under load.
func (t *trimmer) due(now heap, quiet bool) bool {
	worth := now.allocated-t.trimmed.allocated > now.live/16 || now.free > t.trimmed.free+now.live/16
	return quiet && worth
}

func (t *trimmer) done(now heap) { t.last, t.trimmed = now, now }
