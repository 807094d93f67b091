package stream

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"ws-gateway/cluster/packet"
)

const (
	testHold = 2 * time.Second
	slowest  = 20 * time.Millisecond // a packet that nothing holds up
)

// network is two instances and a bus between them that does whatever its faults say,
// on a clock of its own.
type network struct {
	t      *testing.T
	random *rand.Rand
	now    time.Duration
	ends   [2]*end
	flying []flight

	loss, twice float64       // the share of packets
	delay       time.Duration // at most; packets overtake each other if it is random
	overtake    bool
	cut         bool // everything is lost, and nobody knows
	stalled     bool // everything is held up, as by a server that is stopped

	take func(Message) // instead of the checks, unless it is nil
}

type flight struct {
	at    time.Duration
	to    int
	bytes []byte
}

// end is an instance with its stream to the other one.
type end struct {
	*Stream
	number   int
	instance packet.Instance
	skew     time.Duration // of its clock
	holds    *Buffer
	arrivals *Buffer
	full     bool // its bus has no room
	limit    int  // bytes of a packet's body, which its bus takes; longer ones are lost

	sent      []time.Duration // message i was sent at
	delivered []int           // numbers of the other end's messages
	doubt     uint64          // of streams that were closed
	counts    Stats           // of streams that were closed
}

func newNetwork(t *testing.T, seed uint64) *network {
	n := &network{t: t, random: rand.New(rand.NewPCG(seed, 1)), delay: time.Millisecond, now: time.Second}
	for i := range n.ends {
		n.ends[i] = &end{number: i, instance: packet.Instance{byte(i + 1)}, skew: time.Duration(i) * time.Hour,
			holds: NewBuffer(1 << 20), arrivals: NewBuffer(1 << 20), limit: 100}
	}
	for i := range n.ends {
		n.open(i)
	}
	return n
}

func (n *network) clock(i int) time.Duration { return n.now + n.ends[i].skew }

func (n *network) open(i int) {
	e := n.ends[i]
	e.Stream = New(Config{Self: e.instance, Peer: n.ends[1-i].instance, Hold: testHold, MaxBody: e.limit, MaxMessage: 2000,
		Holds: e.holds, Arrivals: e.arrivals, Transmit: func(p *packet.Packet) bool { return n.transmit(i, p) }}, n.clock(i))
}

func (n *network) transmit(from int, p *packet.Packet) bool {
	if n.ends[from].full {
		return false
	}
	if len(p.Body) > n.ends[from].limit {
		return true
	}
	bytes := p.Append(nil)
	if len(bytes) != p.Len() {
		n.t.Fatalf("%d bytes were appended of %d", len(bytes), p.Len())
	}
	copies := 1
	if n.random.Float64() < n.twice {
		copies = 2
	}
	for range copies {
		if n.cut || n.random.Float64() < n.loss {
			continue
		}
		delay := n.delay
		if n.overtake {
			delay = time.Duration(n.random.Int64N(int64(n.delay) + 1))
		}
		n.flying = append(n.flying, flight{at: n.now + delay, to: 1 - from, bytes: bytes})
	}
	return true
}

// next is the flight that arrives first; those that fly equally long keep their order.
func (n *network) next() (first int) {
	first = -1
	for i, f := range n.flying {
		if first < 0 || f.at < n.flying[first].at {
			first = i
		}
	}
	return first
}

// run lets time pass.
func (n *network) run(d time.Duration) {
	until := n.now + d
	for {
		at, first := until, -1
		if !n.stalled {
			if first = n.next(); first >= 0 && n.flying[first].at <= at {
				at = max(n.now, n.flying[first].at)
			} else {
				first = -1
			}
		}
		due := -1
		for i, e := range n.ends {
			if d := e.Due(); d != never && d-e.skew < at {
				at, due = max(n.now, d-e.skew), i
			}
		}
		n.now = at
		switch {
		case due >= 0:
			n.ends[due].Tick(n.clock(due))
			if d := n.ends[due].Due(); d <= n.clock(due) {
				n.t.Fatalf("after a tick at %v another is due at %v", n.clock(due), d)
			}
		case first >= 0:
			f := n.flying[first]
			n.flying = append(n.flying[:first], n.flying[first+1:]...)
			n.receive(f)
		default:
			return
		}
	}
}

func (n *network) receive(f flight) {
	p, err := packet.Parse(f.bytes)
	if err != nil {
		n.t.Fatal(err)
	}
	e := n.ends[f.to]
	m, ok := e.Receive(&p, n.clock(f.to))
	if !ok {
		return
	}
	if n.take != nil {
		n.take(m)
		return
	}
	other := n.ends[1-f.to]
	number := int(m.Request)
	if number >= len(other.sent) {
		n.t.Fatalf("message %d was never sent", number)
	}
	if len(e.delivered) > 0 && e.delivered[len(e.delivered)-1] >= number {
		n.t.Fatalf("message %d came after %d", number, e.delivered[len(e.delivered)-1])
	}
	if want := content(number); string(want.body) != string(m.Fields)+string(m.Payload) || len(m.Fields) != int(want.fields) {
		n.t.Fatalf("message %d has %d bytes of fields and %d of payload", number, len(m.Fields), len(m.Payload))
	}
	age := n.now - other.sent[number]
	if m.Age > age+5*time.Millisecond {
		n.t.Fatalf("message %d is said to be %v old, and is %v", number, m.Age, age)
	}
	if age > testHold+slowest+2*echoError {
		n.t.Fatalf("message %d was delivered after %v", number, age)
	}
	e.delivered = append(e.delivered, number)
}

// content is what message number i carries: some are long.
func content(number int) *Content {
	random := rand.New(rand.NewPCG(uint64(number), 7))
	size := random.IntN(60)
	if random.IntN(8) == 0 {
		size = random.IntN(2000 - 12)
	}
	payload := binary.BigEndian.AppendUint64(make([]byte, 0, size+8), uint64(number))
	for len(payload) < size {
		payload = append(payload, byte(random.Uint32()))
	}
	return NewContent(packet.AppendNumber(nil, 9, uint64(number%100)), payload)
}

func (n *network) send(from int) {
	e := n.ends[from]
	number := len(e.sent)
	e.sent = append(e.sent, n.now)
	if !e.Send(packet.FirstOrdered, uint64(number), content(number), n.clock(from)) {
		n.t.Fatalf("message %d was refused", number)
	}
}

// heartbeat lets both hear each other, unless the bus is cut.
func (n *network) heartbeat() {
	if !n.cut && !n.stalled {
		for i, e := range n.ends {
			e.Heard(n.clock(i))
		}
	}
}

// audit expects that each message was delivered or counted as lost once the network
// is whole again.
func (n *network) audit() {
	n.t.Helper()
	n.loss, n.twice, n.cut, n.stalled = 0, 0, false, false
	for _, e := range n.ends {
		e.full = false
		e.Resize(e.limit)
	}
	n.run(10 * time.Millisecond)
	n.heartbeat()
	n.run(10 * time.Second)
	for i, e := range n.ends {
		stats, other := n.total(i), n.total(1-i)
		if e.InDoubt() != 0 {
			n.t.Errorf("end %d: %d messages in doubt after 10 s of quiet: %+v, %+v", i, e.InDoubt(), e.out, e.stats)
		}
		if stats.Sent != uint64(len(e.sent)) || stats.Sent != other.Delivered+other.Lost+e.doubt || other.Delivered != uint64(len(n.ends[1-i].delivered)) {
			n.t.Errorf("end %d sent %d messages: of them %d were delivered, %d counted as lost, %d left in doubt", i, stats.Sent, other.Delivered, other.Lost, e.doubt)
		}
		if other.Lost > stats.GivenUp[Old]+stats.GivenUp[Full]+stats.GivenUp[Cut] {
			n.t.Errorf("end %d gave up %v, but %d were lost", i, stats.GivenUp, other.Lost)
		}
		if stats.Nonsense > 0 {
			n.t.Errorf("end %d has taken %d packets for nonsense", i, stats.Nonsense)
		}
		if messages, bytes := e.Held(); messages != 0 || bytes != 0 || e.holds.Used() != 0 || e.arrivals.Used() != 0 {
			n.t.Errorf("end %d holds %d messages, %d bytes, %d and %d in its buffers", i, messages, bytes, e.holds.Used(), e.arrivals.Used())
		}
	}
	if n.t.Failed() {
		n.t.FailNow()
	}
}

func (n *network) total(i int) Stats {
	total, s := n.ends[i].counts, n.ends[i].Stats()
	total.Sent += s.Sent
	total.Delivered += s.Delivered
	total.Lost += s.Lost
	total.Nonsense += s.Nonsense
	for r := range s.GivenUp {
		total.GivenUp[r] += s.GivenUp[r]
	}
	return total
}

// TestWhatIsSentIsDeliveredInOrderOrCountedAsLostWhateverTheBusDoes plays random
// faults. newNetwork's ends check order, content and age of each delivery.
func TestWhatIsSentIsDeliveredInOrderOrCountedAsLostWhateverTheBusDoes(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 20
	}
	var delivered, lost, late, again, transmitted, cut uint64
	for seed := range rounds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			n := newNetwork(t, uint64(seed))
			n.play(400)
			n.audit()
			for i := range n.ends {
				delivered += n.total(i).Delivered
				lost += n.total(i).Lost
				cut += n.total(i).GivenUp[Cut]
				late += n.ends[i].Stats().Late
				again += n.ends[i].Stats().Retransmitted
				transmitted += n.ends[i].Stats().Transmitted
			}
		})
	}
	t.Logf("%d delivered, %d lost; %d packets, %d again, %d too late; %d given up in the middle", delivered, lost, transmitted, again, late, cut)
	if !t.Failed() && (lost == 0 || lost > delivered || late == 0 || cut == 0) {
		t.Error("the faults are too few or too many")
	}
}

func (n *network) play(steps int) {
	for range steps {
		switch n.random.IntN(25) {
		case 0:
			n.loss, n.twice = n.random.Float64()*0.1, n.random.Float64()*0.1
		case 1:
			n.loss, n.twice = 0, 0
		case 2:
			n.delay = time.Duration(n.random.Int64N(int64(slowest)))
			n.overtake = n.random.IntN(2) == 0
		case 3:
			n.cut = !n.cut && n.random.IntN(3) == 0
		case 4:
			n.stalled = !n.stalled && n.random.IntN(3) == 0
		case 5: // the link of one is lost, or is there again
			e := n.ends[n.random.IntN(2)]
			if n.random.IntN(2) == 0 {
				e.Cut()
				n.run(time.Duration(n.random.Int64N(int64(50 * time.Millisecond))))
			}
			e.Suspend()
		case 6:
			n.heartbeat()
		case 9: // the bus of one takes packets of another size, which is known soon
			e := n.ends[n.random.IntN(2)]
			e.limit = 30 + n.random.IntN(200)
			if n.random.IntN(4) > 0 {
				e.Resize(e.limit)
			}
		case 7:
			e := n.ends[n.random.IntN(2)]
			e.full = !e.full && n.random.IntN(3) == 0
		case 8:
			n.run(time.Duration(n.random.Int64N(int64(time.Second))))
			if n.random.IntN(4) == 0 {
				n.run(2 * testHold)
			}
		default:
			if n.random.IntN(8) == 0 {
				n.heartbeat()
			}
			for _, e := range n.ends {
				e.Resize(e.limit)
			}
			for range n.random.IntN(6) {
				n.send(n.random.IntN(2))
			}
			n.run(time.Duration(n.random.Int64N(int64(50 * time.Millisecond))))
		}
	}
}

// TestNothingIsLostIfTheLinkIsBackWithinHold is about cuts that are shorter than what
// is held, whether or not the instances know of them.
func TestNothingIsLostIfTheLinkIsBackWithinHold(t *testing.T) {
	for seed := range 100 {
		n := newNetwork(t, uint64(seed))
		n.loss, n.twice = float64(seed%3)*0.01, float64(seed%2)*0.01
		known := seed%2 == 0
		for range 5 {
			for range 50 {
				n.send(n.random.IntN(2))
				n.run(time.Duration(n.random.Int64N(int64(10 * time.Millisecond))))
			}
			n.cut = true
			if known {
				n.ends[0].Cut()
			}
			for range 100 {
				n.send(n.random.IntN(2))
				n.run(10 * time.Millisecond)
			}
			n.cut = false
			if known {
				n.ends[0].Suspend()
				n.run(time.Duration(n.random.Int64N(int64(300 * time.Millisecond))))
				n.heartbeat()
			}
			n.run(time.Second)
		}
		n.audit()
		for i := range n.ends {
			if lost := n.total(i).Lost; lost > 0 {
				t.Fatalf("seed %d: end %d lost %d messages", seed, i, lost)
			}
		}
	}
}

// TestAPeerThatIsForgottenAndComesBackGetsWhatIsNew is about one end that closes its
// stream because the other one is silent, and makes another one later.
func TestAPeerThatIsForgottenAndComesBackGetsWhatIsNew(t *testing.T) {
	for seed := range 100 {
		n := newNetwork(t, uint64(seed))
		for round := range 6 {
			for range 20 {
				n.send(n.random.IntN(2))
				n.run(time.Duration(n.random.Int64N(int64(10 * time.Millisecond))))
			}
			n.cut = true
			for range 10 {
				n.send(n.random.IntN(2))
			}
			n.run(2 * testHold)
			forgets := n.random.IntN(3)
			for i := range n.ends {
				if forgets == i || forgets == 2 {
					n.forget(i)
				}
			}
			n.cut = false
			n.heartbeat()
			n.run(time.Second)
			before := len(n.ends[1].delivered)
			n.send(0)
			n.run(time.Second)
			if len(n.ends[1].delivered) != before+1 {
				t.Fatalf("seed %d, round %d: what was sent after the cut did not arrive", seed, round)
			}
		}
		for i := range n.ends {
			stats, other := n.total(i), n.total(1-i)
			if sum := other.Delivered + other.Lost + n.ends[i].doubt; stats.Sent > sum {
				t.Errorf("seed %d: end %d sent %d messages: %d were delivered, %d counted as lost, %d in doubt", seed, i, stats.Sent,
					other.Delivered, other.Lost, n.ends[i].doubt)
			}
		}
	}
}

func (n *network) forget(i int) {
	e := n.ends[i]
	e.counts = n.total(i)
	e.doubt += e.Close()
	n.open(i)
}
