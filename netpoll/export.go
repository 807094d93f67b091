package netpoll

import (
	"encoding/binary"
	"time"

	"github.com/gobwas/ws"

	"ws-gateway/handover/record"
)

// What a server needs to go on with connections that are away in another process is
// written down as records. Times are remainders. import.go reads them.
//
//	export.go   what the records say
//	suspend.go  when they are written, and what becomes of the connections
//	import.go   how another server takes them up
//	part.go     how a connection loses its transport because its server ends

// The fields of a connection, and of a farewell.
const (
	tagID       record.Tag = 2 // an ID
	tagSent     record.Tag = 4
	tagReceived record.Tag = 6
	tagTurn     record.Tag = 8
	tagUnproven record.Tag = 10
	tagGap      record.Tag = 12
	tagKept     record.Tag = 14 // a message: its opcode, one byte, and its payload; oldest first
	tagLeft     record.Tag = 18 // for how many milliseconds it may still be away
	tagAway     record.Tag = 20 // for how many it has been
	tagCode     record.Tag = 22 // of a farewell: the close code,
	tagReason   record.Tag = 24 // and the reason
	tagShared   record.Tag = 26 // in the place of messages, records of frames that follow each other: the number of the first, and how many
)

// The fields of a frame that several connections keep, so that it is written once. Its number
// is how many come before it.
const (
	tagFrameMessage record.Tag = 4 // as tagKept
	tagFrameTargets record.Tag = 5 // see Frame.For
)

// The fields of a server.
const (
	tagKey   record.Tag = 2 // signs tokens
	tagLoops record.Tag = 4
	tagFloor record.Tag = 6 // the highest generation of any slot
)

// Origin is what a server must have of the one whose connections it takes up.
type Origin struct {
	Loops int // how many that one had
	key   [32]byte
	floor uint32
}

// ParseOrigin reads the record of a server.
func ParseOrigin(f record.Fields) (o *Origin, err error) {
	o = new(Origin)
	err = record.Read(f, func(tag record.Tag, value []byte) (known bool, err error) {
		var n uint64
		switch tag {
		case tagKey:
			if copy(o.key[:], value) != len(o.key) || len(value) != len(o.key) {
				err = errRecord
			}
		case tagLoops:
			n, err = numberBelow(value, MaxLoops+1)
			o.Loops = int(n)
		case tagFloor:
			n, err = numberBelow(value, 1<<32)
			o.floor = uint32(n)
		default:
			return false, nil
		}
		return true, err
	})
	if err == nil && (o.Loops == 0 || o.floor == 0 || o.key == [32]byte{}) {
		err = errRecord
	}
	return o, err
}

// fields is the record of a server whose highest generation is floor.
func (s *Server) fields(floor uint32) (f record.Fields) {
	f = record.Append(f, tagKey, s.resumeKey[:])
	f = record.AppendNumber(f, tagLoops, uint64(len(s.loops)))
	return record.AppendNumber(f, tagFloor, uint64(max(floor, 1)))
}

// exporter appends the records of connections. It is for one goroutine at a time.
type exporter struct {
	to     Recorder
	shared []*Frame      // those that have been written, by number
	fields record.Fields // reused
	floor  uint32        // of all slots that were looked at
}

// connection records one that is away.
func (x *exporter) connection(c *Conn) (full bool) {
	l, r := c.loop, c.record()
	f := x.resumable(c.ID(), r)
	f = record.AppendNumber(f, tagLeft, leftUntil(c.deadline.due, l.now))
	f = record.AppendNumber(f, tagAway, uint64(l.srv.milliseconds()-r.left))
	x.fields = f
	return x.to.Connection(c, f)
}

// farewell records how a connection was closed.
func (x *exporter) farewell(l *Loop, id ID, fw *farewell) {
	f := x.resumable(id, &fw.resumable)
	f = record.AppendNumber(f, tagLeft, leftUntil(fw.due, l.now))
	f = record.AppendNumber(f, tagCode, uint64(fw.code))
	f = record.Append(f, tagReason, fw.reason)
	x.fields = f
	x.to.Farewell(f)
}

func leftUntil(due, now uint32) (milliseconds uint64) {
	if due <= now {
		return 0
	}
	return uint64(due-now) * uint64(time.Second/time.Millisecond)
}

// resumable begins a record with what both have. Frames come before it.
func (x *exporter) resumable(id ID, r *resumable) record.Fields {
	var frames []*Frame
	if r.kept != nil {
		frames = r.kept.frames[r.kept.head:]
	}
	for _, frame := range frames {
		x.frame(frame)
	}
	f := record.AppendNumber(x.fields[:0], tagID, uint64(id))
	f = record.AppendNumber(f, tagSent, r.sent)
	f = record.AppendNumber(f, tagReceived, r.received)
	f = record.AppendNumber(f, tagTurn, uint64(r.turn))
	f = record.AppendNumber(f, tagUnproven, uint64(r.unproven))
	f = record.AppendNumber(f, tagGap, uint64(r.gap))
	for len(frames) > 0 {
		if !x.written(frames[0]) {
			f = appendMessage(f, tagKept, frames[0])
			frames = frames[1:]
			continue
		}
		n := x.run(frames)
		f = appendRun(f, uint64(frames[0].number), n)
		frames = frames[n:]
	}
	return f
}

// frame records a frame that several connections keep, once.
func (x *exporter) frame(frame *Frame) {
	if x.written(frame) || frame.keepers.Load() < 2 {
		return
	}
	frame.number = uint32(len(x.shared))
	x.shared = append(x.shared, frame)
	f := appendMessage(x.fields[:0], tagFrameMessage, frame)
	f = record.AppendNumber(f, tagFrameTargets, uint64(frame.targets()))
	x.fields = f
	x.to.Frame(f)
}

// written reports whether frame has been recorded, so that its number counts.
func (x *exporter) written(frame *Frame) bool {
	return int(frame.number) < len(x.shared) && x.shared[frame.number] == frame
}

// run is how many of frames, of which the first has been recorded, were so one after the
// other. Most connections keep the same frames, so what is written of them is short.
func (x *exporter) run(frames []*Frame) (n int) {
	following := x.shared[frames[0].number:]
	for n < min(len(frames), len(following)) && frames[n] == following[n] {
		n++
	}
	return n
}

func appendRun(f record.Fields, first uint64, n int) record.Fields {
	var varints [2 * binary.MaxVarintLen64]byte
	return record.Append(f, tagShared, binary.AppendUvarint(binary.AppendUvarint(varints[:0], first), uint64(n)))
}

func appendMessage(f record.Fields, tag record.Tag, frame *Frame) record.Fields {
	op, payload := frame.Payload()
	f = binary.AppendUvarint(f, uint64(tag))
	f = binary.AppendUvarint(f, uint64(1+len(payload)))
	return append(append(f, byte(op)), payload...)
}

func parseMessage(value []byte) (*Frame, error) {
	if len(value) == 0 || ws.OpCode(value[0]) != ws.OpText && ws.OpCode(value[0]) != ws.OpBinary {
		return nil, errRecord
	}
	return NewFrame(ws.OpCode(value[0]), value[1:]), nil
}
