package hub

import (
	"context"
	"errors"
	"sync/atomic"

	"ws-gateway/hub/groups"
	"ws-gateway/netpoll"
)

// Report counts what became of a send or a close.
type Report struct {
	Matched int // connections that were targets
	Queued  int // of these, how many took the frame
	Slow    int // of these, how many were closed because too much waited for them
	Away    int // of Queued, how many have it kept for them, as they have no transport
}

// ErrStopped is returned once the loops have ended.
var ErrStopped = errors.New("hub: stopped")

// A loop works through its targets in slices, between which it serves other
// events. The unit of a slice's budget is a look at a slot; the costs of a send and
// of a close, beside that look, are in the same unit.
const (
	sliceBudget = 4096
	sendCost    = 16 // 256 sends a slice
	closeCost   = 64 // 64 closes a slice: each writes, and its event goes out
	lightWork   = 8 * sendCost
)

// command is a send or a close on its way to the loops.
type command struct {
	aim
	cost  int32        // of do, beside the look at the slot
	left  atomic.Int32 // loops that are not through
	do    func(ls *loopState, c *netpoll.Conn, r *Report)
	each  func(Report) // is given the report of each loop; may be nil
	tally *tally       // nil if nobody waits
	done  Releaser     // released once, when the last loop is through; may be nil
}

// tally adds up the loops' reports for the caller, who waits for them.
type tally struct {
	loops                 atomic.Int32 // still to report
	matched, queued, slow atomic.Int64
	away                  atomic.Int64
	done                  chan struct{} // closed with the last report
}

// dispatch posts the command to each loop that owns a target. The error is nil,
// ErrStopped, or ctx's if ctx ended before a loop's mailbox had room; the other
// loops have the command then.
func (h *Hub) dispatch(ctx context.Context, cmd *command) (err error) {
	cmd.left.Store(int32(len(h.loops)))
	if len(h.loops) == 0 && cmd.done != nil {
		cmd.done.Release()
	}
	if cmd.tally != nil {
		cmd.tally.done = make(chan struct{})
		cmd.tally.loops.Store(int32(len(h.loops)))
		if len(h.loops) == 0 {
			close(cmd.tally.done)
		}
	}
	for i, ls := range h.loops {
		t := &loopTask{command: cmd, ls: ls}
		if cmd.ids != nil {
			t.ids = cmd.ids[i]
		}
		if !cmd.concerns(i) {
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
func (s *tally) wait(ctx context.Context) (Report, error) {
	select {
	case <-s.done:
		return Report{
			Matched: int(s.matched.Load()), Queued: int(s.queued.Load()), Slow: int(s.slow.Load()),
			Away: int(s.away.Load()),
		}, nil
	case <-ctx.Done():
		return Report{}, ctx.Err()
	}
}

// loopTask is one loop's part of a command, and how far it has come.
type loopTask struct {
	*command
	ls       *loopState
	ids      []netpoll.ID // that are left
	walk     *groups.Walk // instead of ids, if the command is for groups; nil at first
	late     late         // who has joined these groups too late to be a target
	slot     uint32       // instead of ids, if it is for all
	finished bool
	report   Report
}

// run does a slice on the loop. After more than a little work it asks for another
// turn, even if nothing is left to do, so that each of many commands takes a turn.
func (t *loopTask) run(l *netpoll.Loop) (more bool) {
	if t.finished {
		return false
	}
	t.lookForLate()
	spent := 0
	for spent < sliceBudget {
		spent++
		c, ok := t.next(l)
		if !ok {
			t.finish()
			return spent > lightWork
		}
		if c != nil && !t.tooYoung(t.ls, c.ID().Slot()) && !t.joinedLate(c.ID().Slot()) && !t.elsewhere(t.ls, c.ID().Slot()) {
			spent += int(t.cost)
			t.do(t.ls, c, &t.report)
		}
	}
	return true
}

// next returns the connection of the next target, or nil if the target is gone. ok
// is false behind the last target.
func (t *loopTask) next(l *netpoll.Loop) (c *netpoll.Conn, ok bool) {
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
	if t.groups != nil {
		return t.nextMember(l)
	}
	if len(t.ids) == 0 {
		return nil, false
	}
	c = l.Lookup(t.ids[0])
	t.ids = t.ids[1:]
	return c, true
}

// finish reports what became of the loop's part.
func (t *loopTask) finish() {
	t.finished = true
	if t.each != nil {
		t.each(t.report)
	}
	if t.left.Add(-1) == 0 && t.done != nil {
		t.done.Release()
	}
	s := t.tally
	if s == nil {
		return
	}
	s.matched.Add(int64(t.report.Matched))
	s.queued.Add(int64(t.report.Queued))
	s.slow.Add(int64(t.report.Slow))
	s.away.Add(int64(t.report.Away))
	if s.loops.Add(-1) == 0 {
		close(s.done)
	}
}
