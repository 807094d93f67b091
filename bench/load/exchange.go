package load

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"ws-gateway/bench/proc"
	"ws-gateway/bench/sock"
)

// Traffic says what an Exchange sends.
type Traffic struct {
	Message *Message // required
	Active  int      // connections that send, the rest stays idle; 0: all that are open

	// Rate is messages a second of all connections together (open loop): each
	// message has a due time, whether or not the server keeps up, and its latency
	// counts from then. 0 is the closed loop: each connection sends its next
	// message when it has the reply to the last.
	Rate float64

	Drain time.Duration // to wait for replies that are outstanding at the end; default 5 s
}

// Exchange is traffic under way, from Client.Start to End.
type Exchange struct {
	traffic   Traffic
	client    *Client
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
	done            uint64
	cpu, wait, idle time.Duration
}

const (
	mostDetails = 3   // of failures, for each worker
	burst       = 256 // messages of the open loop sent before replies get a turn
)

// exchanging is the part of a worker's state that an Exchange needs.
type exchanging struct {
	frames      *frames
	active      int
	closedLoop  bool
	recording   bool
	stopping    bool
	start       int64   // open loop: due time of the first message
	interval    float64 // open loop: nanoseconds from one message to the next
	issued      int64   // open loop: messages that have come due
	outstanding int     // messages without a reply
	completed   uint64
	done        atomic.Uint64 // completed, for others to read
	lap                       // the present one
	laps        uint32        // how many there have been
	handed      chan lap      // the last one; closed when the worker is through
}

// Start begins to send and returns when every worker is at it. The caller must
// call End.
func (c *Client) Start(t Traffic) *Exchange {
	if t.Active <= 0 || t.Active > c.Open() {
		t.Active = c.Open()
	}
	if t.Drain <= 0 {
		t.Drain = 5 * time.Second
	}
	x := &Exchange{traffic: t, client: c}
	var ready sync.WaitGroup
	for i, w := range c.workers {
		ready.Add(1)
		w.prepare(t, c.share(t.Active, i))
		x.wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			w.tid.Store(int64(unix.Gettid()))
			ready.Done()
			w.exchange(x)
		})
	}
	ready.Wait()
	return x
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
// and reports, on the part since the last Lap where there was one. Without Begin
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
			done: w.ex.done.Load(),
			cpu:  cpu, wait: proc.ThreadWait(tid), idle: time.Duration(w.idle.Load()),
		}
	}
	return all
}

func (w *worker) prepare(t Traffic, active int) {
	active = min(active, len(w.conns))
	w.ex = exchanging{
		frames: t.Message.frames(), active: active, closedLoop: t.Rate <= 0,
		lap: lap{latency: newLatency()}, handed: make(chan lap, 1),
	}
	for i := range w.conns {
		c := &w.conns[i]
		c.wanted, c.sent, c.received, c.written, c.matched = 0, 0, 0, 0, 0
	}
	if !w.ex.closedLoop && active > 0 {
		w.ex.interval = float64(time.Second) / t.Rate * float64(t.Active) / float64(active)
		w.ex.start = w.now() + int64(w.ex.interval*float64(w.index)/float64(w.cfg.Threads))
	}
}

func (w *worker) exchange(x *Exchange) {
	defer close(w.ex.handed)
	if w.ex.closedLoop {
		for i := range w.ex.active {
			w.want(int32(i), w.now())
		}
	}
	var deadline int64
	for {
		w.ex.recording, w.ex.stopping = x.recording.Load(), x.stopping.Load()
		if n := x.laps.Load(); n != w.ex.laps {
			w.ex.laps = n
			w.ex.handed <- w.ex.lap
			w.ex.lap = lap{latency: newLatency()}
		}
		timeout := longest
		switch {
		case w.ex.stopping && deadline == 0:
			deadline = w.now() + int64(x.traffic.Drain)
		case !w.ex.stopping && !w.ex.closedLoop:
			timeout = w.pace()
		}
		if w.ex.stopping && (w.ex.outstanding == 0 || w.now() > deadline) {
			break
		}
		events, err := w.next(timeout)
		if err != nil {
			w.note("waiting for events: " + err.Error())
			break
		}
		for i := range events {
			w.serve(events[i].Fd, events[i].Events)
		}
		w.ex.done.Store(w.ex.completed)
	}
	if w.ex.outstanding > 0 {
		w.ex.failures += w.ex.outstanding - 1
		w.note(fmt.Sprintf("%d messages had no reply %v after the end", w.ex.outstanding, x.traffic.Drain))
	}
}

// pace sends what has come due in the open loop and returns the time to the next
// due time.
func (w *worker) pace() time.Duration {
	if w.ex.active == 0 {
		return longest
	}
	for range burst {
		ahead := w.due(w.ex.issued) - w.now()
		if ahead > 0 {
			return time.Duration(ahead)
		}
		w.want(int32(w.ex.issued%int64(w.ex.active)), 0)
		w.ex.issued++
	}
	return 0
}

// due is the due time of the worker's message number n in the open loop.
func (w *worker) due(n int64) int64 { return w.ex.start + int64(float64(n)*w.ex.interval) }

// want has a connection send one message more.
func (w *worker) want(i int32, now int64) {
	c := &w.conns[i]
	if c.state != open {
		return
	}
	c.due = now
	c.wanted++
	w.ex.outstanding++
	w.send(i, c)
}

// send writes what the kernel takes of the messages that are wanted.
func (w *worker) send(i int32, c *conn) {
	for c.sent < c.wanted {
		frame := w.ex.frames.ask(uint32(w.number(i)), c.sent)
		n, err := sock.Write(int(c.fd), frame[c.written:])
		if err != nil && !sock.WouldBlock(err) {
			w.fail(i, c, fmt.Errorf("sending: %w", err))
			return
		}
		c.written += int32(n)
		if int(c.written) < len(frame) {
			w.arm(i, c, true)
			return
		}
		c.written = 0
		c.sent++
	}
	w.arm(i, c, false)
}

// arm asks for EPOLLOUT, or no longer.
func (w *worker) arm(i int32, c *conn, on bool) {
	if c.armed == on {
		return
	}
	interest := uint32(unix.EPOLLIN)
	if on {
		interest |= unix.EPOLLOUT
	}
	if err := w.poller.Modify(int(c.fd), i, interest); err != nil {
		w.fail(i, c, fmt.Errorf("watching: %w", err))
		return
	}
	c.armed = on
}

func (w *worker) serve(i int32, events uint32) {
	c := &w.conns[i]
	if c.state == open && events&^unix.EPOLLOUT != 0 {
		w.receive(i, c)
	}
	if c.state == open && events&unix.EPOLLOUT != 0 {
		w.send(i, c)
	}
}

var errClosed = errors.New("the server closed the connection")

// receive compares what has arrived with the replies that are due.
func (w *worker) receive(i int32, c *conn) {
	n, err := sock.Read(int(c.fd), w.buf)
	switch {
	case sock.WouldBlock(err):
		return
	case err != nil:
		w.fail(i, c, fmt.Errorf("reading: %w", err))
		return
	case n == 0:
		w.fail(i, c, errClosed)
		return
	}
	for data := w.buf[:n]; len(data) > 0 && c.state == open; {
		if c.received == c.sent && c.written == 0 {
			w.fail(i, c, fmt.Errorf("unasked for came %s", describe(data)))
			return
		}
		want := w.ex.frames.answer(uint32(w.number(i)), c.received)
		part := want[c.matched:min(len(want), int(c.matched)+len(data))]
		if !bytes.Equal(part, data[:len(part)]) {
			w.fail(i, c, fmt.Errorf("message %d: the reply is wrong from byte %d on: %s, not %s",
				c.received, c.matched, describe(data), printable(part)))
			return
		}
		data = data[len(part):]
		if c.matched += int32(len(part)); int(c.matched) == len(want) {
			c.matched = 0
			w.replied(i, c)
		}
	}
}

// replied records a reply and, in the closed loop, sends the next message.
func (w *worker) replied(i int32, c *conn) {
	now := w.now()
	since := c.due
	if !w.ex.closedLoop {
		since = w.due(int64(c.received)*int64(w.ex.active) + int64(i))
	}
	c.received++
	w.ex.outstanding--
	w.ex.completed++
	if w.ex.recording {
		_ = w.ex.latency.RecordValue(min(now-since, longestLatency)) // in range by then
	}
	if w.ex.closedLoop && !w.ex.stopping {
		w.want(i, now)
	}
}

// fail gives a connection up.
func (w *worker) fail(i int32, c *conn, err error) {
	w.note(fmt.Sprintf("connection %d: %v", w.number(i), err))
	w.ex.outstanding -= int(c.wanted - c.received)
	sock.HangUp(int(c.fd))
	c.state = failed
	w.open.Add(-1)
}

// note counts a failure and keeps the first few in words.
func (w *worker) note(text string) {
	w.ex.failures++
	if len(w.ex.details) < mostDetails {
		w.ex.details = append(w.ex.details, text)
	}
}
