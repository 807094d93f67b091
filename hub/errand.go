package hub

import (
	"context"
	"errors"
	"sync/atomic"

	"ws-gateway/netpoll"
)

// Report counts what became of a send.
type Report struct {
	Matched int // connections that were targets
	Queued  int // of these, how many took the frame
	Slow    int // of these, how many were closed because too much waited for them
}

// ErrStopped is returned once the loops have ended.
var ErrStopped = errors.New("hub: stopped")

// What is done to targets on a loop is done in slices, between which the loop
// serves other events. A slice is measured in glances at a slot; what a send or
// a close costs beside that is given in the same unit.
const (
	sliceBudget = 4096
	sendCost    = 16 // 256 sends a slice
	closeCost   = 64 // 64 closes a slice: each writes, and its event goes out
	lightWork   = 8 * sendCost
)

// errand is one order, such as a send, on its way to the loops.
type errand struct {
	aim
	cost int
	do   func(ls *loopState, c *netpoll.Conn, r *Report)
	each func(Report) // told by each loop what became of its share; may be nil
	sum  *sum         // nil where nobody waits
	done Releaser     // released once, when the last loop is through; may be nil

	left atomic.Int32 // loops that are not through
}

// sum collects the loops' reports for the one who waits.
type sum struct {
	loops                 atomic.Int32 // still to report
	matched, queued, slow atomic.Int64
	done                  chan struct{} // closed with the last report
}

// dispatch posts the errand to each loop that owns a target. The error is nil,
// ErrStopped, or ctx's where a loop's mailbox had no room for as long as that lasted;
// the other loops have the errand then.
func (h *Hub) dispatch(ctx context.Context, e *errand) (err error) {
	e.left.Store(int32(len(h.loops)))
	if len(h.loops) == 0 && e.done != nil {
		e.done.Release()
	}
	if e.sum != nil {
		e.sum.done = make(chan struct{})
		e.sum.loops.Store(int32(len(h.loops)))
		if len(h.loops) == 0 {
			close(e.sum.done)
		}
	}
	for i, ls := range h.loops {
		t := &share{errand: e, ls: ls}
		if !e.all {
			t.ids = e.ids[i]
		}
		if !e.all && len(t.ids) == 0 {
			t.finish()
		} else if failed := ls.loop.PostContext(ctx, t.run); failed != nil {
			t.finish()
			if err = ctx.Err(); errors.Is(failed, netpoll.ErrStopped) {
				err = ErrStopped
			}
		}
	}
	return err
}

// wait returns when every loop has reported, or with ctx's error.
func (s *sum) wait(ctx context.Context) (Report, error) {
	select {
	case <-s.done:
		return Report{
			Matched: int(s.matched.Load()), Queued: int(s.queued.Load()), Slow: int(s.slow.Load()),
		}, nil
	case <-ctx.Done():
		return Report{}, ctx.Err()
	}
}

// share is the part of an errand that is one loop's, and how far it has come.
type share struct {
	*errand
	ls       *loopState
	ids      []netpoll.ID // what is left of them; for all, slot says that
	slot     uint32
	report   Report
	finished bool
}

// run does a slice on the loop. After more than a little work it asks for
// another turn, even with nothing left to do, so that a row of errands takes a
// turn each.
func (t *share) run(l *netpoll.Loop) (more bool) {
	if t.finished {
		return false
	}
	spent := 0
	for spent < sliceBudget {
		spent++
		c, ok := t.next(l)
		if !ok {
			t.finish()
			return spent > lightWork
		}
		if c != nil {
			spent += t.cost
			t.do(t.ls, c, &t.report)
		}
	}
	return true
}

// next returns the connection of the next target, nil where it is none any more.
// ok is false behind the last target.
func (t *share) next(l *netpoll.Loop) (c *netpoll.Conn, ok bool) {
	if t.all {
		slot := t.slot
		if slot >= l.Slots() {
			return nil, false
		}
		t.slot++
		if c = l.At(slot); c != nil && t.excludes(c.ID()) {
			return nil, true
		}
		return c, true
	}
	if len(t.ids) == 0 {
		return nil, false
	}
	c = l.Lookup(t.ids[0])
	t.ids = t.ids[1:]
	return c, true
}

func (t *share) finish() {
	t.finished = true
	if t.each != nil {
		t.each(t.report)
	}
	if t.left.Add(-1) == 0 && t.done != nil {
		t.done.Release()
	}
	s := t.sum
	if s == nil {
		return
	}
	s.matched.Add(int64(t.report.Matched))
	s.queued.Add(int64(t.report.Queued))
	s.slow.Add(int64(t.report.Slow))
	if s.loops.Add(-1) == 0 {
		close(s.done)
	}
}
