package stream

import (
	"time"

	"ws-gateway/cluster/packet"
)

// position is a fragment of a message. A message's first is 0.
type position struct {
	sequence uint64
	fragment int
}

func (p position) before(q position) bool {
	return p.sequence < q.sequence || p.sequence == q.sequence && p.fragment < q.fragment
}

// item is a message that is held.
type item struct {
	content *Content
	born    time.Duration
	at      uint64 // bytes of all messages before it
	request uint64
	cut     uint32 // bytes of its body in each packet; the last one has the rest
	kind    packet.Kind
}

// fragments is how many packets a content takes, with so many bytes of it in each.
func fragments(c *Content, cut int) int { return max(1, (len(c.body)+cut-1)/cut) }

func (it *item) fragments() int { return fragments(it.content, int(it.cut)) }

// outgoing is the sender's end:
//
//	… taken │ given up │ held, transmitted │ held
//	        acked      base                cursor  next
//
// cursor goes back if the peer asks, or says nothing; if it is before base, the peer
// must be told to skip to base first. So it must before the first message: a peer that
// has never heard of the stream, or not any more, is told where it is, and gets
// messages once it has answered. That packet is also what its clock needs, so that a
// message which the bus holds up is found to be late.
type outgoing struct {
	items   []item // from head on; the first is number base
	head    int
	buffer  *Buffer
	stats   *Stats
	maxBody int    // of what is cut from now on
	held    int    // bytes, as if nothing was shared
	bytes   uint64 // of all messages before next

	acked    position // the first that the peer has not taken, as far as is known
	base     uint64
	cursor   position // what is transmitted next
	farthest position // where cursor was at most
	next     uint64

	introduced bool   // the peer knows where the stream is
	window     uint64 // how many bytes may be on their way; less after a loss, as the bus may be overloaded

	// A peer that has said nothing for a while is asked what it has taken. Until it
	// answers, it gets nothing else.
	probing    bool
	probeAt    time.Duration // when the peer should have answered
	probeAfter time.Duration
}

func newOutgoing(stats *Stats, b *Buffer, maxBody int, first uint64) outgoing {
	return outgoing{buffer: b, stats: stats, maxBody: maxBody, acked: position{sequence: first}, base: first,
		cursor: position{sequence: first}, farthest: position{sequence: first}, next: first, window: window, probeAt: never, probeAfter: probeFirst}
}

func (o *outgoing) count() int { return len(o.items) - o.head }

// item returns the one with the number, which must be held.
func (o *outgoing) item(sequence uint64) *item { return &o.items[o.head+int(sequence-o.base)] }

func (o *outgoing) push(kind packet.Kind, request uint64, c *Content, now time.Duration) bool {
	if !o.buffer.hold(c) {
		return false
	}
	if o.head > 16 && o.head*2 > len(o.items) {
		n := copy(o.items, o.items[o.head:])
		clear(o.items[n:])
		o.items, o.head = o.items[:n], 0
	}
	o.items = append(o.items, item{content: c, born: now, at: o.bytes, request: request, cut: uint32(o.maxBody), kind: kind})
	o.next++
	o.held += itemBytes + len(c.body)
	o.bytes += uint64(packet.Overhead + len(c.body))
	return true
}

// drop lets go of the oldest.
func (o *outgoing) drop() {
	first := &o.items[o.head]
	o.held -= itemBytes + len(first.content.body)
	o.buffer.release(first.content)
	*first = item{}
	o.base++
	if o.head++; o.head == len(o.items) {
		o.items, o.head = o.items[:0], 0
	}
}

// giveUp drops the oldest before the peer is known to have it.
func (o *outgoing) giveUp(why Reason) {
	o.drop()
	o.stats.GivenUp[why]++
}

// expire gives up what was sent before.
func (o *outgoing) expire(before time.Duration) {
	for o.count() > 0 && o.items[o.head].born < before {
		o.giveUp(Old)
	}
}

func (o *outgoing) expires(hold time.Duration) time.Duration {
	if o.count() == 0 {
		return never
	}
	return o.items[o.head].born + hold + 1
}

// offset is how many bytes were sent before a position. Later fragments count without their
// overhead: however a message is cut, what comes after it is further on.
func (o *outgoing) offset(p position) uint64 {
	switch {
	case p.sequence >= o.next:
		return o.bytes
	case p.sequence >= o.base:
		it := o.item(p.sequence)
		return it.at + uint64(min(p.fragment*int(it.cut), len(it.content.body)))
	case o.count() > 0:
		return o.items[o.head].at
	}
	return o.bytes
}

// open reports whether more may be on its way than is.
func (o *outgoing) open() bool {
	return !o.probing && o.offset(o.cursor) < o.offset(o.acked)+o.window
}

// unanswered reports whether there is something that the peer has not acknowledged
// although it might have.
func (o *outgoing) unanswered() bool {
	return o.acked.before(o.farthest) || o.acked.sequence < o.base
}

// acknowledged notes where the peer is. Numbers that are older than what it has said before
// are ignored.
func (o *outgoing) acknowledged(at position, now time.Duration) {
	if at.sequence > o.farthest.sequence {
		o.stats.Nonsense++
		o.leap(at.sequence)
		return
	}
	if at.sequence < o.acked.sequence {
		return
	}
	at = o.within(at)
	if !o.introduced {
		o.introduced = true
		o.watch(now)
	}
	if !o.acked.before(at) {
		return
	}
	o.window = min(window, o.window+o.offset(at)-o.offset(o.acked))
	for o.base < at.sequence && o.count() > 0 {
		o.drop()
	}
	o.acked = at
	if o.cursor.before(at) {
		o.cursor = at
	}
	o.answered(now)
}

// leap goes on at a number that the peer expects although nothing had it: somebody else has sent
// the peer a packet in our name. It would take nothing before that number. What was transmitted
// is given up, as the peer may have it, and would take it for something else.
func (o *outgoing) leap(to uint64) {
	if to > mostSequence {
		return
	}
	var lost uint64
	for ; o.count() > 0 && (position{sequence: o.base}).before(o.farthest); lost++ {
		o.giveUp(Old)
	}
	o.next += to - o.base
	o.base, o.acked = to, position{sequence: to - lost}
	o.cursor, o.farthest = position{sequence: to}, position{sequence: to}
	o.introduced, o.probing, o.probeAt, o.probeAfter = false, false, never, probeFirst
}

// answered ends a probe: the peer has said where it is.
func (o *outgoing) answered(now time.Duration) {
	o.probing, o.probeAfter = false, probeFirst
	o.watch(now)
}

// within makes a fragment's number that can't be that of a fragment 0.
func (o *outgoing) within(at position) position {
	if at.sequence < o.base || at.sequence >= o.next || at.fragment >= o.item(at.sequence).fragments() {
		at.fragment = 0
	}
	return at
}

// watch makes a probe due if the peer owes an answer.
func (o *outgoing) watch(now time.Duration) {
	o.probeAt = never
	if o.unanswered() {
		o.probeAt = now + o.probeAfter
	}
}

// probe asks the peer what it has taken, if there is a doubt about it. One that does
// not know the stream is told where it is instead.
func (s *Stream) probe(after, now time.Duration) {
	o := &s.out
	o.probeAt, o.probeAfter = never, after
	if !o.introduced || !o.unanswered() {
		return
	}
	o.probing = true
	s.packet = packet.Packet{Kind: packet.Probe, Sequence: o.farthest.sequence, Fragment: uint16(o.farthest.fragment)}
	if s.transmit(now) {
		o.probeAt = now + after
	} else {
		o.probeAt = s.room.at
	}
}

// pump transmits what may be transmitted.
func (s *Stream) pump(now time.Duration) {
	o := &s.out
	s.retryAt = never
	if s.waiting {
		return
	}
	o.expire(now - s.config.Hold)
	for s.transmitNext(now) {
		if o.probeAt == never {
			o.probeAt = now + o.probeAfter
		}
	}
}

// transmitNext transmits a packet, if one may be.
func (s *Stream) transmitNext(now time.Duration) (transmitted bool) {
	o := &s.out
	switch {
	case !o.introduced && o.probeAt != never:
		return false
	case !o.introduced:
		transmitted = s.skip(now)
	case o.cursor.sequence < o.base && o.open():
		transmitted = s.skip(now)
	case o.cursor.sequence < o.next && o.open() && o.fit():
		transmitted = s.fragment(now)
	case o.cursor.sequence == o.base && o.base < o.next && o.open(): // it does not fit
		o.giveUp(Cut)
		transmitted = s.skip(now)
	default:
		return false
	}
	if !transmitted {
		s.retryAt = s.room.at
	}
	return transmitted
}

// fit reports whether the message at the cursor can be transmitted in packets that the bus takes
// now, which may be shorter than before. One of which nothing was transmitted is cut as the
// bus has it now, and so is one that was transmitted in a single packet: if that arrives after
// all, it is the whole message, in its place or behind a part of it. One that was transmitted in
// parts stays as it is: if some of these arrived among others that are cut elsewhere, nobody
// could tell. It is given up if its parts are too long, once all before it is known to have
// arrived.
func (o *outgoing) fit() bool {
	it := o.item(o.cursor.sequence)
	if o.maxBody != int(it.cut) && (!(position{sequence: o.cursor.sequence}).before(o.farthest) || it.fragments() == 1) {
		it.cut = uint32(o.maxBody)
	}
	return int(it.cut) <= o.maxBody && it.fragments() <= packet.MaxFragments
}

// fragment transmits the one at the cursor.
func (s *Stream) fragment(now time.Duration) bool {
	o := &s.out
	it := o.item(o.cursor.sequence)
	from := o.cursor.fragment * int(it.cut)
	to := min(from+int(it.cut), len(it.content.body))
	more := to < len(it.content.body)
	s.packet = packet.Packet{Kind: it.kind, Sequence: o.cursor.sequence, Fragment: uint16(o.cursor.fragment), More: more,
		Request: it.request, Age: now - it.born, Body: it.content.body[from:to]}
	if from == 0 {
		s.packet.FieldsLength = it.content.fields
	}
	if !s.transmit(now) {
		return false
	}
	if o.cursor.before(o.farthest) {
		s.stats.Retransmitted++
	}
	if o.cursor.fragment++; !more {
		o.cursor = position{sequence: o.cursor.sequence + 1}
	}
	if o.farthest.before(o.cursor) {
		o.farthest = o.cursor
	}
	return true
}

// skip tells the peer where the stream goes on.
func (s *Stream) skip(now time.Duration) bool {
	o := &s.out
	s.packet = packet.Packet{Kind: packet.Skip, Sequence: o.base, Request: o.acked.sequence}
	if !s.transmit(now) {
		return false
	}
	o.cursor = position{sequence: o.base}
	if o.farthest.before(o.cursor) {
		o.farthest = o.cursor
	}
	return true
}

// answer goes back to where the peer is, which asks for it.
func (s *Stream) answer(at position, now time.Duration) {
	o := &s.out
	at = o.within(at)
	switch {
	case at.sequence > o.farthest.sequence:
		return
	case at.sequence < o.acked.sequence: // it knows nothing, or not any more
		o.introduced, o.probeAt = false, never
	case at.before(o.cursor):
		o.cursor = at
		o.window = max(o.window/2, ackBytes)
		o.acked.fragment = min(o.acked.fragment, at.fragment)
	}
}
