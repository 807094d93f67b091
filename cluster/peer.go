package cluster

import (
	"context"
	"sync"
	"time"

	"ws-gateway/cluster/members"
	"ws-gateway/cluster/packet"
	"ws-gateway/cluster/stream"
)

// peer is another instance.
type peer struct {
	id       packet.Instance
	name     string
	started  time.Time // about
	index    uint8     // see members.Member
	met      bool      // see member
	knowsUs  bool      // it has been sent a heartbeat, or has sent something: before, it takes nothing of ours
	heard    hearing
	telling  telling
	repaired uint64 // it has missed no name of recents below this number
	stream   *stream.Stream
	executor *executor
}

func (c *Cluster) newPeer(m *members.Member) *peer {
	p := &peer{id: m.ID, name: m.Name, started: time.Now().Add(-m.Up), index: m.Index, executor: newExecutor(c.cfg.Buffer)}
	p.heard.last = c.cfg.clock()
	p.stream = stream.New(stream.Config{
		Self: c.cfg.Instance, Peer: m.ID, Hold: c.cfg.Hold,
		MaxBody: c.maxBody(), MaxMessage: c.cfg.MaxCall + callOverhead,
		Holds: c.holds, Arrivals: c.arrivals,
		Transmit: func(p *packet.Packet) bool {
			return c.cfg.Bus.Publish(p.Receiver, p.Append(make([]byte, 0, p.Len())))
		},
	}, c.cfg.clock())
	p.stream.Suspend() // until it knows us
	c.work.Go(func() { c.execute(p) })
	return p
}

// hearing is when something of a peer has arrived, whatever it was.
type hearing struct {
	last        time.Duration
	from, until time.Duration // the last time in which nothing arrived for longer than longHush
}

// longHush is less than a --cluster-hold, and more than the time between heartbeats.
const longHush = beatEvery + beatEvery/4

func (h *hearing) note(now time.Duration) {
	if now-h.last > longHush {
		h.from, h.until = h.last, now
	}
	h.last = now
}

// silent reports whether nothing has arrived from one time until another, which is past, and
// for longHush.
func (h *hearing) silent(from, to time.Duration) bool {
	return h.last < from || h.from < from && to < h.until
}

// maxBody is how much of a message a packet has room for.
func (c *Cluster) maxBody() int { return c.cfg.Bus.MaxPacket() - packet.Overhead }

// resize has all streams cut messages as the bus takes them now.
func (c *Cluster) resize() {
	for _, p := range c.peers {
		p.stream.Resize(c.maxBody())
	}
}

// end ends a peer's stream, and its executor when that has done what has arrived: the peer
// has been told that it has.
func (c *Cluster) end(p *peer) {
	c.gone.add(p.stream.Stats())
	c.gone.doubt += p.stream.Close()
	close(p.executor.stop)
}

// mostQueued is how many messages of a peer wait for its executor at most.
const mostQueued = 4096

// executor is where messages of a peer wait to be done, one after the other.
type executor struct {
	wake chan struct{}
	stop chan struct{} // closed when no more come

	limit  int // bytes that wait
	flight flight

	mu       sync.Mutex // guards following
	messages []stream.Message
	bytes    int
}

func newExecutor(limit int) *executor {
	return &executor{wake: make(chan struct{}, 1), stop: make(chan struct{}), limit: limit, flight: flight{limit: limit, room: make(chan struct{})}}
}

// full reports whether put must not be called.
func (e *executor) full() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.messages) >= mostQueued || e.bytes >= e.limit
}

func (e *executor) put(m stream.Message) {
	e.mu.Lock()
	e.messages = append(e.messages, m)
	e.bytes += len(m.Fields) + len(m.Payload)
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// take waits for messages, and returns them in place of those before. ok is false when all
// are done and no more come.
func (e *executor) take(before []stream.Message) (messages []stream.Message, ok bool) {
	clear(before)
	for {
		e.mu.Lock()
		messages, e.messages = e.messages, before[:0]
		e.bytes = 0
		e.mu.Unlock()
		if len(messages) > 0 {
			return messages, true
		}
		before = messages
		select {
		case <-e.wake:
		case <-e.stop:
			e.mu.Lock()
			defer e.mu.Unlock()
			messages, e.messages = e.messages, nil
			return messages, len(messages) > 0
		}
	}
}

// flight bounds the messages of a peer that are on their way to the loops.
type flight struct {
	limit int // bytes

	mu     sync.Mutex // guards following
	bytes  int
	waited bool          // somebody waits for room
	room   chan struct{} // closed then, when some have got there
}

// flying is a message on its way, until it is released.
type flying struct {
	flight *flight
	bytes  int
}

// begin waits for room.
func (f *flight) begin(ctx context.Context, bytes int) (*flying, error) {
	for {
		f.mu.Lock()
		if f.bytes == 0 || f.bytes+bytes <= f.limit {
			f.bytes += bytes
			f.mu.Unlock()
			return &flying{f, bytes}, nil
		}
		room := f.room
		f.waited = true
		f.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Release is hub.Releaser's.
func (f *flying) Release() {
	f.flight.mu.Lock()
	defer f.flight.mu.Unlock()
	f.flight.bytes -= f.bytes
	if f.flight.waited {
		close(f.flight.room)
		f.flight.room, f.flight.waited = make(chan struct{}), false
	}
}
