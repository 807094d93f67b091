package netpoll

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
	head     int // first segment that is not written in full
	off      int // bytes of it that the kernel has
	bytes    int // waiting
	unsent   int // bytes that the kernel had not got rid of when the write deadline was last set
}

// segment is either a frame shared with other connections, which nobody may
// change, or copied bytes of whole frames, to which more may be appended.
type segment struct {
	b     []byte
	owned bool
}

// share appends b without copying it.
func (o *outbox) share(b []byte) {
	o.segments = append(o.segments, segment{b: b})
	o.bytes += len(b)
}

// copy appends a copy of b, which must consist of whole frames.
func (o *outbox) copy(b []byte) {
	o.bytes += len(b)
	if n := len(o.segments); n > o.head {
		if last := &o.segments[n-1]; last.owned && cap(last.b)-len(last.b) >= len(b) {
			last.b = append(last.b, b...)
			return
		}
	}
	own := append(make([]byte, 0, max(ownedChunk, len(b))), b...)
	o.segments = append(o.segments, segment{b: own, owned: true})
}

// begin makes b the first segment of an empty outbox: whole frames of which the
// kernel has taken the first written bytes. Shared says whether b may be kept; it
// is copied otherwise, less the frames that are through.
func (o *outbox) begin(b []byte, written int, shared bool) {
	if shared {
		o.share(b)
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
		o.segments[o.head] = segment{}
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
	first := o.segments[o.head].b
	end := frameEnd(first, o.off)
	was := o.bytes
	clear(o.segments)
	o.segments, o.head = o.segments[:0], 0
	o.bytes = end - o.off
	if o.bytes == 0 {
		o.off = 0
	} else {
		o.segments = append(o.segments, segment{b: first[:end]})
	}
	return was - o.bytes
}

// reset empties the outbox for its next owner.
func (o *outbox) reset() {
	clear(o.segments)
	if cap(o.segments) > 64 {
		o.segments = nil
	}
	*o = outbox{segments: o.segments[:0]}
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
	if n, ok := serverFrameLen(b); ok && b[0]&fin != 0 {
		return min(n, len(b))
	}
	return len(b)
}
