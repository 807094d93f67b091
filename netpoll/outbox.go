package netpoll

import "ws-gateway/netpoll/wire"

// ownedChunk is the least size of a segment of copied bytes, so that successive
// small frames share one.
const ownedChunk = 4 << 10

// outbox holds output that the kernel did not take, in order. A connection has one
// only while output waits.
//
// Every segment begins at the start of a frame: dropWhole needs that to find the
// end of the frame that is written in part.
type outbox struct {
	segments []segment
	head     int     // the first segment that is not written in full
	off      int     // how many bytes of it are written
	bytes    int     // that wait
	again    int     // the first of these that are sent again after a resume: MaxPendingBytes does not count them
	weight   int64   // bytes of memory that this connection answers for: see segment.weight
	budget   *budget // in which the memory counts; nil: none
	held     holder  // of weight
	unsent   int     // what unsent returned when the write deadline was last set
}

// segment is the bytes of one shared frame, which nobody may change, or copied bytes
// of whole frames, to which more may be appended.
type segment struct {
	b      []byte
	shared *Frame // nil: copied
}

// weight is the memory of the segment; of a shared frame, this connection's part of
// it.
func (s *segment) weight() int64 {
	if s.shared != nil {
		return int64(len(s.b)) / s.shared.targets()
	}
	return int64(cap(s.b))
}

// push appends a segment and counts its memory.
func (o *outbox) push(s segment) {
	o.segments = append(o.segments, s)
	o.weight += s.weight()
	if s.shared != nil {
		s.shared.retain(o.budget)
	} else {
		o.budget.add(int64(cap(s.b)))
	}
}

// drop forgets segment i, whose memory counts no longer.
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

// begin makes b the first segment of an empty outbox. b is whole frames, of which
// the kernel has taken the first written bytes. If shared is nil, the frames that
// are not written in full are copied; otherwise b is shared's, and is kept.
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

// wrote removes the first n bytes of next, which have been written.
func (o *outbox) wrote(n int) {
	o.bytes -= n
	o.again = max(0, o.again-n)
	o.off += n
	if o.off == len(o.segments[o.head].b) {
		o.drop(o.head)
		o.head++
		o.off = 0
	}
	if o.head > 64 && o.head*2 > len(o.segments) { // or the slice would grow without end
		n := copy(o.segments, o.segments[o.head:])
		clear(o.segments[n:])
		o.segments = o.segments[:n]
		o.head = 0
	}
}

// dropWhole drops the frames that have not been begun, so that a close frame can
// follow the one that has, and returns how many bytes that were.
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
	o.head, o.off, o.bytes, o.again, o.weight, o.unsent = 0, 0, 0, 0, 0, 0
}

// frameStart is the last start of a frame at or before off, and frameEnd the first
// end of one at or behind off, in b, which begins with a frame. The response to a
// handshake counts as one frame, together with all that follows it.
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
	const fin = 0x80 // all frames that we send begin so, and no HTTP response does
	if n, ok := wire.ServerFrameLen(b); ok && b[0]&fin != 0 {
		return min(n, len(b))
	}
	return len(b)
}
