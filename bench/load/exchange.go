package load

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"ws-gateway/bench/proc"
)

// Traffic says what an Exchange sends.
type Traffic struct {
	Message *Message // required
	Active  int      // connections that send, the rest stays idle; 0: all that are open

	// Rate is messages a second of all connections together (open loop): each
	// message has a due time, whether or not the server keeps up, and its latency
	// counts from then. 0 is the closed loop: each connection sends its next
	// message when it has the reply to an earlier one.
	Rate float64

	// Depth is how many messages of a connection are under way in the closed loop;
	// default 1. Of several, latency is taken of one at a time.
	Depth int

	// OneWay messages have no replies; each is done with when the kernel has taken
	// it. It needs a Rate.
	OneWay bool

	Drain time.Duration // to wait for replies that are outstanding at the end; default 5 s
}

// Exchange is traffic under way, from Client.Start to End.
type Exchange struct {
	client    *Client
	drain     time.Duration
	recording atomic.Bool
	stopping  atomic.Bool
	laps      atomic.Uint32 // how often the workers were asked for what they have recorded
	wg        sync.WaitGroup

	began time.Time
	first []reading // of each worker, when the present lap began
}

// lap is what a worker has recorded since the last one.
type lap struct {
	latency  *hdrhistogram.Histogram
	failures int
	details  []string
}

// reading is what a worker had done at one time.
type reading struct {
	done, calls     uint64
	cpu, wait, idle time.Duration
}

const (
	mostDetails = 3   // of failures, for each worker
	burst       = 256 // messages of the open loop sent before replies get a turn
)

// Start begins to send and returns when every worker is at it. The caller must
// call End.
func (c *Client) Start(t Traffic) *Exchange {
	if t.Active <= 0 || t.Active > c.Open() {
		t.Active = c.Open()
	}
	if t.Drain <= 0 {
		t.Drain = 5 * time.Second
	}
	t.Depth = max(t.Depth, 1)
	x := &Exchange{drain: t.Drain, client: c}
	for i, w := range c.workers {
		w.prepare(t, c.share(t.Active, i))
	}
	x.launch(func(w *worker) { w.exchange(x, t.Depth) })
	return x
}

// launch runs f on a thread of its own for each worker, and returns when all
// threads are there.
func (x *Exchange) launch(f func(*worker)) {
	var ready sync.WaitGroup
	for _, w := range x.client.workers {
		ready.Add(1)
		x.wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			w.tid.Store(int64(unix.Gettid()))
			ready.Done()
			f(w)
		})
	}
	ready.Wait()
}

// Begin starts the part of the Exchange that is recorded.
func (x *Exchange) Begin() {
	x.first = x.readings()
	x.began = time.Now()
	x.recording.Store(true)
}

// Lap ends the recorded part of the Exchange and begins the next one without a
// pause in the traffic, and reports on the former. A reply counts in the lap in
// which it arrives.
func (x *Exchange) Lap() Result {
	now, last := time.Now(), x.readings()
	x.laps.Add(1)
	laps := make([]lap, len(x.client.workers))
	for i, w := range x.client.workers {
		laps[i] = <-w.ex.handed // empty from a worker that is through: End reports its failure
	}
	r := x.result(now.Sub(x.began), last, laps)
	x.began, x.first = now, last
	return r
}

// End stops recording and sending, waits for the replies that are outstanding
// and reports, on the part since the last Lap if there was one. Without Begin
// it only stops.
func (x *Exchange) End() Result {
	elapsed, last := time.Since(x.began), x.readings()
	x.recording.Store(false)
	x.stopping.Store(true)
	x.wg.Wait()
	laps := make([]lap, len(x.client.workers))
	for i, w := range x.client.workers {
		laps[i] = w.ex.lap
	}
	return x.result(elapsed, last, laps)
}

func (x *Exchange) result(elapsed time.Duration, last []reading, laps []lap) Result {
	r := Result{Elapsed: elapsed, Latency: newLatency()}
	for i, l := range laps {
		if l.latency != nil {
			r.Latency.Merge(l.latency)
		}
		r.Failures += l.failures
		r.Details = append(r.Details, l.details...)
		if x.first == nil {
			continue
		}
		a, b := x.first[i], last[i]
		r.Messages += b.done - a.done
		r.CPU += b.cpu - a.cpu
		if load := x.client.load(a, b, elapsed); load > r.Load {
			r.Load, r.Waited = load, min(1, float64(b.wait-a.wait)/float64(elapsed))
		}
	}
	return r
}

// load is the share of elapsed in which a worker was not idle.
func (c *Client) load(a, b reading, elapsed time.Duration) float64 {
	busy := (b.cpu - a.cpu) + (b.wait - a.wait)
	if c.cfg.Busy {
		busy = elapsed - (b.idle - a.idle)
	}
	return min(1, float64(busy)/float64(elapsed))
}

func (x *Exchange) readings() []reading {
	all := make([]reading, len(x.client.workers))
	for i, w := range x.client.workers {
		tid := int(w.tid.Load())
		cpu, _ := proc.ThreadCPU(tid) // fails only when the worker is through, by a failure that is reported
		all[i] = reading{
			done: w.ex.done.Load(), calls: w.ex.called.Load(),
			cpu: cpu, wait: proc.ThreadWait(tid), idle: time.Duration(w.idle.Load()),
		}
	}
	return all
}
