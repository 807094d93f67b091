package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// trimEvery is how often trim looks, about.
const trimEvery = time.Second

// heap is what the runtime says of its memory.
type heap struct {
	allocated uint64 // bytes, since the start
	live      uint64 // after the last collection
	free      uint64 // held back from the system
}

// trim gives memory back once there is nothing to do: connections that are
// open and silent should cost what they hold and not, on top of that, what the
// collector keeps ready for traffic. It returns with ctx.
func trim(ctx context.Context) {
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

// due takes in what is seen a tick later. Memory is given back when little was
// allocated meanwhile, and since the last time so much that it pays: collections
// on this account are then rarer than the collector's own under load.
func (t *trimmer) due(now heap) bool {
	meanwhile := now.allocated - t.last.allocated
	t.last = now
	quiet := meanwhile <= now.live/64
	worth := now.allocated-t.trimmed.allocated > now.live/16 || now.free > t.trimmed.free+now.live/16
	return quiet && worth
}

func (t *trimmer) done(now heap) { t.last, t.trimmed = now, now }
