package netpoll

import "ws-gateway/netpoll/wire"

// ownedChunk is the size in which copied bytes wait: small frames that come one
// after the other share a chunk.
const ownedChunk = 4 << 10

// outbox holds what the kernel did not take, in order. A connection has one only
// while something waits.
//
// Every segment begins at the start of a frame, so that the frame under way can
// always be found (dropWhole).
type outbox struct {
	segments []segment
	head     int     // first segment that is not written in full
	off      int     // bytes of it that the kernel has
	bytes    int     // waiting
	weight   int64   // bytes of memory that would be free without it: see segment.weight
	budget   *budget // that the memory counts in; nil: none
	held     holder  // the place that weight gives it
	unsent   int     // bytes that the kernel had not got rid of when the write deadline was last set
}

// segment is either bytes of a frame that may be shared with other connections,
// which nobody may change, or copied bytes of whole frames, to which more may be
// appended.
type segment struct {
	b      []byte
	shared *Frame // nil: copied
}

// weight is the memory of the segment: of a shared frame the share that is this
// connection's.
func (s *segment) weight() int64 {
	if s.shared != nil {
		return int64(len(s.b)) / s.shared.targets()
	}
	return int64(cap(s.b))
}

// push appends a segment. Its memory counts: a frame's with the first connection
// for which it waits.
func (o *outbox) push(s segment) {
	o.segments = append(o.segments, s)
	o.weight += s.weight()
	if s.shared != nil {
		s.shared.retain(o.budget)
	} else {
		o.budget.add(int64(cap(s.b)))
	}
}

// drop forgets segment i and its memory.
func (o *outbox) drop(i int) {
	s := &o.segments[i]
	if s.b == nil {
		return
	}
	o.weight -= s.weight()
	if s.shared != nil {
		s.shared.release(o.budget)
	} else {
		o.budget.add(-int64(cap(s.b)))
	}
	*s = segment{}
}

// share appends b, which is f's, without copying it.
func (o *outbox) share(b []byte, f *Frame) {
	o.bytes += len(b)
	o.push(segment{b: b, shared: f})
}

// copy appends a copy of b, which must consist of whole frames.
func (o *outbox) copy(b []byte) {
	o.bytes += len(b)
	if n := len(o.segments); n > o.head {
		if last := &o.segments[n-1]; last.shared == nil && cap(last.b)-len(last.b) >= len(b) {
			last.b = append(last.b, b...)
			return
		}
	}
	own := append(make([]byte, 0, max(ownedChunk, len(b))), b...)
	o.push(segment{b: own})
}

// begin makes b the first segment of an empty outbox: whole frames of which the
// kernel has taken the first written bytes. Those of a Frame, shared, are kept; they
// are copied otherwise, less the frames that are through.
func (o *outbox) begin(b []byte, written int, shared *Frame) {
	if shared != nil {
		o.share(b, shared)
	} else {
		start := frameStart(b, written)
		written -= start
		o.copy(b[start:])
	}
	o.off = written
	o.bytes -= written
}

// next returns bytes to write. It must not be called on an empty outbox.
func (o *outbox) next() []byte {
	return o.segments[o.head].b[o.off:]
}

// wrote takes n written bytes of next away.
func (o *outbox) wrote(n int) {
	o.bytes -= n
	o.off += n
	if o.off == len(o.segments[o.head].b) {
		o.drop(o.head)
		o.head++
		o.off = 0
	}
	if o.head > 64 && o.head*2 > len(o.segments) { // keep the slice from creeping
		n := copy(o.segments, o.segments[o.head:])
		clear(o.segments[n:])
		o.segments = o.segments[:n]
		o.head = 0
	}
}

// dropWhole drops the frames of which nothing has been written, so that a close
// frame can follow the one under way, and returns how many bytes that were.
func (o *outbox) dropWhole() (dropped int) {
	if o.bytes == 0 {
		return 0
	}
	end := frameEnd(o.segments[o.head].b, o.off)
	was := o.bytes
	o.bytes = end - o.off
	keep := o.head
	if o.bytes > 0 {
		keep++
	}
	for i := keep; i < len(o.segments); i++ {
		o.drop(i)
	}
	o.segments = o.segments[:keep]
	if o.bytes == 0 {
		o.head, o.off = 0, 0
		o.segments = o.segments[:0]
	} else if first := &o.segments[o.head]; end < len(first.b) {
		o.weight -= first.weight()
		first.b = first.b[:end]
		o.weight += first.weight()
	}
	return was - o.bytes
}

// reset empties the outbox for its next owner.
func (o *outbox) reset() {
	for i := range o.segments {
		o.drop(i)
	}
	if cap(o.segments) > 64 {
		o.segments = nil
	}
	o.segments = o.segments[:0]
	o.head, o.off, o.bytes, o.weight, o.unsent = 0, 0, 0, 0, 0
}

// frameStart is the last start of a frame at or before off, and frameEnd the
// first end of one at or behind it, in b that begins with a frame. The answer to a
// handshake, which no frame looks like, counts as one with all that follows it.
func frameStart(b []byte, off int) int {
	start := 0
	for start < off {
		n := frameAt(b[start:])
		if start+n > off {
			break
		}
		start += n
	}
	return start
}

func frameEnd(b []byte, off int) int {
	end := 0
	for end < off {
		end += frameAt(b[end:])
	}
	return end
}

// frameAt is the length of the frame that b begins with, at most len(b).
func frameAt(b []byte) int {
	const fin = 0x80 // every frame that we send has it, no HTTP answer begins so
	if n, ok := wire.ServerFrameLen(b); ok && b[0]&fin != 0 {
		return min(n, len(b))
	}
	return len(b)
}
