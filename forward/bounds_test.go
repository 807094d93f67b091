package forward

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"sync"
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

func TestPressureStopsReadingBeforeItStopsConnections(t *testing.T) {
	const limit = 64 << 10
	calls := make(chan Level, 100)
	cfg := Config{Memory: limit, Pressure: func(l Level) { calls <- l }}
	bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		for range 3 {
			one := make(chan struct{})
			all, release := context.WithCancel(t.Context())
			a.serve = func(post, http.ResponseWriter, *http.Request) {
				select {
				case <-one:
				case <-all.Done():
				}
			}
			n := 0
			until := func(level Level, mark int64, event func(n int)) {
				t.Helper()
				for ; f.Stats().Bytes <= mark; n++ {
					equal(t, "calls", len(calls), 0)
					event(n)
					synctest.Wait()
				}
				equal(t, "told", take(t, calls), level)
				equal(t, "pressure", f.Stats().Pressure, true)
			}
			until(Stopped, limit-limit/8, func(n int) { f.Message(source(n, 0), make([]byte, 700), true) })
			until(Full, limit, func(n int) { f.Open(source(n, 0), Request{URI: "/ws"}) })
			if n > limit/700 || n < limit/4000 {
				t.Errorf("%d events of 700 bytes make %d", n, limit)
			}
			down := func(level Level, mark int64) {
				t.Helper()
				for f.Stats().Bytes > mark {
					equal(t, "calls", len(calls), 0)
					one <- struct{}{}
					synctest.Wait()
				}
				equal(t, "told", take(t, calls), level)
			}
			down(Stopped, limit-limit/16)
			down(Relaxed, limit-3*limit/16)
			equal(t, "pressure", f.Stats().Pressure, false)
			release()
			synctest.Wait()
			equal(t, "bytes in the end", f.Stats().Bytes, 0)
			equal(t, "calls in the end", len(calls), 0)
		}
	})
}

// The loops must not read on until some other goroutine has had its turn.
func TestPressureIsToldBeforeTheEventThatMakesItHasBeenTaken(t *testing.T) {
	const limit = 64 << 10
	var level atomic.Uint32
	cfg := Config{Memory: limit, Concurrency: 1, Pressure: func(l Level) { level.Store(uint32(l)) }}
	bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		released, release := context.WithCancel(t.Context())
		a.serve = func(post, http.ResponseWriter, *http.Request) { <-released.Done() }
		for n := range limit / 700 {
			f.Message(source(n, 0), make([]byte, 700), true)
			held := f.pressure.held.Load()
			equal(t, "level at once", Level(level.Load()), f.pressure.next(held, Relaxed))
		}
		for n := range limit / 100 {
			f.Open(source(1000+n, 0), Request{URI: "/ws"})
			if Level(level.Load()) == Full {
				break
			}
		}
		equal(t, "level in the end", Level(level.Load()), Full)
		release()
	})
	equal(t, "level of what has ended", Level(level.Load()), Relaxed)
}

// Whatever rises and falls side by side, what was told last is what is.
func TestPressureThatComesAndGoesIsToldToTheEnd(t *testing.T) {
	const limit = 1600
	for range 50 {
		var told atomic.Uint32
		var calling atomic.Int32
		p := newPressure(limit, func(l Level) {
			if calling.Add(1) != 1 {
				t.Error("two calls at a time")
			}
			told.Store(uint32(l))
			calling.Add(-1)
		})
		var watch, busy sync.WaitGroup
		watch.Go(func() { p.watch(func() bool { return false }) })
		for range 8 {
			busy.Go(func() {
				for range 200 {
					p.add(300)
					p.add(-300)
				}
			})
		}
		busy.Wait()
		for end := time.Now().Add(time.Minute); ; runtime.Gosched() {
			if Level(told.Load()) == Relaxed && Level(p.level.Load()) == Relaxed {
				break
			}
			if time.Now().After(end) {
				t.Fatal("pressure is told of where there is none")
			}
		}
		p.add(limit + 1)
		equal(t, "told", Level(told.Load()), Full)
		close(p.quit)
		watch.Wait()
	}
}

// insatiable says something whenever it may, until stop.
func insatiable(f *Forwarder, g gates, key, size int, stop *atomic.Bool) {
	for seq := 0; !stop.Load(); seq++ {
		if f.Message(source(key, seq), make([]byte, size), true) {
			<-g[key]
		}
		time.Sleep(time.Millisecond)
	}
}

func TestBusyConnectionsComeToHaveEqualShares(t *testing.T) {
	const early, late = 8, 16
	const memory = 512 << 10
	const shared = memory * 3 / 4
	g := make(gates, early+late)
	var refused atomic.Int32
	cfg := Config{Memory: memory, Concurrency: 4, QueueEvents: 1 << 20, QueueBytes: 1 << 30, Drained: g.open, Pressure: func(Level) { refused.Add(1) }}
	bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		for key := range g {
			g[key] = make(chan struct{}, 1)
		}
		a.serve = func(post, http.ResponseWriter, *http.Request) { time.Sleep(5 * time.Millisecond) }
		var stop atomic.Bool
		var talking sync.WaitGroup
		held := func() (least, most int64) {
			least = 1 << 60
			for i := range f.lanes.stripes {
				s := &f.lanes.stripes[i]
				s.mu.Lock()
				for _, l := range s.lanes {
					least, most = min(least, l.held), max(most, l.held)
				}
				s.mu.Unlock()
			}
			return least, most
		}
		for key := range early {
			talking.Go(func() { insatiable(f, g, key, 100+50*(key%4), &stop) })
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		least, most := held()
		t.Logf("%d connections have %d to %d bytes each", early, least, most)
		if share := int64(shared / (early + shareOf)); most > share*3/2 || least < share/4 {
			t.Errorf("the share of %d is about %d", early, share)
		}
		for key := early; key < early+late; key++ {
			talking.Go(func() { insatiable(f, g, key, 100, &stop) })
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		least, most = held()
		t.Logf("%d connections have %d to %d bytes each", early+late, least, most)
		if share := int64(shared / (early + late + shareOf)); most > share*3/2 || least < share/4 {
			t.Errorf("the share of %d is about %d", early+late, share)
		}
		s := f.Stats()
		equal(t, "times that nobody was read", refused.Load(), 0)
		if s.Squeezes == 0 || s.Squeezes > s.Delivered[actionMessage]/4 {
			t.Errorf("connections came over their share %d times in %d events", s.Squeezes, s.Delivered[actionMessage])
		}
		stop.Store(true)
		f.Drain(context.Background()) // drains who waits one last time
		talking.Wait()
	})
}

func TestWhoIsOverItsShareIsReadAgainWhenOthersHaveLeftRoom(t *testing.T) {
	drained := make(chan uint64, 100)
	cfg := Config{Memory: 256 << 10, RetryFor: time.Hour, QueueBytes: 128 << 10, Drained: func(key uint64) { drained <- key }}
	bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		released, release := context.WithCancel(t.Context())
		a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
			if p.id == "c1-0" || p.id == "c1-1" {
				w.Header().Set("Retry-After", "1000")
				w.WriteHeader(503) // nothing of this connection goes out
				return
			}
			<-released.Done()
		}
		for n := 2; n < 6; n++ {
			f.Message(source(n, 0), make([]byte, 20_000), true)
		}
		synctest.Wait()
		n := 0
		for ; !f.Message(source(1, n), make([]byte, 500), true); n++ {
		}
		if n == 0 || n > 100 {
			t.Errorf("%d events are a share", n)
		}
		if f.Stats().Squeezed == 0 {
			t.Error("nobody is over its share")
		}
		time.Sleep(10 * time.Second)
		equal(t, "drained", len(drained), 0)
		release()
		time.Sleep(2 * time.Second)
		mine := 0
		for len(drained) > 0 {
			if <-drained == 1 {
				mine++
			}
		}
		equal(t, "times drained", mine, 1)
		equal(t, "over their share", f.Stats().Squeezed, 0)
		equal(t, "waiting", f.Stats().Events, int64(n+1))
	})
}
