package natsbus

import (
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"ws-gateway/cluster/bus"
)

// The bounds of a Bus.
const (
	maxPacket  = 512 << 10 // bytes, if the server takes as much
	minPacket  = 4 << 10   // bytes: a server that takes less cannot be used
	maxWaiting = 16 << 20  // bytes that wait to be published
	maxUnread  = 64 << 20  // bytes that wait to be taken
	unsorted   = 8 << 10   // packets between the client and the queue, which a goroutine keeps short
)

// Bus is a bus on NATS. Make it with New.
type Bus struct {
	// Static.
	cfg     Config
	prefix  string                    // of all subjects
	self    string                    // Config.Instance in hexadecimal
	mine    string                    // of the subjects of what is for this instance
	conn    atomic.Pointer[nats.Conn] // the last client's; nil until the first attempt to connect is over
	largest atomic.Int64              // bytes of a message that the server takes; 0: it has not said it
	queue   *bus.Queue
	arrived chan *nats.Msg
	out     *outbox
	closing chan struct{} // closed by Close
	ready   chan struct{} // closed when there will be no other client
	sent    chan struct{} // closed when nothing is published any more
	done    chan struct{} // closed when nothing arrives any more
	denials chan struct{} // has a value after a server has refused the subjects
	work    sync.WaitGroup

	published, bytes, refused, links, slow atomic.Uint64

	tellings // for the client's callbacks, which come one at a time
}

var _ bus.Bus = (*Bus)(nil)

// New begins to connect to a server; it does not wait for that. The error is about cfg
// and its files.
func New(cfg Config) (*Bus, error) {
	if _, err := cfg.options(func() {}); err != nil {
		return nil, err
	}
	b := &Bus{
		cfg: cfg, prefix: cfg.prefix(), self: cfg.self(), mine: cfg.mine(),
		queue: bus.NewQueue(maxUnread), arrived: make(chan *nats.Msg, unsorted),
		out: newOutbox(), closing: make(chan struct{}), ready: make(chan struct{}), sent: make(chan struct{}), done: make(chan struct{}), denials: make(chan struct{}, 1),
	}
	b.work.Go(b.connect)
	b.work.Go(b.publish)
	b.work.Go(b.sort)
	b.work.Go(b.reconnect)
	return b, nil
}

// Publish is bus.Bus's.
func (b *Bus) Publish(to [8]byte, packet []byte) bool {
	if !b.out.put(outgoing{to, packet}) {
		b.refused.Add(1)
		return false
	}
	return true
}

// Wake is bus.Bus's.
func (b *Bus) Wake() <-chan struct{} { return b.queue.Wake() }

// Take is bus.Bus's.
func (b *Bus) Take(dst []bus.Event) []bus.Event { return b.queue.Take(dst) }

// MaxPacket is bus.Bus's. It does not ask the client, which is locked while it connects or
// writes, for seconds if a server hangs.
func (b *Bus) MaxPacket() int {
	if largest := b.largest.Load(); largest > 0 {
		return int(max(minPacket, min(largest, maxPacket)))
	}
	return maxPacket
}

// Stats is bus.Bus's.
func (b *Bus) Stats() bus.Stats {
	s := bus.Stats{
		Links: b.links.Load(), Published: b.published.Load(), PublishedBytes: b.bytes.Load(), Refused: b.refused.Load(),
	}
	b.queue.AddTo(&s)
	s.Dropped += b.slow.Load()
	s.Up, s.Waiting = b.out.state()
	return s
}

// Close is bus.Bus's.
func (b *Bus) Close() {
	b.out.close()
	close(b.closing)
	<-b.ready
	conn := b.conn.Load()
	if conn != nil {
		late := time.AfterFunc(closeTimeout, conn.Close) // or a server that hangs would hold us up for longer
		<-b.sent
		if conn.IsConnected() {
			conn.FlushTimeout(closeTimeout) // best effort: nobody is told that this failed
		}
		late.Stop()
		conn.Close()
	}
	close(b.done)
	b.work.Wait()
}

// sort moves what arrives into the queue.
func (b *Bus) sort() {
	for {
		select {
		case <-b.done:
			return
		case m := <-b.arrived:
			if len(m.Data) > 0 || len(m.Header) > 0 { // or it says nothing: see Config.trySubjects
				b.queue.Put(b.eventOf(m))
			}
		}
	}
}

// noResponders is the status of a server's message that nobody was there.
const noResponders = "503"

func (b *Bus) eventOf(m *nats.Msg) bus.Event {
	if len(m.Header) == 0 || len(m.Data) > 0 || m.Header.Get("Status") != noResponders {
		return bus.Event{Kind: bus.Packet, Data: m.Data}
	}
	e := bus.Event{Kind: bus.Absent}
	if sender, ok := strings.CutPrefix(m.Subject, b.mine); ok && len(sender) == hex.EncodedLen(len(e.From)) {
		hex.Decode(e.From[:], []byte(sender))
	}
	return e
}

// publish gives packets to the client, which may block: a server that hangs takes a few
// megabytes before that is known.
func (b *Bus) publish() {
	defer close(b.sent)
	var packets []outgoing
	for {
		if packets = b.out.take(packets); len(packets) == 0 {
			return
		}
		for _, o := range packets {
			b.publishOne(o)
		}
		b.largest.Store(b.conn.Load().MaxPayload()) // a server may say that it takes less while the link is up
	}
}

func (b *Bus) publishOne(o outgoing) {
	conn := b.conn.Load() // is there, because the link was up
	var err error
	if o.to == ([8]byte{}) {
		err = conn.Publish(b.prefix+heartbeats, o.packet)
	} else {
		to := hex.EncodeToString(o.to[:])
		err = conn.PublishRequest(b.prefix+"to."+to+"."+b.self, b.mine+to, o.packet)
	}
	switch {
	case err == nil:
		b.published.Add(1)
		b.bytes.Add(uint64(len(o.packet)))
		return
	case errors.Is(err, nats.ErrMaxPayload):
		b.complained(err)
	}
	b.refused.Add(1)
}
