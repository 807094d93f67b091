package bus

// Bus carries packets from one instance. Instances are named by 8 bytes, which are those
// with which the ids of its connections begin; all zero is everybody.
type Bus interface {
	// Publish sends a packet to an instance, or to everybody else. It never waits, and
	// returns false if the packet is dropped at once: the link is down, or too much waits
	// for it. The packet is the bus's from then on.
	Publish(to [8]byte, packet []byte) bool

	// Wake receives a value after something has arrived for Take.
	Wake() <-chan struct{}

	// Take appends what has arrived to dst, in order. One goroutine may call it.
	Take(dst []Event) []Event

	// MaxPacket is how many bytes a packet may have, which are some thousand at the least. It
	// may change at any time, mostly when the link comes up; longer ones are lost.
	MaxPacket() int

	// Stats returns a snapshot.
	Stats() Stats

	// Close ends the bus after what waits to be published, for which it takes a second at
	// most. Nothing must be published after.
	Close()
}

// Kind is what an Event is about.
type Kind uint8

// The kinds of events. The link is down at first; that it could not be made at the first
// attempt is told, too.
const (
	Packet Kind = iota // a packet has arrived
	Up                 // the link is up: instances hear what is published from now on
	Down               // the link is down: nothing arrives
	Absent             // a packet to From has found nobody there
)

// Event is what a Bus tells.
type Event struct {
	Kind Kind
	From [8]byte // of Absent
	Data []byte  // of Packet; nobody changes it
}

// Stats are counters since the start, unless marked as a gauge.
type Stats struct {
	Up              bool   // gauge
	Links           uint64 // how often the link came up
	Published       uint64 // packets
	PublishedBytes  uint64
	Refused         uint64 // packets that were dropped instead: the link was down, or too much waited for it
	Received        uint64 // packets
	ReceivedBytes   uint64
	Dropped         uint64 // packets that arrived and found no room
	Waiting, Unread int64  // gauges: bytes that wait to be published, and to be taken
}
