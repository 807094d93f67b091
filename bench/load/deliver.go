package load

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"ws-gateway/bench/sock"
)

// push is the worker's part of a Push. All of it belongs to the worker's
// goroutine while it runs, done excepted.
type push struct {
	w        *worker
	groups   []group
	of       []int32 // group of each connection, -1: none
	callers  []caller
	free     []int32 // callers without a call
	next     int     // the group whose turn it is
	made     int     // calls
	limit    int     // 0: none
	start    int64   // open loop: due time of the first call
	interval float64 // open loop: nanoseconds from one call to the next; 0: closed loop

	answer, last *hdrhistogram.Histogram
	done         chan struct{} // closed when limit is reached and nothing is outstanding, or at a failure
	complete     bool          // it is closed
}

// group is a Group with its call.
type group struct {
	request []byte
	mark    int    // where the mark begins in request
	count   int32  // connections
	left    int32  // of them, how many do not have the last call's message yet
	calling bool   // the last call is not answered yet
	issued  uint32 // calls
	due     int64  // of the last call, on the worker's clock
}

func newPush(calls Calls, w *worker) (*push, error) {
	of, err := checkGroups(calls.Groups, len(w.conns))
	if err != nil {
		return nil, err
	}
	p := &push{
		w: w, of: of, groups: make([]group, len(calls.Groups)), limit: calls.Limit,
		answer: newLatency(), last: newLatency(), done: make(chan struct{}),
	}
	for i, g := range calls.Groups {
		p.groups[i].count = int32(g.Count)
		if calls.API.IsValid() {
			p.groups[i].request, p.groups[i].mark = appendCall(nil, calls.API.String(), calls.Message, g.To)
		}
	}
	w.prepare(Traffic{Message: calls.Message, Rate: calls.Rate}, 0)
	if calls.Rate > 0 {
		p.start, p.interval = w.now(), float64(time.Second)/calls.Rate
	}
	if !calls.API.IsValid() {
		p.free = []int32{0} // the first connection, which never waits for an answer
		return p, nil
	}
	for i := range calls.Callers {
		c, err := dialCaller(calls.API)
		if err == nil {
			p.callers, p.free = append(p.callers, c), append(p.free, int32(i))
			err = w.Poller.Add(int(c.fd), callerIndex(int32(i)), unix.EPOLLIN)
		}
		if err != nil {
			p.hangUp()
			return nil, fmt.Errorf("connecting to the management API at %v: %w", calls.API, err)
		}
	}
	return p, nil
}

// callerIndex is what stands for a caller in the epoll, and for the caller of
// such an index: connections have those from 0, and the tally is -1.
func callerIndex(i int32) int32 { return -2 - i }

// pace makes the calls that are due, and returns the time to the next due time.
func (p *push) pace() time.Duration {
	for len(p.free) > 0 && (p.limit == 0 || p.made < p.limit) {
		g := &p.groups[p.next]
		if g.calling || g.left > 0 {
			break
		}
		now := p.w.now()
		due := now
		if p.interval > 0 {
			if due = p.start + int64(float64(p.made)*p.interval); due > now {
				return time.Duration(due - now)
			}
		}
		p.call(p.next, g, due)
		p.next = (p.next + 1) % len(p.groups)
	}
	if reached := p.limit > 0 && p.made == p.limit && p.w.ex.outstanding == 0; !p.complete && (reached || p.w.ex.failures > 0) {
		p.complete = true
		close(p.done)
	}
	return longest
}

// call has a free caller make the next call of a group.
func (p *push) call(number int, g *group, due int64) {
	g.issued++
	g.left, g.due = g.count, due
	p.made++
	p.w.ex.outstanding += int(g.count)
	if p.callers == nil {
		p.broadcast(number, g)
		return
	}
	putMark(g.request[g.mark:], uint32(number), g.issued-1)
	g.calling = true
	p.w.ex.outstanding++ // the answer
	i := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	p.callers[i].begin(int32(number), g.request)
	p.write(i)
}

// broadcast has the first connection send a message, which is small and goes out at
// once.
func (p *push) broadcast(number int, g *group) {
	c := &p.w.conns[0]
	frame := p.w.ex.frames.ask(uint32(number), g.issued-1)
	p.w.ex.called.Add(1)
	if n, err := sock.Write(int(c.fd), frame); n < len(frame) {
		p.w.fail(0, c, fmt.Errorf("sending: the kernel took %d of %d bytes: %w", n, len(frame), err))
		p.lost(c, g)
	}
}

func (p *push) serve(i int32, events uint32) {
	if i < 0 {
		p.serveCaller(callerIndex(i), events)
		return
	}
	if c := &p.w.conns[i]; c.state == open {
		p.receive(i, c)
	}
}

// receive compares what has arrived on a connection with the deliveries that are
// due to it.
func (p *push) receive(i int32, c *conn) {
	w := p.w
	for data := w.arrived(i, c); len(data) > 0 && c.state == open; {
		number := p.of[i]
		if number < 0 || c.received == p.groups[number].issued {
			w.fail(i, c, fmt.Errorf("unasked for came %s", describe(data)))
			break
		}
		var whole bool
		if data, whole = w.reply(i, c, data, uint32(number)); whole {
			p.delivered(c, &p.groups[number])
		}
	}
	if c.state == failed && p.of[i] >= 0 {
		p.lost(c, &p.groups[p.of[i]])
	}
}

func (p *push) delivered(c *conn, g *group) {
	took := p.w.now() - g.due
	c.received++
	c.wanted = c.received // it asks for nothing by itself
	g.left--
	p.w.ex.outstanding--
	p.w.ex.completed++
	p.w.record(p.w.ex.latency, took)
	if g.left == 0 {
		p.w.record(p.last, took)
	}
}

// lost takes a connection that has failed out of its group. Without the one that
// makes broadcasts there are no more of them.
func (p *push) lost(c *conn, g *group) {
	if p.callers == nil && c == &p.w.conns[0] {
		p.free = nil
	}
	g.count--
	if c.received < g.issued {
		g.left--
		p.w.ex.outstanding--
	}
}

// finish reports what never came, and hangs up.
func (p *push) finish(drain time.Duration) {
	var unanswered, undelivered int
	for i := range p.groups {
		g := &p.groups[i]
		undelivered += int(g.left)
		if g.calling {
			unanswered++
		}
	}
	if unanswered+undelivered > 0 {
		p.w.ex.failures += unanswered + undelivered - 1
		p.w.note(fmt.Sprintf("%d calls had no answer and %d deliveries did not come %v after the end", unanswered, undelivered, drain))
	}
	p.hangUp()
}
