package admin

import (
	"net"
	"runtime"
	"sync/atomic"
	"testing"
)

// However fast they come: no more are served at a time than there are places, and the
// one that is on its way out.
func TestWhoTakesAPlaceWaitsUntilItsLastOwnerIsNoLongerServed(t *testing.T) {
	const places, comers = 4, 500
	d := &door{most: places}
	var serving, most atomic.Int64
	for range comers {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		d.enter(ours, nil, func(c *caller) {
			if n := serving.Add(1); n > most.Load() {
				most.Store(n)
			}
			c.Read(make([]byte, 1)) // to its end
			for range 50 {          // it takes its time
				runtime.Gosched()
			}
			serving.Add(-1)
		})
	}
	if _, _, refused := d.counts(); refused != comers-places {
		t.Errorf("%d had to go, want %d", refused, comers-places)
	}
	if n := most.Load(); n > places+1 {
		t.Errorf("%d were served at a time, there are %d places", n, places)
	}
	d.cut()
	d.empty.Wait()
}
