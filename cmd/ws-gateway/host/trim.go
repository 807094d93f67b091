package host

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// trimEvery is about how often Trim looks.
const trimEvery = time.Second

// heap is what the runtime reports about its memory.
type heap struct {
	allocated uint64 // bytes, since the start
	live      uint64 // after the last collection
	free      uint64 // held back from the system
}

// Trim returns free memory to the system when there is nothing to do: silent
// connections should cost what they hold, without the headroom that the collector
// keeps for traffic. It returns when ctx ends.
func Trim(ctx context.Context) {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
	read := func() heap {
		metrics.Read(samples)
		return heap{samples[0].Value.Uint64(), samples[1].Value.Uint64(), samples[2].Value.Uint64()}
	}
	var t trimmer
	ticker := time.NewTicker(trimEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if t.due(read()) {
			debug.FreeOSMemory()
			t.done(read())
		}
	}
}

// trimmer decides when memory is given back.
type trimmer struct {
	last    heap // what was seen last
	trimmed heap // right after the last time
}

// due decides by the figures a tick later. Memory is given back if little was
// allocated since the last tick, and enough since the last trim to be worth it: that
// way these collections are rarer than the collector's own under load.
func (t *trimmer) due(now heap) bool {
	meanwhile := now.allocated - t.last.allocated
	t.last = now
	quiet := meanwhile <= now.live/64
	worth := now.allocated-t.trimmed.allocated > now.live/16 || now.free > t.trimmed.free+now.live/16
	return quiet && worth
}

func (t *trimmer) done(now heap) { t.last, t.trimmed = now, now }
