package netpoll

import (
	"slices"
	"unsafe"

	"github.com/gobwas/ws"

	"ws-gateway/netpoll/wire"
)

// kept are the messages that the client has not acknowledged, oldest first, as references
// to frames that are not compressed: compression may differ after a resume. A connection
// has one only while there are such messages.
type kept struct {
	frames []*Frame
	head   int    // index of the oldest
	bytes  int    // of these messages: see Frame.keptBytes
	weight int64  // bytes of memory that this connection answers for, of frames
	held   holder // of weight and own
}

func (k *kept) len() int {
	if k == nil {
		return 0
	}
	return len(k.frames) - k.head
}

// What is kept takes, in bytes of memory.
const (
	frameTakes     = 64 // a Frame, beside the bytes on the wire
	referenceTakes = int(unsafe.Sizeof((*Frame)(nil)))
	keptTakes      = 96 // a kept, beside the references

	// frameOverhead is what a message counts beside its bytes in Config.ResumeBuffer: as if
	// nobody else kept it. That is a Frame, the reference, and what is not used yet of both.
	frameOverhead = 96
)

// keptBytes is what f counts in Config.ResumeBuffer.
func (f *Frame) keptBytes() int { return f.Len() + frameOverhead }

// own is what k takes beside the frames, which others may keep too. Together with these it
// is what counts in ResumeBudget, while k is in use.
func (k *kept) own() int64 { return keptTakes + int64(referenceTakes*cap(k.frames)) }

// push adds f as the newest.
func (k *kept) push(f *Frame, b *budget) {
	if n := len(k.frames); n == cap(k.frames) {
		if k.head > n/4 {
			k.frames = slices.Delete(k.frames, 0, k.head)
			k.head = 0
		} else {
			k.resize(n+n/4+4, b)
		}
	}
	k.add(f, b)
}

// add is push if there is room.
func (k *kept) add(f *Frame, b *budget) {
	f.keep(b)
	k.frames = append(k.frames, f)
	k.bytes += f.keptBytes()
	k.weight += f.keptShare()
}

// resize makes room for n references. k is in use.
func (k *kept) resize(n int, b *budget) {
	was := k.own()
	k.frames, k.head = append(slices.Grow([]*Frame(nil), n), k.frames[k.head:]...), 0
	b.add(k.own() - was)
}

// keep counts f's memory in b if no other connection keeps f. letGo undoes it.
func (f *Frame) keep(b *budget) {
	if f.keepers.Add(1) == 1 {
		b.add(f.memory())
	}
}

func (f *Frame) letGo(b *budget) {
	if f.keepers.Add(-1) == 0 {
		b.add(-f.memory())
	}
}

func (f *Frame) memory() int64 { return int64(f.wire.Memory() + frameTakes) }

// keptShare is what one of the connections that keep f answers for.
func (f *Frame) keptShare() int64 { return f.memory() / f.targets() }

// sendKept is Send for a connection that can be resumed.
func (c *Conn) sendKept(f *Frame) bool {
	if f.wire.OpCode().IsControl() {
		return c.state == stateOpen && c.put(f.wire.Bytes(), f) == nil
	}
	f = f.forResumable()
	if !c.count(f) {
		return false
	}
	if c.state == stateOpen {
		c.put(f.wire.BytesFor(c.deflate), f)
	}
	return c.state == stateOpen || c.state == stateAway
}

// replyKept is Reply for a connection that can be resumed.
func (c *Conn) replyKept(op ws.OpCode, payload []byte) bool {
	if needsEscape(op, payload) {
		payload = escaped(payload)
	}
	f := NewFrame(op, payload)
	if !c.count(f) {
		return false
	}
	if c.state == stateOpen {
		if put, _ := c.putCompressed(op, payload); !put {
			c.put(f.wire.Bytes(), f)
		}
	}
	return c.state == stateOpen || c.state == stateAway
}

func needsEscape(op ws.OpCode, payload []byte) bool {
	return op == ws.OpText && len(payload) > 0 && payload[0] == wire.RecordSeparator
}

func escaped(payload []byte) []byte {
	return append(append(make([]byte, 0, 1+len(payload)), wire.RecordSeparator), payload...)
}

// count counts a message to the client, and keeps it until the client has it. It returns
// false if the connection is not there, or has ended because it is away and more would be
// kept than may be.
func (c *Conn) count(f *Frame) bool {
	if c.state != stateOpen && c.state != stateAway {
		return false
	}
	l, r := c.loop, c.record()
	if r.kept == nil {
		r.kept = l.getKept()
	}
	k := r.kept
	if k.bytes+f.keptBytes() > l.cfg.ResumeBuffer {
		c.overrun(1)
		return c.state == stateOpen
	}
	r.sent++
	k.push(f, l.holders[ResumeBudget].budget)
	l.rankKept(c, k)
	return true
}

// overrun gives up what is kept, as that is too much. An open connection goes on; unless
// the client acknowledges all that it was sent, it cannot be resumed. One that is away ends.
// more is how many messages are about to be sent that will not be kept.
func (c *Conn) overrun(more uint64) {
	c.loop.stats.ResumeOverruns++
	r := c.record()
	acked := r.acked()
	r.sent += more
	c.dropKeptMessages(r)
	r.lack(acked)
	if c.state == stateAway {
		c.endAway(End{Cause: Disconnected, Code: statusAbnormal})
	}
}

// acknowledge notes that the client has n messages.
func (c *Conn) acknowledge(r *resumable, n uint64) {
	if n <= r.acked() {
		return
	}
	k := r.kept
	if r.gap > 0 {
		r.lack(min(n, r.sent-uint64(k.len())))
	}
	if k == nil {
		return
	}
	b := c.loop.holders[ResumeBudget].budget
	k.shrink(r.sent-n, b)
	if k.len() == 0 {
		c.loop.putKept(c, r)
		return
	}
	if left := k.len(); cap(k.frames) > pooledReferences && left < cap(k.frames)/4 {
		k.resize(2*left, b)
	}
	c.loop.rankKept(c, k)
}

// shrink lets go of the oldest, so that no more than n are left.
func (k *kept) shrink(n uint64, b *budget) {
	for uint64(k.len()) > n {
		f := k.frames[k.head]
		k.frames[k.head] = nil
		k.head++
		k.bytes -= f.keptBytes()
		k.weight -= f.keptShare()
		f.letGo(b)
	}
}

// dropKeptMessages forgets all kept messages.
func (c *Conn) dropKeptMessages(r *resumable) {
	k := r.kept
	if k == nil {
		return
	}
	budget := c.loop.holders[ResumeBudget].budget
	for _, f := range k.frames[k.head:] {
		f.letGo(budget)
	}
	clear(k.frames)
	c.loop.putKept(c, r)
}

// rankKept updates what the connection holds of ResumeBudget.
func (l *Loop) rankKept(c *Conn, k *kept) {
	l.holders[ResumeBudget].set(&k.held, c.slot, k.weight+k.own(), l.now)
}

// pooledReferences is for how many references a kept has room at most that waits for its next
// use: more than a client leaves that acknowledges every 32 messages.
const pooledReferences = 64

func (l *Loop) getKept() (k *kept) {
	if t := &l.resumables; len(t.pool) > 0 {
		last := len(t.pool) - 1
		k, t.pool = t.pool[last], t.pool[:last]
	} else {
		k = new(kept)
	}
	l.holders[ResumeBudget].budget.add(k.own())
	return k
}

// putKept takes back what held the connection's messages.
func (l *Loop) putKept(c *Conn, r *resumable) {
	k := r.kept
	r.kept = nil
	p := &l.holders[ResumeBudget]
	p.set(&k.held, c.slot, 0, l.now)
	p.budget.add(-k.own())
	k.frames, k.head, k.bytes, k.weight = k.frames[:0], 0, 0, 0
	if len(l.resumables.pool) < maxPooled && cap(k.frames) <= pooledReferences {
		l.resumables.pool = append(l.resumables.pool, k)
	}
}

// sendAgain sends the messages that the client does not have. They do not count in
// MaxPendingBytes until they are written, or the next message would make the client, which
// has just come back, a slow consumer. It returns false if the transport is lost again.
func (c *Conn) sendAgain(r *resumable) bool {
	k, l := r.kept, c.loop
	if k == nil {
		return true
	}
	l.sendingAgain = true
	defer func() { l.sendingAgain = false }()
	for _, f := range k.frames[k.head:] {
		l.stats.SentAgain++
		if c.put(f.wire.BytesFor(c.deflate), f) != nil {
			return false
		}
	}
	was := c.state
	if l.uncork(); c.state != was {
		return false
	}
	if c.out != nil {
		c.out.again = c.out.bytes
	}
	return true
}

// take counts a message of the client, and takes off its escape. It returns false if the
// message was not for the Handler.
func (c *Conn) take(op ws.OpCode, payload *[]byte) bool {
	r, p := c.record(), *payload
	if op == ws.OpText && len(p) > 0 && p[0] == wire.RecordSeparator {
		if len(p) == 1 || p[1] != wire.RecordSeparator {
			c.acknowledged(r, p)
			return false
		}
		*payload = p[1:]
	}
	if int64(len(*payload)) > c.loop.cfg.MaxMessageSize { // admit lets through one byte more, for the escape
		c.tooBig()
		return false
	}
	r.received++
	return true
}

// acknowledged takes an acknowledgement, and answers it.
func (c *Conn) acknowledged(r *resumable, payload []byte) {
	n, ok := wire.ParseAck(payload)
	switch {
	case !ok:
		c.Close(ProtocolError, ws.StatusProtocolError, "a message that begins with U+001E is neither an acknowledgement nor escaped")
		return
	case n > r.sent:
		c.Close(ProtocolError, ws.StatusProtocolError, "more messages acknowledged than were sent")
		return
	}
	news := n > r.acked()
	c.acknowledge(r, n)
	c.loop.cfg.Resumer.Acknowledged(c, news)
	c.sendAck()
}

// sendAck tells the client how many of its messages the gateway has.
func (c *Conn) sendAck() {
	if c.state != stateOpen {
		return
	}
	l := c.loop
	var ack [24]byte
	payload := wire.AppendAck(ack[:0], c.record().received)
	l.scratch = append(wire.AppendFrameHeader(l.scratch[:0], ws.OpText, len(payload)), payload...)
	c.put(l.scratch, nil)
}

// signEvery is after how many ticks a connection that is not read gets another
// acknowledgement: a sign of life, as its pings are not answered.
const signEvery = 5

// signs are the connections that can be resumed and are not read, or were not.
type signs struct {
	ids  []ID
	next int    // index of the one to look at
	due  uint32 // tick
}

// stopped notes that the connection is not read.
func (s *signs) stopped(c *Conn) {
	if !c.unread {
		c.unread = true
		s.ids = append(s.ids, c.ID())
	}
}

// giveSigns acknowledges to clients that are not read, some in each call.
func (l *Loop) giveSigns() (more bool) {
	s := &l.resumables.unread
	if len(s.ids) == 0 || l.now < s.due {
		return false
	}
	for n := 0; n < expiryBudget && s.next < len(s.ids); n++ {
		c := l.Lookup(s.ids[s.next])
		if c != nil && c.resume != 0 && c.Paused() {
			s.next++
			c.sendAck()
			continue
		}
		if c != nil {
			c.unread = false
		}
		last := len(s.ids) - 1
		s.ids[s.next] = s.ids[last]
		s.ids = s.ids[:last]
	}
	if s.next < len(s.ids) {
		return true
	}
	s.next, s.due = 0, l.now+signEvery
	return false
}
