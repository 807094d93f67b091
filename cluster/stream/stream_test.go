package stream

import (
	"bytes"
	"math"
	"slices"
	"testing"
	"time"

	"ws-gateway/cluster/packet"
)

func TestAMessageOnAWholeLinkIsOnePacketAndNoneIsRepeated(t *testing.T) {
	n := newNetwork(t, 1)
	n.run(100 * time.Millisecond)
	before := n.ends[0].Stats().Transmitted
	const messages = 1000
	for range messages {
		n.ends[0].sent = append(n.ends[0].sent, n.now)
		number := uint64(len(n.ends[0].sent) - 1)
		n.ends[0].Send(packet.FirstOrdered, number, NewContent(content(int(number)).body[:11], nil), n.clock(0))
		n.flying = slices.DeleteFunc(n.flying, func(f flight) bool { // taken without a look at its content
			p, _ := packet.Parse(f.bytes)
			n.ends[f.to].Receive(&p, n.clock(f.to))
			return true
		})
	}
	n.run(time.Second)
	stats, other := n.ends[0].Stats(), n.ends[1].Stats()
	if stats.Transmitted-before != messages || stats.Retransmitted != 0 || other.Asked != 0 || n.ends[0].InDoubt() != 0 {
		t.Errorf("%d messages took %d packets: %+v", messages, stats.Transmitted-before, stats)
	}
	if other.Transmitted > 10 {
		t.Errorf("they were acknowledged in %d packets", other.Transmitted)
	}
}

func TestABufferThatIsFullTakesFromWhoHoldsMost(t *testing.T) {
	holds := NewBuffer(10_000)
	var streams [3]*Stream
	for i := range streams {
		streams[i] = New(Config{Self: packet.Instance{1}, Peer: packet.Instance{2, byte(i)}, Hold: testHold, MaxBody: 1000, MaxMessage: 20_000,
			Holds: holds, Arrivals: holds, Transmit: func(*packet.Packet) bool { return true }}, time.Second)
	}
	kilobyte := func() *Content { return NewContent(nil, make([]byte, 1000)) }
	for range 7 {
		streams[0].Send(packet.FirstOrdered, 0, kilobyte(), time.Second)
	}
	for range 20 {
		streams[1].Send(packet.FirstOrdered, 0, NewContent(nil, make([]byte, 10)), time.Second)
	}
	for range 3 {
		if !streams[2].Send(packet.FirstOrdered, 0, kilobyte(), time.Second) {
			t.Fatal("there was no room")
		}
	}
	for i, want := range []uint64{2, 0, 0} {
		if got := streams[i].Stats().GivenUp[Full]; got != want {
			t.Errorf("stream %d gave up %d messages, want %d", i, got, want)
		}
	}
	if streams[2].Send(packet.FirstOrdered, 0, NewContent(nil, make([]byte, 10_000)), time.Second) {
		t.Error("a message of more than everything was taken")
	}
	for _, s := range streams {
		s.Close()
	}
	if holds.Used() != 0 {
		t.Errorf("%d bytes are used after all were closed", holds.Used())
	}
}

func TestAContentThatSeveralStreamsHoldCountsOnce(t *testing.T) {
	holds := NewBuffer(10_000)
	shared := NewContent(packet.AppendField(nil, 1, "user"), make([]byte, 5000))
	var streams []*Stream
	for i := range 4 {
		s := New(Config{Self: packet.Instance{1}, Peer: packet.Instance{2, byte(i)}, Hold: testHold, MaxBody: 1000, MaxMessage: 20_000,
			Holds: holds, Arrivals: holds, Transmit: func(*packet.Packet) bool { return true }}, time.Second)
		if !s.Send(packet.FirstOrdered, 0, shared, time.Second) {
			t.Fatal("there was no room")
		}
		streams = append(streams, s)
	}
	if want := 4*itemBytes + 5006; holds.Used() != want {
		t.Errorf("%d bytes are used, want %d", holds.Used(), want)
	}
	for _, s := range streams {
		s.Close()
	}
	if holds.Used() != 0 {
		t.Errorf("%d bytes are used after all were closed", holds.Used())
	}
}

func TestAMessageThatItsReceiverFindsTooLongIsLostAndNoOther(t *testing.T) {
	for _, size := range []int{150, 1500} { // a packet, and several
		n := newNetwork(t, 1)
		n.ends[1].config.MaxMessage = 120
		n.ends[0].resized(200)
		n.run(100 * time.Millisecond)
		n.ends[0].sent = []time.Duration{n.now, n.now}
		n.ends[0].Send(packet.FirstOrdered, 0, NewContent(nil, make([]byte, size)), n.clock(0))
		for len(content(len(n.ends[0].sent)).body) > 120 { // the next is a short one
			n.ends[0].sent = append(n.ends[0].sent, n.now)
		}
		n.send(0)
		n.run(100 * time.Millisecond)
		if stats := n.ends[1].Stats(); stats.Lost != 1 || stats.Delivered != 1 || n.ends[0].InDoubt() != 0 || n.ends[1].arrivals.Used() != 0 {
			t.Errorf("of %d bytes and a short one: %+v, %d in doubt", size, stats, n.ends[0].InDoubt())
		}
	}
}

func TestNothingIsTransmittedToAPeerThatIsNotHeardButALittle(t *testing.T) {
	n := newNetwork(t, 1)
	n.run(100 * time.Millisecond)
	n.cut = true
	before := n.ends[0].Stats().Transmitted
	for range 1000 {
		n.send(0)
		n.run(10 * time.Millisecond)
	}
	// Until the peer should have answered everything goes out, then only probes.
	if packets := n.ends[0].Stats().Transmitted - before; packets > 200 {
		t.Errorf("%d packets in 10 s", packets)
	}
	n.ends[0].Suspend()
	before = n.ends[0].Stats().Transmitted
	for range 100 {
		n.send(0)
		n.run(10 * time.Millisecond)
	}
	if packets := n.ends[0].Stats().Transmitted - before; packets > 0 {
		t.Errorf("%d packets while the link is known to be lost", packets)
	}
	n.audit()
}

func TestWhatArrivesAfterTheLinkIsLostIsTakenAndNothingIsTransmittedForIt(t *testing.T) {
	n := newNetwork(t, 1)
	n.run(100 * time.Millisecond)
	n.stalled = true // as the bus of a process that stands still
	for range 3 {
		n.send(0)
		n.send(1)
		n.run(10 * time.Millisecond)
	}
	e := n.ends[1]
	e.Cut()
	e.full = true
	before := e.Stats()
	n.stalled = false
	n.run(100 * time.Millisecond)
	n.heartbeat()
	n.run(testHold / 2)
	after := e.Stats()
	if after.Delivered-before.Delivered != 3 {
		t.Errorf("%d messages were taken, want 3", after.Delivered-before.Delivered)
	}
	if after.Refused != before.Refused || after.Transmitted != before.Transmitted || !e.Suspended() {
		t.Errorf("it was tried to transmit %d packets", after.Refused+after.Transmitted-before.Refused-before.Transmitted)
	}
	e.full = false
	e.Suspend()
	n.heartbeat()
	n.run(time.Second)
	if n.ends[0].InDoubt() != 0 || e.InDoubt() != 0 {
		t.Errorf("%d and %d messages are in doubt after the link is back", n.ends[0].InDoubt(), e.InDoubt())
	}
}

func TestTheClockFindsWhatABusHasHeldUpHoweverTheClocksDiffer(t *testing.T) {
	for _, skew := range []time.Duration{-time.Hour, 0, 1000 * time.Hour} {
		var ours, theirs clock
		now := 2 * time.Hour
		exchange := func(underway time.Duration) time.Duration {
			stamp, echo := now+skew, theirs.echo(now+skew)
			now += underway
			found := ours.underway(stamp, echo, now)
			theirs.underway(now, ours.echo(now), now+skew+time.Millisecond)
			return found
		}
		exchange(time.Millisecond)
		for range 100 {
			now += time.Second
			if found := exchange(3 * time.Millisecond); found > 3*time.Millisecond {
				t.Fatalf("skew %v: %v underway is taken for %v", skew, 3*time.Millisecond, found)
			}
		}
		if found := exchange(5 * time.Second); found < 4800*time.Millisecond || found > 5*time.Second {
			t.Errorf("skew %v: 5 s underway are taken for %v", skew, found)
		}
		skew -= time.Minute // the peer stood still
		exchange(time.Millisecond)
		exchange(time.Millisecond)
		if found := exchange(time.Millisecond); found > 20*time.Millisecond {
			t.Errorf("skew %v: after a jump of the peer's clock 1 ms underway is taken for %v", skew, found)
		}
	}
}

func TestSendingReceivingAndAcknowledgingAllocateNothing(t *testing.T) {
	a, b, settle := pair()
	c := NewContent(nil, make([]byte, 200))
	now := time.Minute
	step := func() {
		now += time.Millisecond
		a.Send(packet.FirstOrdered, 1, c, now)
		settle(now)
	}
	for range 1000 {
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if a.Stats().Sent != b.Stats().Delivered || a.InDoubt() > 100 {
		t.Errorf("%+v, %+v", a.Stats(), b.Stats())
	}
}

// pair is two streams; settle hands the packets of each to the other without encoding
// them.
func pair() (a, b *Stream, settle func(now time.Duration)) {
	var queue [2][]packet.Packet
	var ends [2]*Stream
	for i := range ends {
		self, peer := packet.Instance{byte(1 + i)}, packet.Instance{byte(2 - i)}
		ends[i] = New(Config{Self: self, Peer: peer, Hold: testHold, MaxBody: 1 << 19, MaxMessage: 1 << 24, Holds: NewBuffer(1 << 24), Arrivals: NewBuffer(1 << 24),
			Transmit: func(p *packet.Packet) bool { queue[i] = append(queue[i], *p); return true }}, time.Second)
	}
	return ends[0], ends[1], func(now time.Duration) {
		for i, end := range ends {
			if end.Due() <= now {
				end.Tick(now)
			}
			for len(queue[1-i]) > 0 {
				p := queue[1-i][0]
				queue[1-i] = slices.Delete(queue[1-i], 0, 1)
				end.Receive(&p, now)
			}
		}
	}
}

// BenchmarkMessage is a message of 200 bytes from Send to Receive, without encoding.
func BenchmarkMessage(b *testing.B) {
	sender, receiver, settle := pair()
	c := NewContent(nil, make([]byte, 200))
	now := time.Minute
	settle(now)
	for b.Loop() {
		now += 100 * time.Microsecond
		sender.Send(packet.FirstOrdered, 1, c, now)
		settle(now)
	}
	if receiver.Stats().Delivered == 0 {
		b.Fatal(receiver.Stats())
	}
}

// FuzzReceive: packets that contradict everything do no harm beyond the stream: no
// panic, no memory beyond the buffers, no endless work.
func FuzzReceive(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19})
	f.Add(bytes.Repeat([]byte{16, 3, 0, 1, 5, 255, 4, 1, 0, 0}, 20))
	f.Add(bytes.Repeat([]byte{2, 200, 100, 3, 9, 1, 3, 0, 7, 7}, 20))
	f.Fuzz(func(t *testing.T, script []byte) {
		transmitted := 0
		holds, arrivals := NewBuffer(5000), NewBuffer(3000)
		self, peer := packet.Instance{1}, packet.Instance{2}
		now := time.Second
		s := New(Config{Self: self, Peer: peer, Hold: testHold, MaxBody: 100, MaxMessage: 2000, Holds: holds, Arrivals: arrivals,
			Transmit: func(p *packet.Packet) bool {
				transmitted++
				return p.Len() < packet.Overhead+100+1 && transmitted%7 != 0
			}}, now)
		first := s.out.next
		for ; len(script) >= 10; script = script[10:] {
			b := script[:10]
			now += time.Duration(b[0]) * 10 * time.Millisecond
			if b[1]&1 != 0 {
				s.Send(packet.FirstOrdered, 1, NewContent(nil, make([]byte, int(b[2])*3)), now)
			}
			if s.Due() <= now {
				s.Tick(now)
			}
			p := packet.Packet{Kind: packet.Kind(b[3] % 20), Sender: peer, Receiver: self, Sequence: uint64(b[4]) - 100, Acknowledged: first + uint64(b[5]) - 10,
				Fragment: uint16(b[6]), More: b[6]&128 != 0, Request: uint64(b[7]) - 200, Stamp: time.Duration(b[8]) << 55, Echo: time.Duration(b[9]) << 55,
				Body: make([]byte, int(b[2])*8)}
			s.Receive(&p, now)
			if holds.Used() > 5000 || arrivals.Used() > 3000 || holds.Used() < 0 || arrivals.Used() < 0 {
				t.Fatalf("%d and %d bytes are held", holds.Used(), arrivals.Used())
			}
			if transmitted > 10_000 {
				t.Fatal("it transmits without end")
			}
		}
		s.Close()
		if holds.Used() != 0 || arrivals.Used() != 0 {
			t.Fatalf("%d and %d bytes are left", holds.Used(), arrivals.Used())
		}
	})
}

// resized has a bus that took packets of 100 bytes take only so many.
func (e *end) resized(limit int) {
	e.limit = limit
	e.Resize(limit)
}

func TestWhatABusTakesOnlyInShorterPacketsIsCutAnew(t *testing.T) {
	for _, bytes := range []int{90, 500} { // one packet, and several
		n := newNetwork(t, 1)
		n.run(100 * time.Millisecond)
		if bytes > 100 {
			n.ends[0].full = true // nothing of it is transmitted
		} else {
			n.cut = true // it is lost
		}
		payload := make([]byte, bytes)
		for i := range payload {
			payload[i] = byte(i)
		}
		var got []Message
		n.take = func(m Message) { got = append(got, m) }
		n.ends[0].Send(packet.FirstOrdered, 7, NewContent(nil, payload), n.clock(0))
		n.ends[0].Send(packet.FirstOrdered, 8, NewContent(nil, payload), n.clock(0))
		n.ends[0].resized(20)
		n.ends[0].full, n.cut = false, false
		n.run(testHold / 2)
		if len(got) != 2 || got[0].Request != 7 || got[1].Request != 8 || !slices.Equal(got[0].Payload, payload) || !slices.Equal(got[1].Payload, payload) {
			t.Errorf("of %d bytes: %d messages arrived", bytes, len(got))
		}
		if stats := n.ends[0].Stats(); stats.GivenUp != [Reasons]uint64{} || n.ends[0].InDoubt() > 0 {
			t.Errorf("of %d bytes: %+v", bytes, stats)
		}
	}
}

func TestAMessageThatWasSentInPartIsGivenUpIfTheRestDoesNotFitAndNoOther(t *testing.T) {
	n := newNetwork(t, 1)
	n.run(100 * time.Millisecond)
	var got []uint64
	n.take = func(m Message) { got = append(got, m.Request) }
	send := func(request uint64, bytes int) {
		n.ends[0].Send(packet.FirstOrdered, request, NewContent(nil, make([]byte, bytes)), n.clock(0))
	}
	n.cut = true // from its first packet on
	send(1, 10)
	send(2, 500)
	send(3, 10)
	n.ends[0].resized(50)
	n.cut = false
	send(4, 500)
	n.run(testHold / 2)
	if !slices.Equal(got, []uint64{1, 3, 4}) {
		t.Errorf("%v arrived", got)
	}
	stats, other := n.ends[0].Stats(), n.ends[1].Stats()
	if stats.GivenUp != [Reasons]uint64{Cut: 1} || other.Lost != 1 || other.Delivered != 3 || n.ends[0].InDoubt() > 0 {
		t.Errorf("%+v, %+v", stats, other)
	}
	n.ends[0].resized(1000) // and back
	send(5, 500)
	n.run(time.Second)
	if got[len(got)-1] != 5 {
		t.Errorf("%v arrived", got)
	}
}

// Whoever may publish on the bus may publish in another's name.
func TestAStreamGoesOnAfterAPacketThatSomebodyElseHasSent(t *testing.T) {
	for name, forged := range map[string]func(n *network) (to int, p packet.Packet){
		"to skip messages that there are not": func(n *network) (int, packet.Packet) {
			return 1, packet.Packet{Kind: packet.Skip, Sequence: n.ends[0].out.next + 1e15, Request: 1}
		},
		"to skip to the end of all numbers": func(n *network) (int, packet.Packet) {
			return 1, packet.Packet{Kind: packet.Skip, Sequence: math.MaxUint64, Request: 1}
		},
		"to have taken what there is not": func(n *network) (int, packet.Packet) {
			return 0, packet.Packet{Kind: packet.Acknowledge, Acknowledged: n.ends[0].out.next + 1e15}
		},
		"to have taken all numbers": func(n *network) (int, packet.Packet) {
			return 0, packet.Packet{Kind: packet.Acknowledge, Acknowledged: math.MaxUint64}
		},
	} {
		n := newNetwork(t, 1)
		var got []uint64
		n.take = func(m Message) { got = append(got, m.Request) }
		send := func(request uint64) {
			n.ends[0].Send(packet.FirstOrdered, request, NewContent(nil, []byte("x")), n.clock(0))
		}
		send(1)
		n.run(100 * time.Millisecond)
		to, p := forged(n)
		p.Sender, p.Receiver, p.Stamp = n.ends[1-to].instance, n.ends[to].instance, n.clock(1-to)
		n.ends[to].Receive(&p, n.clock(to))
		send(2) // may be lost
		n.run(100 * time.Millisecond)
		send(3)
		n.run(time.Second)
		got = slices.DeleteFunc(got, func(request uint64) bool { return request == 2 })
		if lost := n.ends[0].Stats().GivenUp[Old]; !slices.Equal(got, []uint64{1, 3}) || lost > 1 || n.ends[0].InDoubt() > 0 {
			t.Errorf("%s: %v arrived, %d were given up, %d are in doubt", name, got, lost, n.ends[0].InDoubt())
		}
	}
}
