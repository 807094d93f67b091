package load

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"ws-gateway/bench/sock"
)

// exchanging is the part of a worker's state that an Exchange needs.
type exchanging struct {
	frames      *frames
	active      int
	closedLoop  bool
	oneWay      bool
	recording   bool
	stopping    bool
	start       int64   // open loop: due time of the first message
	interval    float64 // open loop: nanoseconds from one message to the next
	issued      int64   // open loop: messages that have come due
	outstanding int     // messages without a reply
	completed   uint64
	done        atomic.Uint64 // completed, for others to read
	called      atomic.Uint64 // a Push: calls answered
	lap                       // the present one
	laps        uint32        // how many there have been
	handed      chan lap      // the last one; closed when the worker is through
}

func (w *worker) prepare(t Traffic, active int) {
	active = min(active, len(w.conns))
	w.ex = exchanging{
		frames: t.Message.frames(), active: active, closedLoop: t.Rate <= 0, oneWay: t.OneWay && t.Rate > 0,
		lap: lap{latency: newLatency()}, handed: make(chan lap, 1),
	}
	for i := range w.conns {
		c := &w.conns[i]
		c.wanted, c.sent, c.received, c.timed, c.written, c.matched = 0, 0, 0, 0, 0, 0
	}
	if !w.ex.closedLoop && active > 0 {
		w.ex.interval = float64(time.Second) / t.Rate * float64(t.Active) / float64(active)
		w.ex.start = w.now() + int64(w.ex.interval*float64(w.index)/float64(w.cfg.Threads))
	}
}

func (w *worker) exchange(x *Exchange, depth int) {
	defer close(w.ex.handed)
	if w.ex.closedLoop {
		for n := range w.ex.active * depth {
			w.want(int32(n%w.ex.active), w.now())
		}
	}
	w.turns(x, w.pace, w.serve)
	if w.ex.outstanding > 0 {
		w.ex.failures += w.ex.outstanding - 1
		w.note(fmt.Sprintf("%d messages had no reply %v after the end", w.ex.outstanding, x.drain))
	}
}

// turns serves events until the Exchange ends and nothing is outstanding any
// longer, or for its drain time then. Before it waits it asks pace for how long.
func (w *worker) turns(x *Exchange, pace func() time.Duration, serve func(i int32, events uint32)) {
	var deadline int64
	for {
		w.ex.stopping = x.stopping.Load()
		if n := x.laps.Load(); n != w.ex.laps {
			w.ex.laps = n
			w.ex.handed <- w.ex.lap
			w.ex.lap = lap{latency: newLatency()}
		}
		timeout := longest
		switch {
		case w.ex.stopping && deadline == 0:
			deadline = w.now() + int64(x.drain)
		case !w.ex.stopping:
			timeout = pace()
		}
		if w.ex.stopping && (w.ex.outstanding == 0 || w.now() > deadline) {
			return
		}
		events, err := w.next(timeout)
		if err != nil {
			w.note("waiting for events: " + err.Error())
			return
		}
		w.ex.recording = x.recording.Load() // what arrives after Begin is recorded
		for i := range events {
			serve(events[i].Fd, events[i].Events)
		}
		w.ex.done.Store(w.ex.completed)
	}
}

// pace sends what has come due in the open loop and returns the time to the next
// due time.
func (w *worker) pace() time.Duration {
	if w.ex.active == 0 || w.ex.closedLoop {
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
	c.wanted++
	if c.timed == 0 {
		c.due, c.timed = now, c.wanted
	}
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
			break
		}
		c.written = 0
		c.sent++
		if w.ex.oneWay {
			w.replied(i, c)
		}
	}
	if err := w.arm(&c.Link, i, c.sent < c.wanted); err != nil {
		w.fail(i, c, err)
	}
}

func (w *worker) serve(i int32, events uint32) {
	if i < 0 {
		w.tallied()
		return
	}
	c := &w.conns[i]
	if c.state == open && events&^unix.EPOLLOUT != 0 {
		w.receive(i, c)
	}
	if c.state == open && events&unix.EPOLLOUT != 0 {
		w.send(i, c)
	}
}

// arrived returns what has arrived on a connection, until the next call. It gives
// up connections that have ended.
func (w *worker) arrived(i int32, c *conn) []byte {
	data, err := w.Read(&c.Link, i)
	if err != nil {
		w.fail(i, c, err)
	}
	return data
}

// match compares data with the frame that is due on a connection and returns
// what follows it, and whether the frame is whole by now. It gives the connection
// up when they differ.
func (w *worker) match(i int32, c *conn, data, frame []byte) (rest []byte, whole bool) {
	part := frame[c.matched:min(len(frame), int(c.matched)+len(data))]
	if !bytes.Equal(part, data[:len(part)]) {
		w.fail(i, c, fmt.Errorf("message %d is wrong from byte %d on: %s, not %s",
			c.received, c.matched, describe(data), printable(part)))
		return nil, false
	}
	if c.matched += int32(len(part)); int(c.matched) < len(frame) {
		return nil, false
	}
	c.matched = 0
	return data[len(part):], true
}

// receive compares what has arrived with the replies that are due.
func (w *worker) receive(i int32, c *conn) {
	for data := w.arrived(i, c); len(data) > 0 && c.state == open; {
		if w.sessions != nil {
			if data = w.skipAcks(i, c, data); len(data) == 0 {
				return
			}
		}
		if w.tally != nil || c.received == c.sent && c.written == 0 {
			w.fail(i, c, fmt.Errorf("unasked for came %s", describe(data)))
			return
		}
		var whole bool
		if data, whole = w.reply(i, c, data, uint32(w.number(i))); whole {
			w.replied(i, c)
		}
	}
}

// replied records a reply and, in the closed loop, sends the next message.
func (w *worker) replied(i int32, c *conn) {
	now := w.now()
	c.received++
	w.ex.outstanding--
	w.ex.completed++
	if w.sessions != nil && !w.ex.oneWay {
		w.acknowledge(i, c)
	}
	switch {
	case !w.ex.closedLoop:
		w.record(w.ex.latency, now-w.due(int64(c.received-1)*int64(w.ex.active)+int64(i)))
	case c.timed == c.received:
		c.timed = 0
		w.record(w.ex.latency, now-c.due)
	}
	if w.ex.closedLoop && !w.ex.stopping {
		w.want(i, now)
	}
}

// record adds a latency, in nanoseconds.
func (w *worker) record(to *hdrhistogram.Histogram, latency int64) {
	if w.ex.recording {
		_ = to.RecordValue(min(latency, longestLatency)) // in range by then
	}
}

// fail gives a connection up.
func (w *worker) fail(i int32, c *conn, err error) {
	w.note(fmt.Sprintf("connection %d: %v", w.number(i), err))
	w.ex.outstanding -= int(c.wanted) - int(c.received)
	w.hangUp(&c.Link, i, failed)
	w.open.Add(-1)
}

// note counts a failure and keeps the first few in words.
func (w *worker) note(text string) {
	w.ex.failures++
	if len(w.ex.details) < mostDetails {
		w.ex.details = append(w.ex.details, text)
	}
}
