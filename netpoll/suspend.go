package netpoll

import (
	"context"
	"sync/atomic"
	"time"

	"ws-gateway/handover/record"
)

// Recorder takes the records of a Suspend. Its methods are called one at a time; fields are
// valid until they return.
type Recorder interface {
	// Frame, Connection and Farewell are called on the loops' goroutines, and must not
	// block. A frame comes before those that refer to it. full says that Flush is to come
	// before further connections.
	Frame(f record.Fields)
	Connection(c *Conn, f record.Fields) (full bool)
	Farewell(f record.Fields)

	// Flush and Commit are called on Suspend's goroutine: Flush after some records, and
	// Commit at the end, with the record of the server. Once Commit has returned nil another
	// server may take the connections up.
	Flush(ctx context.Context) error
	Commit(ctx context.Context, server record.Fields) error

	// Gone is called on its loop, in the place of Handler.Closed, for each connection that
	// was recorded, after Commit.
	Gone(c *Conn)
}

// Suspend has the connections that are away recorded, and ends them without a call of
// Handler.Closed: another server goes on with them. It returns how many there were. From its
// beginning on no task is run on the loops, and nothing is kept for a connection or ends
// it; what is posted meanwhile runs afterwards. After an error everything is as before.
// New handshakes must be refused already, and it is to be called once.
func (s *Server) Suspend(ctx context.Context, to Recorder) (connections int, err error) {
	x := &suspension{exporter: exporter{to: to}, taken: make(chan int, 1)}
	loops := make([]*loopSuspension, 0, len(s.loops))
	end := func(o order) {
		for _, t := range loops {
			t.orders <- o
		}
	}
	for _, l := range s.loops {
		t := &loopSuspension{suspension: x, orders: make(chan order, 2)}
		if err := l.PostContext(ctx, t.run); err != nil {
			end(undo)
			return 0, err
		}
		loops = append(loops, t)
	}
	for _, t := range loops {
		for more := true; more; {
			t.orders <- export
			select {
			case n := <-x.taken:
				connections += max(n, 0)
				more = n >= 0
			case <-ctx.Done():
				x.over.Store(true)
				end(undo)
				return 0, ctx.Err()
			}
			if err := to.Flush(ctx); err != nil {
				end(undo)
				return 0, err
			}
		}
	}
	if err := to.Commit(ctx, s.fields(x.floor)); err != nil {
		end(undo)
		return 0, err
	}
	x.committed.Store(true)
	end(forget)
	for range loops {
		<-x.taken
	}
	return connections, nil
}

// order is what a loop is to do next in a suspension.
type order uint8

const (
	export order = iota // record some connections, and say how many
	forget              // end them all, and say so
	undo                // go on as before
)

// suspension is one call of Suspend.
type suspension struct {
	exporter
	taken     chan int    // how many connections a loop has recorded with one order; -1: there are no more
	over      atomic.Bool // nobody waits for taken
	committed atomic.Bool
}

// loopSuspension is a loop's part of it. As its task does not end, those behind it wait.
type loopSuspension struct {
	*suspension
	orders   chan order // room for what may come after the one that is being done
	slot     uint32
	farewell int
}

// suspendSlice is how many connections are recorded in one turn.
const suspendSlice = 256

// holdFor is for how long a loop that waits for an order serves nothing else: no longer than
// the kernel may let it wait anyway.
const holdFor = time.Millisecond

func (t *loopSuspension) run(l *Loop) (more bool) {
	l.suspending = t.suspension
	select {
	case o := <-t.orders:
		return t.obey(l, o)
	default:
	}
	timer := time.NewTimer(holdFor)
	defer timer.Stop()
	select {
	case o := <-t.orders:
		return t.obey(l, o)
	case <-timer.C:
		return true
	}
}

func (t *loopSuspension) obey(l *Loop, o order) (more bool) {
	switch {
	case o == export && t.over.Load():
		return true
	case o == export:
		t.taken <- t.export(l)
		return true
	case o == forget:
		l.forgetAway()
		t.taken <- 0
	}
	l.suspending = nil
	return false
}

// export records some connections, then some farewells.
func (t *loopSuspension) export(l *Loop) (n int) {
	t.floor = max(t.floor, l.srv.floor)
	for full := false; t.slot < l.slots && n < suspendSlice && !full; t.slot++ {
		c := l.conns.At(t.slot)
		t.floor = max(t.floor, c.gen)
		if c.state == stateAway {
			full = t.connection(c)
			n++
		}
	}
	if n > 0 {
		return n
	}
	for ; t.farewell < len(l.farewells.queue) && n < suspendSlice; t.farewell++ {
		id := l.farewells.queue[t.farewell]
		if fw := l.farewells.find(id); fw != nil {
			t.exporter.farewell(l, id, fw)
			n++
		}
	}
	if n > 0 {
		return 0
	}
	return -1
}

// forgetAway ends the connections that are away, which another server has.
func (l *Loop) forgetAway() {
	for slot := range l.slots {
		c := l.conns.At(slot)
		if c.state != stateAway {
			continue
		}
		l.suspending.to.Gone(c)
		l.unawait(c)
		c.ceaseResumable()
		c.pause = 0
		l.stats.Away--
		l.stats.Open--
		l.stats.Suspended++
		c.release()
	}
	l.farewells.clear()
}
