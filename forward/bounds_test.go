package forward

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestDrainedIsCalledOnceForEachTimeALaneWasFull(t *testing.T) {
	drained := make(chan uint64, 100)
	cfg := Config{QueueEvents: 4, RetryFor: time.Second, Drained: func(key uint64) { drained <- key }}
	bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		var fail atomic.Bool
		a.serve = func(_ post, w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Second)
			if fail.Load() {
				w.WriteHeader(400)
			}
		}
		for round := range 4 { // half of them are emptied by failures
			fail.Store(round%2 == 1)
			for i := range 4 {
				full := f.Message(source(1, i), []byte("1"), false)
				equal(t, fmt.Sprintf("full at %d", i), full, i == 3)
			}
			f.Close(source(1, 4), End{}) // has room
			synctest.Wait()
			equal(t, "drained too early", len(drained), 0)
			time.Sleep(2500 * time.Millisecond)
			equal(t, "drained at half and one", len(drained), 0)
			time.Sleep(time.Second)
			equal(t, "drained at half", len(drained), 1)
			equal(t, "key", take(t, drained), 1)
			time.Sleep(10 * time.Second)
			equal(t, "drained twice", len(drained), 0)
		}
	})
	equal(t, "drained after the end", len(drained), 0)
}

func TestPressureRisesOverTheLimitAndFallsAtHalf(t *testing.T) {
	calls := make(chan bool, 100)
	const limit = 64 << 10
	cfg := Config{Memory: limit, Pressure: func(on bool) { calls <- on }}
	bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		for range 3 {
			release := make(chan struct{})
			a.serve = func(post, http.ResponseWriter, *http.Request) { <-release }
			n := 0
			for ; f.Stats().Bytes <= limit; n++ {
				equal(t, "pressure below the limit", f.Stats().Pressure, false)
				f.Message(source(n, 0), make([]byte, 700), true)
				synctest.Wait()
			}
			equal(t, "calls", len(calls), 1)
			equal(t, "told", take(t, calls), true)
			equal(t, "pressure", f.Stats().Pressure, true)
			if n > limit/700 || n < limit/4000 {
				t.Errorf("%d events of 700 bytes make %d", n, limit)
			}
			for f.Stats().Bytes > limit/2 {
				equal(t, "calls over half", len(calls), 0)
				release <- struct{}{}
				synctest.Wait()
			}
			equal(t, "calls", len(calls), 1)
			equal(t, "told", take(t, calls), false)
			close(release)
			synctest.Wait()
			equal(t, "bytes in the end", f.Stats().Bytes, 0)
			equal(t, "calls in the end", len(calls), 0)
		}
	})
}
