package localbus

import (
	"maps"
	"slices"
	"sync"

	"ws-gateway/cluster/bus"
)

// Fate is what becomes of a packet.
type Fate uint8

// The fates.
const (
	Arrives Fate = iota
	IsLost
	ComesTwice
	Waits // until Exchange.Release
)

// Instance is a bus's name.
type Instance = [8]byte

// Exchange is what buses are joined to.
type Exchange struct {
	mu      sync.Mutex // guards following
	buses   map[Instance]*Bus
	fate    func(from, to Instance, packet []byte) Fate
	waiting []delivery
}

type delivery struct {
	to     *Bus
	packet []byte
}

// NewExchange returns an Exchange without buses.
func NewExchange() *Exchange { return &Exchange{buses: map[Instance]*Bus{}} }

// SetFate has f decide about each packet to each of its receivers, one after the other;
// nil: all arrive. f must not call the exchange.
func (x *Exchange) SetFate(f func(from, to Instance, packet []byte) Fate) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.fate = f
}

// Release has the packets that wait arrive, in order.
func (x *Exchange) Release() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, d := range x.waiting {
		d.to.queue.Put(bus.Event{Kind: bus.Packet, Data: d.packet})
	}
	x.waiting = nil
}

// Bus is an instance's end of an Exchange.
type Bus struct {
	exchange *Exchange
	self     Instance
	queue    *bus.Queue

	// Guarded by exchange.mu.
	up, closed bool
	stats      bus.Stats
}

var _ bus.Bus = (*Bus)(nil)

// The bounds of a Bus.
const (
	maxPacket = 512 << 10 // bytes
	maxUnread = 64 << 20  // bytes
)

// Join joins an instance, whose link is up.
func (x *Exchange) Join(self Instance) *Bus {
	x.mu.Lock()
	defer x.mu.Unlock()
	b := &Bus{exchange: x, self: self, queue: bus.NewQueue(maxUnread)}
	x.buses[self] = b
	b.setUp(true)
	return b
}

// SetUp cuts the bus's link, or mends it.
func (b *Bus) SetUp(up bool) {
	b.exchange.mu.Lock()
	defer b.exchange.mu.Unlock()
	b.setUp(up)
}

func (b *Bus) setUp(up bool) {
	if b.up == up || b.closed {
		return
	}
	b.up = up
	kind := bus.Down
	if up {
		kind = bus.Up
		b.stats.Links++
	}
	b.queue.Put(bus.Event{Kind: kind})
}

// Publish is bus.Bus's.
func (b *Bus) Publish(to Instance, packet []byte) bool {
	x := b.exchange
	x.mu.Lock()
	defer x.mu.Unlock()
	if !b.up || len(packet) > maxPacket {
		b.stats.Refused++
		return false
	}
	b.stats.Published++
	b.stats.PublishedBytes += uint64(len(packet))
	if to == (Instance{}) {
		for _, other := range slices.SortedFunc(maps.Values(x.buses), byName) {
			if other != b && other.up {
				x.deliver(b, other, packet)
			}
		}
	} else if other := x.buses[to]; other != nil && other.up {
		x.deliver(b, other, packet)
	} else {
		b.queue.Put(bus.Event{Kind: bus.Absent, From: to})
	}
	return true
}

func byName(a, b *Bus) int { return slices.Compare(a.self[:], b.self[:]) }

func (x *Exchange) deliver(from, to *Bus, packet []byte) {
	fate := Arrives
	if x.fate != nil {
		fate = x.fate(from.self, to.self, packet)
	}
	arrives := bus.Event{Kind: bus.Packet, Data: packet}
	switch fate {
	case Arrives:
		to.queue.Put(arrives)
	case ComesTwice:
		to.queue.Put(arrives)
		to.queue.Put(arrives)
	case Waits:
		x.waiting = append(x.waiting, delivery{to, packet})
	case IsLost:
	}
}

// Wake is bus.Bus's.
func (b *Bus) Wake() <-chan struct{} { return b.queue.Wake() }

// Take is bus.Bus's.
func (b *Bus) Take(dst []bus.Event) []bus.Event { return b.queue.Take(dst) }

// MaxPacket is bus.Bus's.
func (b *Bus) MaxPacket() int { return maxPacket }

// Stats is bus.Bus's.
func (b *Bus) Stats() (s bus.Stats) {
	b.exchange.mu.Lock()
	defer b.exchange.mu.Unlock()
	s = b.stats
	s.Up = b.up
	b.queue.AddTo(&s)
	return s
}

// Close leaves the exchange.
func (b *Bus) Close() {
	x := b.exchange
	x.mu.Lock()
	defer x.mu.Unlock()
	b.up, b.closed = false, true
	if x.buses[b.self] == b {
		delete(x.buses, b.self)
	}
}
