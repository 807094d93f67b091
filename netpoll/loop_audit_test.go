package netpoll

import (
	"fmt"
	"slices"

	"github.com/gobwas/ws"
)

// audit checks the loop's books. It runs on the loop's goroutine, between turns or
// as a task.
func (w *world) audit(l *Loop) {
	var want Stats
	var held [Budgets]int64
	used := uint32(0)
	descriptors := map[int32]bool{}
	for slot := range l.slots {
		c := l.conns.At(slot)
		if c.state == stateFree {
			if c.fd != -1 || c.in != nil || c.out != nil || c.pause != 0 || c.deadline.kind != noDeadline {
				w.t.Errorf("slot %d is free and holds %+v", slot, c)
			}
			continue
		}
		used++
		w.auditConn(c)
		if descriptors[c.fd] {
			w.t.Errorf("two connections have descriptor %d", c.fd)
		}
		descriptors[c.fd] = true
		want.Descriptors++
		switch c.state {
		case stateHandshake:
			want.Handshaking++
		case stateParked:
			want.Parked++
		case stateOpen:
			want.Open++
		default:
			want.Closing++
		}
		if c.pause != 0 {
			want.Paused++
		}
		if c.out != nil {
			want.PendingBytes += int64(c.out.bytes)
		}
		w.auditHeld(c, &held)
	}
	got := Stats{Descriptors: l.stats.Descriptors, Open: l.stats.Open, Handshaking: l.stats.Handshaking, Parked: l.stats.Parked, Closing: l.stats.Closing,
		Paused: l.stats.Paused, PendingBytes: l.stats.PendingBytes}
	if got != want {
		w.t.Errorf("the gauges say %+v, counted: %+v", got, want)
	}
	w.auditBudgets(l, &held)
	free := slices.Sorted(slices.Values(l.free))
	if len(free)+int(used) != int(l.slots) || len(slices.Compact(free)) != len(l.free) {
		w.t.Errorf("%d slots, %d in use, free: %d", l.slots, used, l.free)
	}
	auditDeadlines(w.t, l)
	w.auditLives(l)
}

// auditConn checks one connection.
func (w *world) auditConn(c *Conn) {
	if was, known := w.inodes.Load(c.ID()); known && was != inode(int(c.fd)) {
		w.t.Errorf("descriptor %d of slot %d is not the socket that it was", c.fd, c.slot)
	}
	if c.pause != 0 && c.state != stateOpen {
		w.t.Errorf("paused in state %d", c.state)
	}
	wantDeadline := noDeadline
	switch {
	case c.state == stateHandshake:
		wantDeadline = handshakeDeadline
	case c.state == stateParked: // whoever parked it sees to that
	case c.state != stateOpen:
		wantDeadline = closeDeadline
	case c.out != nil:
		wantDeadline = writeDeadline
	}
	if c.deadline.kind != wantDeadline {
		w.t.Errorf("deadline %d in state %d, output %v", c.deadline.kind, c.state, c.out != nil)
	}
	if c.interest != detached && (c.out != nil) != (c.interest&watchOut != 0) || c.interest == detached && c.pause == 0 {
		w.t.Errorf("interest %b, output %v, pause %b", c.interest, c.out != nil, c.pause)
	}
	o := c.out
	if o == nil {
		return
	}
	if waiting, weight := o.recount(); waiting != o.bytes || o.bytes <= 0 || weight != o.weight || o.held.bytes != weight {
		w.t.Errorf("%d bytes wait, %d are said to; they weigh %d, counted as %d, and rank with %d", waiting, o.bytes, weight, o.weight, o.held.bytes)
	}
	// A frame of any size is taken while nothing waits; a close frame always is.
	first := len(o.next())
	if o.bytes > fuzzPending+ws.MaxControlFramePayloadSize+2 && o.bytes-first > ws.MaxControlFramePayloadSize+2 {
		w.t.Errorf("%d bytes wait, %d of them behind the first frame", o.bytes, o.bytes-first)
	}
}

// auditLives compares with what the Handler was told.
func (w *world) auditLives(l *Loop) {
	open := 0
	for _, f := range w.told.list {
		if alive := l.Lookup(f.id) != nil; alive != (f.closed == 0) {
			w.t.Errorf("connection %d: alive %v, Closed %d times", f.token, alive, f.closed)
		}
		if f.closed == 0 {
			open++
		}
	}
	if open != int(l.stats.Open) {
		w.t.Errorf("%d connections are open, the Handler knows of %d", l.stats.Open, open)
	}
}

// auditEnd checks, when all is over, what became of everybody.
func (w *world) auditEnd() {
	t, l := w.t, w.loop
	if posted := w.posted.Load(); w.done != posted {
		t.Errorf("%d tasks were posted, %d ran", posted, w.done)
	}
	w.audit(l)
	if n := w.srv.Stats(); n.Descriptors != 0 || n.Open != 0 || n.Handshaking != 0 || n.Parked != 0 || n.Closing != 0 || n.Paused != 0 || n.PendingBytes != 0 || n.AssemblyBytes != 0 || n.Tasks != 0 {
		t.Errorf("something is left: %+v", n)
	}
	if int(l.stats.Upgraded) != len(w.told.list) {
		t.Errorf("%d upgrades, the Handler knows of %d", l.stats.Upgraded, len(w.told.list))
	}
	closed := uint64(0)
	for _, n := range l.stats.Closed {
		closed += n
	}
	if int(closed) != len(w.told.list) {
		t.Errorf("%d connections closed, %d were opened", closed, len(w.told.list))
	}
	for bits := range w.srv.deflating {
		if n := w.srv.deflating[bits].Load(); n != 0 {
			t.Errorf("%d connections with a window of %d bits", n, bits)
		}
	}
	for _, f := range w.told.list {
		if f.closed != 1 {
			t.Errorf("connection %d: Closed %d times", f.token, f.closed)
		}
		w.auditLife(f, w.clients[f.token])
	}
}

// auditLife compares what a client sent with what was delivered, and the other
// way round.
func (w *world) auditLife(f *life, c *client) {
	t := w.t
	fail := func(format string, args ...any) {
		t.Errorf("connection %d, ended by %s with %d %q: %s; %s", f.token, f.end.Cause, f.end.Code, f.end.Reason, fmt.Sprintf(format, args...), c)
	}
	whole := 0
	for whole < len(c.wholeAt) && c.wholeAt[whole] <= c.queued-len(c.stream) {
		whole++
	}
	switch {
	case f.messages > whole:
		fail("%d messages were delivered, %d sent", f.messages, whole)
	case f.end.Cause == PeerClosed && (f.messages != whole || c.bye != fmt.Sprintf("%d %s", f.end.Code, f.end.Reason)):
		fail("%d messages were delivered, %d sent", f.messages, whole)
	case f.end.Cause == Disconnected && c.halfClosed && !c.cutShort && f.messages != whole:
		fail("%d messages were delivered, %d sent before the half-close", f.messages, whole)
	}
	if len(c.got) > len(f.sent) || !slices.Equal(c.got, f.sent[:len(c.got)]) {
		fail("got %q, sent %q", c.got, f.sent)
	}
	if c.cutShort || c.halfClosed || f.end.Cause == Disconnected || w.loop.now-f.endedAt > fuzzTimeout {
		return // anything may be missing
	}
	if f.owed && c.closeFrame == "" && w.outboxesOver.Load() {
		return // it may have given way for output that waited behind its end
	}
	// Until the end, all that was sent must have come, and a close frame.
	if f.end.Cause != SlowConsumer && len(c.got) != len(f.sent) {
		fail("got %d of %d messages", len(c.got), len(f.sent))
	}
	want := fmt.Sprintf("%d %s", f.end.Code, f.end.Reason)
	if f.end.Cause == PeerClosed {
		want = fmt.Sprintf("%d ", f.end.Code)
	}
	if c.closeFrame != want || len(c.in) > 0 {
		fail("the close frame is %q, then %d bytes", c.closeFrame, len(c.in))
	}
}
