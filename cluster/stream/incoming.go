package stream

import (
	"slices"
	"time"

	"ws-gateway/cluster/packet"
)

// incoming is the receiver's end.
type incoming struct {
	expected  uint64   // the number of the message that comes next; 0 if that is not known
	fragments int      // how many of it are there
	written   position // everything before it was transmitted by the peer, as far as is known

	// The part of the message that is there.
	pieces    [][]byte
	size      int // bytes; those of a message that is too long are not kept
	fields    uint32
	touchedAt time.Duration

	unacked int           // bytes that were taken and not acknowledged
	ackAt   time.Duration // when they are
	ackedAt time.Duration // when that was last done

	asked    position      // where the peer was asked to go back to
	askedAt  time.Duration // when
	askAt    time.Duration // when it is asked again
	askAfter time.Duration
}

func (in *incoming) position() position { return position{in.expected, in.fragments} }

// forget drops the part of a message that is there.
func (in *incoming) forget(b *Buffer) {
	for _, piece := range in.pieces {
		b.give(len(piece))
	}
	in.pieces, in.size, in.fragments = nil, 0, 0
}

// expires is when a part of a message is dropped because nothing follows: its sender
// has given it up by then.
func (in *incoming) expires(hold time.Duration) time.Duration {
	if in.fragments == 0 {
		return never
	}
	return in.touchedAt + hold + 1
}

// arrived takes a packet of a message.
func (s *Stream) arrived(p *packet.Packet, underway, now time.Duration) (m Message, ok bool) {
	in := &s.in
	age := p.Age + underway
	at := position{p.Sequence, int(p.Fragment)}
	switch {
	case age > s.config.Hold:
		s.stats.Late++
		return Message{}, false
	case in.expected == 0 || in.position().before(at):
		s.missed(position{p.Sequence, int(p.Fragment) + 1}, now)
		return Message{}, false
	case at.before(in.position()):
		s.stats.Duplicates++
		s.acknowledgeBy(max(now, in.ackedAt+ackSpacing), now)
		return Message{}, false
	case !s.keep(p):
		s.stats.NoRoom++
		s.missed(position{p.Sequence, int(p.Fragment) + 1}, now)
		return Message{}, false
	}
	in.touchedAt = now
	if p.More {
		in.fragments++
	} else {
		m, ok = s.complete(p, age)
	}
	s.progressed(p.Len(), now)
	return m, ok
}

// keep keeps a fragment, if it is one. It returns false if there is no room for it.
func (s *Stream) keep(p *packet.Packet) bool {
	in := &s.in
	if !p.Fragmented() {
		return true
	}
	if in.size+len(p.Body) <= s.config.MaxMessage {
		if !s.config.Arrivals.take(len(p.Body)) {
			return false
		}
		in.pieces = append(in.pieces, p.Body)
	}
	if p.Fragment == 0 {
		in.fields = p.FieldsLength
	}
	in.size += len(p.Body)
	return true
}

// complete makes a message whose last packet has arrived.
func (s *Stream) complete(p *packet.Packet, age time.Duration) (m Message, ok bool) {
	in := &s.in
	body, fieldsLength := p.Body, p.FieldsLength
	if p.Fragment > 0 {
		body, fieldsLength = slices.Concat(in.pieces...), in.fields
	}
	tooLong := max(in.size, len(body)) > s.config.MaxMessage
	in.forget(s.config.Arrivals)
	in.expected++
	fields, payload, err := packet.Split(body, fieldsLength)
	if err != nil || tooLong {
		s.stats.Lost++
		return Message{}, false
	}
	s.stats.Delivered++
	return Message{Kind: p.Kind, Request: p.Request, Age: age, Fields: fields, Payload: payload}, true
}

// progressed acknowledges, soon or at once, and waits for what is still missed.
func (s *Stream) progressed(bytes int, now time.Duration) {
	in := &s.in
	in.askAt, in.askAfter = never, askFirst
	if in.position().before(in.written) {
		in.askAt = now + in.askAfter
	}
	if in.unacked += bytes; in.unacked >= ackBytes {
		s.acknowledgeBy(now, now)
	} else {
		s.acknowledgeBy(now+ackDelay, now)
	}
}

// skipped goes on at a number: the peer has given up what was before it, and has known
// of all before first that it was taken.
func (s *Stream) skipped(to, first uint64, now time.Duration) {
	in := &s.in
	if first == 0 || first > to || to > mostSequence {
		s.stats.Nonsense++
		return
	}
	if to > in.expected {
		s.stats.Lost += to - max(first, in.expected)
		in.forget(s.config.Arrivals)
		in.expected = to
		s.progressed(0, now)
	}
	s.acknowledgeBy(now, now)
}

// missed notes that everything before a position was transmitted, and asks for what
// did not arrive: at once, and for the same again only after a while. It reports
// whether something is missed.
func (s *Stream) missed(before position, now time.Duration) bool {
	in := &s.in
	if in.written.before(before) {
		in.written = before
	}
	if !in.position().before(in.written) {
		return false
	}
	if in.askAt == never || in.asked != in.position() {
		in.askAfter = askFirst
		in.askAt = max(now, in.askedAt+askSpacing)
		if in.askAt <= now && !s.waiting {
			s.ask(now)
		}
	}
	return true
}

func (s *Stream) ask(now time.Duration) {
	in := &s.in
	s.stats.Asked++
	in.asked, in.askedAt = in.position(), now
	if s.control(packet.Ask, now) {
		in.askAt = now + in.askAfter
		in.askAfter = min(2*in.askAfter, askMost)
	} else {
		in.askAt = s.room.at
	}
}

// acknowledgeBy acknowledges at that time at the latest.
func (s *Stream) acknowledgeBy(at, now time.Duration) {
	s.in.ackAt = min(s.in.ackAt, at)
	if s.in.ackAt <= now && !s.waiting {
		s.acknowledge(now)
	}
}

// Acknowledge acknowledges at once what has arrived: for a stream that is about to be closed.
func (s *Stream) Acknowledge(now time.Duration) {
	if !s.waiting {
		s.acknowledge(now)
	}
}

func (s *Stream) acknowledge(now time.Duration) {
	if !s.control(packet.Acknowledge, now) {
		s.in.ackAt = s.room.at
	}
}

// control transmits a packet that says where the stream is in both directions.
func (s *Stream) control(kind packet.Kind, now time.Duration) bool {
	s.packet = packet.Packet{Kind: kind, Fragment: uint16(s.in.fragments)}
	if s.out.introduced {
		s.packet.Sequence = s.out.farthest.sequence
	}
	return s.transmit(now)
}
