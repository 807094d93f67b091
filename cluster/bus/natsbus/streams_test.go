package natsbus

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"ws-gateway/cluster/bus"
	"ws-gateway/cluster/bus/natsbus/natstest"
	"ws-gateway/cluster/packet"
	"ws-gateway/cluster/stream"
)

// pair is two instances that talk through streams over NATS, with a clock that both
// share and that a test can move.
type pair struct {
	t     *testing.T
	start time.Time
	moved atomic.Int64 // nanoseconds
	ends  [2]*talker
}

// talker is an instance with its stream to the other one, and the goroutine that a
// router would be.
type talker struct {
	*pair
	bus     *Bus
	self    packet.Instance
	changed chan struct{} // has a value after something has happened
	poked   chan struct{} // has a value after the clock was moved
	done    chan struct{}
	work    sync.WaitGroup

	mu     sync.Mutex // guards following
	stream *stream.Stream
	got    []uint64
}

const heartbeatEvery = 50 * time.Millisecond

// newPair connects two instances to servers; hold is how long their messages are held.
func newPair(t *testing.T, hold time.Duration, urls [2]string) *pair {
	p := &pair{t: t, start: time.Now().Add(-time.Minute)}
	for i := range p.ends {
		e := &talker{pair: p, self: packet.Instance{0xa0, byte(i)}, changed: make(chan struct{}, 1), poked: make(chan struct{}, 1), done: make(chan struct{})}
		var err error
		if e.bus, err = New(Config{Servers: []string{urls[i]}, App: "chat", Instance: e.self, Name: fmt.Sprint(i), Log: zerolog.Nop()}); err != nil {
			t.Fatal(err)
		}
		e.stream = stream.New(stream.Config{Self: e.self, Peer: packet.Instance{0xa0, byte(1 - i)}, Hold: hold, MaxBody: 256 << 10, MaxMessage: 16 << 20,
			Holds: stream.NewBuffer(64 << 20), Arrivals: stream.NewBuffer(64 << 20), Transmit: e.transmit}, p.now())
		p.ends[i] = e
	}
	for _, e := range p.ends {
		e.work.Go(e.run)
		t.Cleanup(func() { close(e.done); e.work.Wait(); e.bus.Close() })
	}
	return p
}

func (p *pair) now() time.Duration { return time.Since(p.start) + time.Duration(p.moved.Load()) }

// move moves the clock of both.
func (p *pair) move(d time.Duration) {
	p.moved.Add(int64(d))
	for _, e := range p.ends {
		select {
		case e.poked <- struct{}{}:
		default:
		}
	}
}

func (e *talker) transmit(p *packet.Packet) bool {
	return e.bus.Publish(p.Receiver, p.Append(nil))
}

func (e *talker) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var events []bus.Event
	for beat := time.Duration(0); ; {
		select {
		case <-e.bus.Wake():
			events = e.bus.Take(events[:0])
		case <-e.poked:
		case <-timer.C:
		case <-e.done:
			return
		}
		e.mu.Lock()
		for _, ev := range events {
			e.take(ev)
		}
		events = events[:0]
		now := e.now()
		if e.stream.Due() <= now {
			e.stream.Tick(now)
		}
		if now >= beat {
			beat = now + heartbeatEvery
			p := packet.Packet{Kind: packet.Heartbeat, Sender: e.self, Stamp: now}
			e.bus.Publish(packet.Instance{}, p.Append(nil))
		}
		timer.Reset(max(0, min(e.stream.Due(), beat)-now))
		e.mu.Unlock()
		select {
		case e.changed <- struct{}{}:
		default:
		}
	}
}

func (e *talker) take(ev bus.Event) {
	if ev.Kind == bus.Up || ev.Kind == bus.Down {
		e.stream.Suspend()
	}
	if ev.Kind != bus.Packet {
		return
	}
	p, err := packet.Parse(ev.Data)
	if err != nil {
		e.t.Error(err)
		return
	}
	if p.Kind == packet.Heartbeat {
		e.stream.Heard(e.now())
		return
	}
	if m, ok := e.stream.Receive(&p, e.now()); ok {
		e.got = append(e.got, m.Request)
		if len(m.Payload) < 8 || binary.BigEndian.Uint64(m.Payload) != m.Request {
			e.t.Errorf("message %d has another's payload", m.Request)
		}
	}
}

// send sends messages of a size, numbered from first to before last.
func (e *talker) send(first, last uint64, size int) {
	e.t.Helper()
	for number := first; number < last; number++ {
		payload := binary.BigEndian.AppendUint64(make([]byte, 0, size), number)
		e.mu.Lock()
		ok := e.stream.Send(packet.FirstOrdered, number, stream.NewContent(nil, payload[:max(8, size)]), e.now())
		e.mu.Unlock()
		if !ok {
			e.t.Fatalf("message %d is not taken", number)
		}
	}
}

// await waits until cond holds of the end.
func (e *talker) await(what string, cond func() bool) {
	e.t.Helper()
	for {
		e.mu.Lock()
		ok := cond()
		e.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-e.changed:
		case <-e.t.Context().Done():
			e.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// expectAll waits for the messages up to before last, and expects that none is lost
// and none comes twice.
func (e *talker) expectAll(last uint64) {
	e.t.Helper()
	e.await(fmt.Sprint("message ", last-1), func() bool { return len(e.got) > 0 && e.got[len(e.got)-1] == last-1 })
	e.mu.Lock()
	defer e.mu.Unlock()
	if stats := e.stream.Stats(); stats.Lost > 0 || len(e.got) != int(last) || !slices.IsSorted(e.got) {
		e.t.Errorf("%d of %d messages arrived: %+v", len(e.got), last, stats)
	}
}

func (e *talker) stats() stream.Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stream.Stats()
}

func TestNothingIsLostWhileTheServerIsAway(t *testing.T) {
	s := natstest.Start(t, nil)
	p := newPair(t, time.Hour, [2]string{s.URL(), s.URL()})
	a, b := p.ends[0], p.ends[1]
	a.send(0, 100, 200)
	b.expectAll(100)
	for round := range uint64(3) {
		next := 100 + round*400
		a.send(next, next+100, 200) // some of these are under way
		s.Stop()
		a.send(next+100, next+300, 200)
		s.Restart()
		a.send(next+300, next+400, 200)
		b.expectAll(next + 400)
	}
	b.send(0, 10, 200) // and the other way
	a.expectAll(10)
}

func TestALongMessageArrivesAlthoughItsConnectionIsCutInTheMiddle(t *testing.T) {
	s := natstest.Start(t, nil)
	proxy := natstest.StartProxy(t, s)
	p := newPair(t, time.Hour, [2]string{proxy.URL(), s.URL()})
	a, b := p.ends[0], p.ends[1]
	a.send(0, 1, 8)
	b.expectAll(1)
	a.send(1, 2, 10<<20)
	b.await("a part of it", func() bool { return b.bus.Stats().ReceivedBytes > 2<<20 })
	proxy.Cut(true)
	a.send(2, 3, 8)
	proxy.Cut(false)
	b.expectAll(3)
}

func TestWhatAServerThatWasStoppedDeliversLateDoesNotArrive(t *testing.T) {
	s := natstest.Start(t, nil)
	proxy := natstest.StartProxy(t, s)
	const hold = time.Hour
	p := newPair(t, hold, [2]string{proxy.URL(), s.URL()})
	a, b := p.ends[0], p.ends[1]
	a.send(0, 10, 8)
	b.expectAll(10)

	proxy.Stall(true)
	before := a.bus.Stats().Published
	a.send(10, 20, 8)
	a.await("the socket", func() bool { return a.bus.Stats().Published >= before+1 })
	p.move(2 * hold)
	a.await("the end of what is held", func() bool { messages, _ := a.stream.Held(); return messages == 0 })
	a.send(20, 30, 8)
	proxy.Stall(false)

	b.await("the last message", func() bool { return b.got[len(b.got)-1] == 29 })
	stats := b.stats()
	if len(b.got) != 20 || b.got[10] != 20 || stats.Lost != 10 {
		t.Errorf("messages %v arrived, %d lost", b.got, stats.Lost)
	}
	if stats.Late == 0 {
		t.Error("no packet was late: nothing was proved")
	}
}

func TestASlowConsumerThatTheServerCutsGetsEverythingInTheEnd(t *testing.T) {
	s := natstest.Start(t, func(o *server.Options) {
		o.MaxPending = 8 << 20        // more than streams have on their way
		o.WriteDeadline = time.Second // for which whoever publishes may have to wait, too
	})
	proxy := natstest.StartProxy(t, s)
	p := newPair(t, time.Hour, [2]string{s.URL(), proxy.URL()})
	a, b := p.ends[0], p.ends[1]
	a.send(0, 1, 8)
	b.expectAll(1)
	links := b.bus.Stats().Links
	proxy.Stall(true)
	a.send(1, 31, 1<<20)
	flood(t, s, "wsg.chat.to."+b.self.String()+".")
	proxy.Stall(false)
	b.expectAll(31)
	if b.bus.Stats().Links == links {
		t.Error("the link was never lost: nothing was proved")
	}
}

// flood publishes until the server has cut whoever hears it and does not read: the kernel takes
// some of it, and nobody knows how much. The messages are long for their subjects, which
// begin with prefix, and empty: buses ignore them.
func flood(t *testing.T, s *natstest.Server, prefix string) {
	t.Helper()
	conn, err := nats.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for subject := prefix + strings.Repeat("x", 3<<10); s.SlowConsumers() == 0; {
		for range 64 {
			if err := conn.Publish(subject, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := conn.FlushTimeout(time.Minute); err != nil {
			t.Fatal(err)
		}
	}
}
