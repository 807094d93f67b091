package stream

import (
	"math"
	"time"

	"ws-gateway/cluster/packet"
)

// Config is what a Stream is made of. All of it is required.
type Config struct {
	Self, Peer packet.Instance

	// Hold is how long a message may be on its way. It must be shorter than the time
	// after which a peer's stream is closed because the peer is silent: a stream that is
	// made anew relies on it.
	Hold time.Duration

	// MaxBody is how many bytes of a message a packet carries: what the bus takes, less
	// packet.Overhead. A message must fit into packet.MaxFragments of them. See Resize.
	MaxBody int
	// MaxMessage is how long fields and payload of a message may be together. What a
	// peer sends beyond it counts as lost.
	MaxMessage int

	Holds    *Buffer // bounds what streams hold until their peers have taken it
	Arrivals *Buffer // bounds what streams have of messages that have arrived in part

	// Transmit hands a packet to the bus, which must encode it before Transmit returns,
	// and must not call the stream. It returns false if the bus has no room now; the
	// stream then tries again in a moment.
	Transmit func(*packet.Packet) bool
}

// Message is a message that has arrived.
type Message struct {
	Kind    packet.Kind
	Request uint64
	Age     time.Duration // how long ago it was sent, at least
	Fields  packet.Fields
	Payload []byte
}

const (
	// window is how many bytes may be on their way at most. Receivers acknowledge several times
	// within it, so both ends must agree: it is a part of the protocol.
	window   = 4 << 20
	ackBytes = window / 8

	ackDelay   = 50 * time.Millisecond  // within which everything is acknowledged
	ackSpacing = 5 * time.Millisecond   // between acknowledgements that duplicates cause
	askSpacing = 5 * time.Millisecond   // between questions about different messages
	askFirst   = 100 * time.Millisecond // until a question is asked again; doubled each time
	askMost    = time.Second
	probeFirst = 200 * time.Millisecond // until what is not acknowledged is sent again; doubled each time
	probeMost  = 500 * time.Millisecond
	retryFirst = 10 * time.Millisecond // until a bus without room is tried again, at most; doubled each time
	retryMost  = 160 * time.Millisecond

	never = time.Duration(math.MaxInt64)

	// mostSequence is more than any number of a message: the first one is the time since the
	// start of its instance in nanoseconds.
	mostSequence = math.MaxInt64
)

// Stream is what an instance and its peer tell each other. Make it with New.
type Stream struct {
	config Config
	out    outgoing
	in     incoming
	clock  clock

	waiting bool          // for the peer to be heard: nothing is transmitted
	cut     bool          // the link is down: what arrives all the same was sent before that
	retryAt time.Duration // when pump has to go on, because the bus had no room
	room    backOff       // when the bus is tried again
	packet  packet.Packet // the one that is being transmitted
	stats   Stats
}

// Stats counts since the stream was made.
type Stats struct {
	Sent          uint64          // messages that Send took
	GivenUp       [Reasons]uint64 // messages that can't be sent again; most of those that were transmitted have arrived
	Transmitted   uint64          // packets
	Retransmitted uint64          // packets among them of messages that had been transmitted to their end before
	Refused       uint64          // packets that the bus had no room for

	Delivered  uint64 // messages that Receive returned
	Lost       uint64 // messages of the peer that did not arrive and won't
	Late       uint64 // packets that were ignored because their message was older than Hold
	Duplicates uint64 // packets
	NoRoom     uint64 // packets for which Arrivals had no room
	Asked      uint64 // how often the peer was asked to send again
	Nonsense   uint64 // packets that contradict what was sent, or are not for this stream
}

// Reason says why a message was given up.
type Reason uint8

const (
	Old     Reason = iota // it was held for as long as messages are
	Full                  // its memory was needed, and its stream held most
	Cut                   // it was sent in part, in pieces that are too long for what the bus takes now
	Reasons               // how many there are
)

func (r Reason) String() string {
	return [Reasons]string{Old: "old", Full: "full", Cut: "cut"}[r]
}

// New returns the Stream to a peer. now must be later than any Send of an earlier
// Stream to the same peer.
func New(c Config, now time.Duration) *Stream {
	s := &Stream{config: c, retryAt: now, room: newBackOff(c.Self, c.Peer)}
	s.out = newOutgoing(&s.stats, c.Holds, c.MaxBody, uint64(now)+1)
	s.in = incoming{askAt: never, ackAt: never}
	c.Holds.join(&s.out)
	return s
}

// Close ends the stream and gives its memory back. It returns how many messages are
// in doubt: the peer may or may not have had them.
func (s *Stream) Close() (doubt uint64) {
	doubt = s.InDoubt()
	for s.out.count() > 0 {
		s.out.drop()
	}
	s.config.Holds.leave(&s.out)
	s.in.forget(s.config.Arrivals)
	return doubt
}

// Stats returns what was counted.
func (s *Stream) Stats() Stats { return s.stats }

// Missed changes when a message of the peer may have been missed for good: it is lost,
// or a packet has come too late.
func (s *Stream) Missed() uint64 { return s.stats.Lost + s.stats.Late }

// InDoubt is how many messages were sent that the peer has not acknowledged, held
// or given up.
func (s *Stream) InDoubt() uint64 { return s.out.next - s.out.acked.sequence }

// Held is how many messages are held, and their bytes.
func (s *Stream) Held() (messages, bytes int) { return s.out.count(), s.out.held }

// Cut stops transmitting until Suspend is called, and the peer heard after it. It is for
// when the link to the bus is lost. Packets that were under way may still be received.
func (s *Stream) Cut() { s.waiting, s.cut = true, true }

// Suspend stops transmitting until the peer is heard again. It is for when the link to
// the bus is back, because the peer may not have its own yet.
func (s *Stream) Suspend() { s.waiting, s.cut = true, false }

// Resize changes Config.MaxBody, because the bus takes packets of another size now. See fit
// for what becomes of messages that are under way.
func (s *Stream) Resize(maxBody int) { s.out.maxBody = maxBody }

// Suspended reports whether the stream waits for its peer to be heard.
func (s *Stream) Suspended() bool { return s.waiting }

// Heard tells that something of the peer has arrived that Receive was not called for:
// a heartbeat.
func (s *Stream) Heard(now time.Duration) {
	if !s.waiting || s.cut {
		return
	}
	s.waiting = false
	s.room.clear() // the bus had no room because its link was down, if it had none
	s.probe(probeFirst, now)
	if s.in.expected != 0 {
		s.in.ackAt = now
	}
	s.Tick(now)
}

// Send sends a message: it is numbered, and held until the peer has taken it or it is
// given up. It returns false for one that is longer than a message may be, or than
// all that may be held. kind must be an ordered one.
func (s *Stream) Send(kind packet.Kind, request uint64, c *Content, now time.Duration) bool {
	if len(c.body) > s.config.MaxMessage || fragments(c, s.out.maxBody) > packet.MaxFragments || !s.out.push(kind, request, c, now) {
		return false
	}
	s.stats.Sent++
	s.pump(now)
	return true
}

// Receive takes a packet that has arrived, whose bytes are the stream's from then on.
// It returns the message that is whole with it, if one is.
func (s *Stream) Receive(p *packet.Packet, now time.Duration) (m Message, ok bool) {
	if p.Sender != s.config.Peer || p.Receiver != s.config.Self {
		s.stats.Nonsense++
		return Message{}, false
	}
	underway := s.clock.underway(p.Stamp, p.Echo, now)
	s.Heard(now)
	at := position{sequence: p.Acknowledged}
	if p.Kind == packet.Acknowledge || p.Kind == packet.Ask {
		at.fragment = int(p.Fragment)
	}
	s.out.acknowledged(at, now)
	switch p.Kind {
	case packet.Acknowledge, packet.Ask:
		s.out.answered(now)
		if p.Kind == packet.Ask {
			s.answer(at, now)
		}
		s.in.written = position{} // the peer knows best
		s.missed(position{sequence: p.Sequence}, now)
	case packet.Probe:
		s.in.written = position{}
		if !s.missed(position{p.Sequence, int(p.Fragment)}, now) {
			s.acknowledgeBy(now, now)
		}
	case packet.Skip:
		s.skipped(p.Sequence, p.Request, now)
	default:
		if p.Kind.Ordered() {
			m, ok = s.arrived(p, underway, now)
		}
	}
	s.pump(now)
	return m, ok
}

// Due is when Tick has something to do. It changes with every other call.
func (s *Stream) Due() time.Duration {
	due := min(s.out.expires(s.config.Hold), s.in.expires(s.config.Hold))
	if s.waiting {
		return due
	}
	return min(due, s.out.probeAt, s.in.ackAt, s.in.askAt, s.retryAt)
}

// Tick does what is due.
func (s *Stream) Tick(now time.Duration) {
	if s.in.expires(s.config.Hold) <= now {
		s.in.forget(s.config.Arrivals)
	}
	s.out.expire(now - s.config.Hold)
	if s.waiting {
		return
	}
	if s.out.probeAt <= now {
		s.probe(min(2*s.out.probeAfter, probeMost), now)
	}
	if s.in.askAt <= now {
		s.ask(now)
	}
	if s.in.ackAt <= now {
		s.acknowledge(now)
	}
	s.pump(now)
}

// transmit completes s.packet and hands it to the bus, unless that had no room a moment ago:
// without room packets would be encoded in vain. If it returns false the next attempt is worth
// while at s.room.at, which is later than now.
func (s *Stream) transmit(now time.Duration) bool {
	p := &s.packet
	if now < s.room.at {
		p.Body = nil
		return false
	}
	p.Sender, p.Receiver = s.config.Self, s.config.Peer
	p.Acknowledged = s.in.expected
	p.Stamp, p.Echo = now, s.clock.echo(now)
	ok := s.config.Transmit(p)
	p.Body = nil
	if !ok {
		s.stats.Refused++
		s.room.refused(now)
		return false
	}
	s.room.clear()
	s.stats.Transmitted++
	if s.in.fragments == 0 || !p.Kind.Ordered() && p.Kind != packet.Skip {
		s.in.unacked, s.in.ackAt, s.in.ackedAt = 0, never, now
	}
	return true
}
