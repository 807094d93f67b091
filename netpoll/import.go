package netpoll

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/gobwas/ws"

	"ws-gateway/handover/record"
)

// Why a connection is not taken up. Any other error says that its record cannot be read.
var (
	ErrExpired  = errors.New("netpoll: its time was over while no server had it")
	ErrNoLoop   = errors.New("netpoll: its event loop is not there")
	ErrNoResume = errors.New("netpoll: connections cannot be resumed")
)

// mostKept is how many messages one connection may keep.
const mostKept = 1 << 30 / frameOverhead

var errRecord = fmt.Errorf("%w: a connection's record", record.ErrMalformed)

// Importer takes up connections that another server has recorded, before Start. Make it with
// Server.Import; Done must follow.
type Importer struct {
	srv    *Server
	down   time.Duration
	shared []*Frame // by number; nil: it cannot be read
	frames []*Frame // of a connection; reused
	loops  [][]imported
}

// imported is a connection that has been taken up and waits for its deadline, or a farewell.
type imported struct {
	due      uint32
	slot     uint32
	id       ID
	farewell *farewell // nil: a connection
}

// Import begins to take up what a server has recorded whose Origin is in the Config. Nobody
// had it for the time down, which counts as time away. The Importer and all that it calls
// are for the goroutine that is going to call Start.
func (s *Server) Import(down time.Duration) *Importer {
	return &Importer{srv: s, down: max(0, down), loops: make([][]imported, len(s.loops))}
}

// Frame reads the record of a frame. After an error connections that need it cannot be taken
// up, and others can.
func (im *Importer) Frame(f record.Fields) error {
	var targets uint64
	var frame *Frame
	err := record.Read(f, func(tag record.Tag, value []byte) (known bool, err error) {
		switch tag {
		case tagFrameMessage:
			frame, err = parseMessage(value)
		case tagFrameTargets:
			targets, err = numberBelow(value, math.MaxInt64)
		default:
			return false, nil
		}
		return true, err
	})
	if err != nil || frame == nil {
		im.shared = append(im.shared, nil)
		return cmp.Or(err, errRecord)
	}
	frame.For(int(targets))
	im.shared = append(im.shared, frame)
	return nil
}

// exported is the record of a connection or a farewell.
type exported struct {
	resumable
	id         ID
	frames     []*Frame
	left, away time.Duration
	code       uint64
	reason     string
}

// read reads a record. The frames are valid until the next call.
func (im *Importer) read(f record.Fields) (e exported, err error) {
	e.frames = im.frames[:0]
	err = record.Read(f, func(tag record.Tag, value []byte) (known bool, err error) {
		var n uint64
		switch tag {
		case tagID:
			n, err = record.Number(value)
			e.id = ID(n)
		case tagSent:
			e.sent, err = record.Number(value)
		case tagReceived:
			e.received, err = record.Number(value)
		case tagTurn:
			n, err = numberBelow(value, 1<<32)
			e.turn = uint32(n)
		case tagUnproven:
			n, err = numberBelow(value, 1<<16)
			e.unproven = uint16(n)
		case tagGap:
			n, err = numberBelow(value, 1<<32)
			e.gap = uint32(n)
		case tagKept:
			var frame *Frame
			frame, err = parseMessage(value)
			e.frames = append(e.frames, frame)
		case tagShared:
			var run []*Frame
			if run, err = im.run(value); err == nil && len(e.frames)+len(run) <= mostKept {
				e.frames = append(e.frames, run...)
			} else {
				err = cmp.Or(err, errRecord)
			}
		case tagLeft:
			e.left, err = milliseconds(value)
		case tagAway:
			e.away, err = milliseconds(value)
		case tagCode:
			e.code, err = numberBelow(value, 1<<16)
		case tagReason:
			e.reason = string(value)
		default:
			return false, nil
		}
		return true, err
	})
	im.frames = e.frames
	if err == nil && (uint64(len(e.frames))+uint64(e.gap) > e.sent || e.id.Generation() == 0) {
		err = errRecord
	}
	return e, err
}

// run is the frames of a tagShared.
func (im *Importer) run(value []byte) ([]*Frame, error) {
	_, length := binary.Uvarint(value)
	if length <= 0 {
		return nil, errRecord
	}
	first, err := numberBelow(value[:length], uint64(len(im.shared)))
	if err != nil {
		return nil, err
	}
	following := im.shared[first:]
	n, err := numberBelow(value[length:], uint64(len(following))+1)
	if err != nil || slices.Contains(following[:n], nil) {
		return nil, cmp.Or(err, errRecord)
	}
	return following[:n], nil
}

func numberBelow(value []byte, limit uint64) (n uint64, err error) {
	if n, err = record.Number(value); err == nil && n >= limit {
		err = errRecord
	}
	return n, err
}

// milliseconds reads a time of up to some weeks.
func milliseconds(value []byte) (time.Duration, error) {
	n, err := numberBelow(value, 1<<32)
	return time.Duration(n) * time.Millisecond, err
}

// IDOf reads the ID in the record of a connection.
func IDOf(f record.Fields) (id ID, err error) {
	err = record.Read(f, func(tag record.Tag, value []byte) (bool, error) {
		if tag == tagID {
			n, err := record.Number(value)
			id = ID(n)
			return true, err
		}
		return true, nil
	})
	if err == nil && id.Generation() == 0 {
		err = errRecord
	}
	return id, err
}

// Connection takes up a connection that was away. Its Handler is not told.
func (im *Importer) Connection(f record.Fields) (*Conn, error) {
	e, err := im.read(f)
	switch {
	case err != nil:
		return nil, err
	case !im.srv.cfg.resumes():
		return nil, ErrNoResume
	case e.left <= im.down:
		return nil, ErrExpired
	case e.id.Loop() >= len(im.srv.loops):
		return nil, ErrNoLoop
	case e.gap > 0 || e.id.Generation() > im.srv.floor:
		return nil, errRecord
	}
	l := im.srv.loops[e.id.Loop()]
	slot := e.id.Slot()
	for ; l.slots <= slot; l.slots++ {
		l.conns.Grow(l.slots)
	}
	c := l.conns.At(slot)
	if c.state != stateFree {
		return nil, errRecord
	}
	*c = Conn{loop: l, slot: slot, gen: e.id.Generation(), fd: -1, state: stateAway, interest: detached}
	c.resume = l.resumables.take()
	r := c.record()
	*r = e.resumable
	r.left = im.srv.milliseconds() - uint32((e.away + im.down).Milliseconds())
	if len(e.frames) > 0 {
		r.kept = adopt(e.frames, l.holders[ResumeBudget].budget)
		l.rankKept(c, r.kept)
	}
	l.stats.Resumable++
	l.stats.Open++
	l.stats.Away++
	im.loops[l.index] = append(im.loops[l.index], imported{due: im.due(l, e.left), slot: slot})
	return c, nil
}

// Farewell takes up how a connection was closed. If nobody can come back to it, that is
// forgotten.
func (im *Importer) Farewell(f record.Fields) error {
	e, err := im.read(f)
	if err != nil || !im.srv.cfg.resumes() || e.left <= im.down || e.id.Loop() >= len(im.srv.loops) {
		return err
	}
	l := im.srv.loops[e.id.Loop()]
	fw := &farewell{resumable: e.resumable, code: ws.StatusCode(e.code), reason: e.reason, due: im.due(l, e.left)}
	if len(e.frames) > 0 && fw.whole() {
		fw.kept = adopt(e.frames, l.farewells.budget)
	}
	im.loops[l.index] = append(im.loops[l.index], imported{due: fw.due, id: e.id, farewell: fw})
	return nil
}

// due is the tick of a deadline of which so much was left.
func (im *Importer) due(l *Loop, left time.Duration) uint32 {
	seconds := (left - im.down + time.Second - 1) / time.Second
	return l.now + uint32(min(int64(seconds), int64(l.deadlines[awayDeadline].after)))
}

// adopt keeps frames.
func adopt(frames []*Frame, b *budget) *kept {
	k := new(kept)
	b.add(k.own())
	k.resize(len(frames), b)
	for _, f := range frames {
		k.add(f, b)
	}
	return k
}

// Done ends the import: what is due first is first in its queue, and slots that are between
// those of the connections are free.
func (im *Importer) Done() {
	for i, l := range im.srv.loops {
		all := im.loops[i]
		slices.SortStableFunc(all, func(a, b imported) int { return cmp.Compare(a.due, b.due) })
		for _, e := range all {
			if e.farewell != nil {
				l.stats.FarewellsForgotten += l.farewells.put(e.id, e.farewell)
			} else {
				l.awaitUntil(l.conns.At(e.slot), awayDeadline, e.due)
			}
		}
		for slot := l.slots; slot > 0; slot-- {
			if l.conns.At(slot-1).state == stateFree {
				l.free = append(l.free, slot-1)
			}
		}
		l.publish()
	}
	im.shared, im.frames, im.loops = nil, nil, nil
}
