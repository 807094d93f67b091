package connlimit

import (
	"net"
	"runtime"
	"sync/atomic"
	"testing"
)

// However fast connections come, no more are served at a time than the limit, and one that
// is being evicted.
func TestAConnectionThatEvictsAnotherWaitsUntilThatOneIsNoLongerServed(t *testing.T) {
	const places, comers = 4, 500
	l := New(Config{Any: places})
	var serving, most atomic.Int64
	for range comers {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		l.Serve(ours, func(c *Conn) {
			if n := serving.Add(1); n > most.Load() {
				most.Store(n)
			}
			l.SetBusy(c, true)
			c.Read(make([]byte, 1)) // to its end
			for range 50 {          // it takes its time
				runtime.Gosched()
			}
			serving.Add(-1)
		})
	}
	if n := l.Counts().Refused; n != comers-places {
		t.Errorf("%d had to go, want %d", n, comers-places)
	}
	if n := most.Load(); n > places+1 {
		t.Errorf("%d were served at a time, there are %d places", n, places)
	}
	l.Cut()
	l.Wait()
	if got := l.Counts(); got.Local != 0 || got.Busy != 0 {
		t.Errorf("at the end: %+v", got)
	}
}
