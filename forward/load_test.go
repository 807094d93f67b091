package forward

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestSixtyHangingCallsLeaveFourWorkersForEverybodyElse(t *testing.T) {
	var hanging atomic.Int64
	released, release := context.WithCancel(t.Context())
	url := answeringApp(t, func(c net.Conn, id string) {
		if strings.HasPrefix(id, "c7000") {
			hanging.Add(1)
			<-released.Done()
		}
		_, _ = c.Write([]byte("HTTP/1.1 204 No Content\r\n\r\n"))
	})
	f, err := New(Config{URL: url, Timeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	f.Start()
	for i := range 60 {
		f.Message(source(700000+i, 0), []byte("1"), false)
	}
	for hanging.Load() < 60 {
		runtime.Gosched()
	}
	start := time.Now()
	for i := range 2000 {
		f.Open(source(i, 0), Request{})
	}
	for f.counters.delivered[actionOpen].Load() < 2000 {
		runtime.Gosched()
	}
	t.Logf("2,000 other connections were served in %v", time.Since(start))
	equal(t, "still hanging", hanging.Load(), 60)
	equal(t, "in flight", f.Stats().InFlight, 60)
	release()
	equal(t, "left over", f.Drain(within(t, longWait)), Leftover{})
}

func TestABacklogStarvesNoLaneWithOne(t *testing.T) {
	for _, batch := range []int{1, 16} {
		bubble(t, Config{Concurrency: 2, Batch: batch, Linger: 5 * time.Millisecond, QueueEvents: 1000}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
			a.serve = func(post, http.ResponseWriter, *http.Request) { time.Sleep(time.Millisecond) }
			for key := range 4 {
				for seq := range 256 {
					f.Message(source(1000+key, seq), []byte("1"), false)
				}
			}
			time.Sleep(20 * time.Millisecond) // all of them are under way
			start := f.now()
			for key := range 8 {
				f.Message(source(key, 0), []byte("1"), false)
			}
			f.Drain(context.Background())
			seen := 0
			for _, p := range a.received() {
				for key := range 8 {
					if strings.Contains(p.body, fmt.Sprintf(`"conn_id":"c%d"`, key)) {
						seen++
						if late := p.at - start; late > 10*time.Millisecond {
							t.Errorf("batch %d: %d waited for %v", batch, key, late)
						}
					}
				}
			}
			equal(t, "single events", seen, 8)
		})
	}
}

// TestAHundredThousandEventsMeetTheAppAsARamp is of the scheduler alone, which
// decides: each attempt takes 5 ms.
func TestAHundredThousandEventsMeetTheAppAsARamp(t *testing.T) {
	const lanes, workers, lasts = 100_000, 64, 5 * ms
	s, l := downScheduler(t, workers, lanes)
	now := time.Second + 100*ms
	s.expect(t, now, l[0], jobProbe)
	s.reached(now)
	type attempt struct {
		ends time.Duration
		kind kind
	}
	flying := []attempt{{now + lasts, jobProbe}}
	began := map[int]int{} // attempts by millisecond
	served, most := 0, 1
	for start := now; len(flying) > 0; now += ms {
		for len(flying) > 0 && flying[0].ends <= now {
			s.ended(flying[0].kind, Delivered, now-lasts, now)
			flying = flying[1:]
			served++
		}
		for j, ok := s.next(now); ok; j, ok = s.next(now) {
			flying = append(flying, attempt{now + lasts, j.kind})
			began[int((now-start)/ms)]++
		}
		most = max(most, len(flying))
	}
	equal(t, "served", served, lanes)
	equal(t, "most in flight", most, workers)
	var waves []int
	for at := 0; len(waves) < 8; at += int(lasts / ms) {
		waves = append(waves, began[at])
	}
	if !slices.Equal(waves, []int{0, 2, 4, 8, 16, 32, 64, 64}) {
		t.Errorf("attempts begun every %v: %v", lasts, waves)
	}
}

func TestTheAppsRecoveryWithManyEventsWaiting(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for batch, lanes := range map[int]int{1: 5000, 100: 50_000} {
		var flying, most, early atomic.Int64
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := ln.Addr().String()
		_ = ln.Close() // nobody listens there for now
		f, err := New(Config{URL: "http://" + address + "/", Batch: batch, Linger: 5 * time.Millisecond, Memory: 256 << 20})
		if err != nil {
			t.Fatal(err)
		}
		f.Start()
		for key := range lanes {
			f.Message(source(key, 0), []byte("1"), false)
		}
		for !f.pool.down() {
			runtime.Gosched()
		}
		equal(t, "waiting", f.Stats().Events, int64(lanes))
		started := make(chan struct{})
		serve := func(c net.Conn, _ string) {
			n := flying.Add(1)
			most.Store(max(most.Load(), n))
			select {
			case <-started:
			default:
				early.Store(max(early.Load(), n))
			}
			_, _ = c.Write([]byte("HTTP/1.1 204 No Content\r\n\r\n"))
			flying.Add(-1)
		}
		answeringAt(t, address, serve)
		for f.pool.down() {
			runtime.Gosched()
		}
		close(started)
		equal(t, "left over", f.Drain(within(t, longWait)), Leftover{})
		equal(t, "delivered", f.Stats().Delivered[actionMessage], uint64(lanes))
		if early.Load() > 2 || most.Load() > 64 {
			t.Errorf("batch %d: %d at once while the app came back, %d later", batch, early.Load(), most.Load())
		}
	}
}

func TestMemoryStaysUnderItsBoundAsMeasured(t *testing.T) {
	const limit = 12 << 20
	for _, batch := range []int{1, 100} {
		pressed := make(chan bool, 10)
		released, release := context.WithCancel(t.Context())
		url := answeringApp(t, func(c net.Conn, _ string) {
			<-released.Done()
			_, _ = c.Write([]byte("HTTP/1.1 204 No Content\r\n\r\n"))
		})
		f, err := New(Config{URL: url, Batch: batch, Linger: 5 * time.Millisecond, Memory: limit, Pressure: func(l Level) { pressed <- l >= Stopped }})
		if err != nil {
			t.Fatal(err)
		}
		f.Start()
		before := heapInUse()
		data := []byte(`{"event":"chat","data":{"text":"` + strings.Repeat("x", 300) + `"}}`)
		sent := 0
		for on := false; !on; sent++ { // as the hub does: nothing is read any more once told
			f.Message(source(sent, 0), data, false)
			select {
			case on = <-pressed:
			default:
			}
		}
		held := heapInUse() - before
		t.Logf("batch %d: %d events, %d bytes counted, %d held", batch, sent, f.Stats().Bytes, held)
		if held > limit*5/4 {
			t.Errorf("batch %d: %d bytes are held, the bound is %d", batch, held, limit)
		}
		release()
		f.Drain(within(t, longWait))
		equal(t, "bytes in the end", f.Stats().Bytes, 0)
	}
}

// heapInUse is what lives on the heap, pools excepted: two collections empty them.
func heapInUse() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
