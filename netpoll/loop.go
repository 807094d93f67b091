package netpoll

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"ws-gateway/netpoll/wire"
)

const (
	readSize     = 64 << 10 // size of the loop's read buffer: what it reads of a connection in a turn
	tasksPerTurn = 64
	expiryBudget = 64               // connections that a turn ends, for a deadline or at shutdown: a few microseconds each
	yieldAfter   = time.Millisecond // after which a loop that serves a crowd has other goroutines run
	publishEvery = 64               // turns after which a loop that never waits publishes its counters
)

// Loop is one event loop: a goroutine, an epoll, and the connections that it owns.
// Only Index, Post, PostContext and TryPost may be called from other goroutines.
type Loop struct {
	// Static after construction.
	srv     *Server
	handler Handler
	index   int
	mailbox *mailbox

	// Owned by run, set by configure.
	cfg           *Config
	tooBig        string // reason of close code 1009
	maxHandshakes int64

	// Owned by run.
	poll       *poller
	conns      Slab[Conn]
	slots      uint32   // slots ever used
	free       []uint32 // slots without a connection
	now        uint32   // seconds since the start in which the loop ran: see seconds.go
	seconds    seconds
	ticking    bool   // this second's work is not done
	stopping   bool   // the loop ends when no connection is left
	overBudget bool   // enforceBudgets has not finished
	tasks      []task // taken from the mailbox
	nextTask   int
	deadlines  [deadlineKinds]deadlineQueue
	pressed    []ID // connections that had input under pressure and are not read
	arrivals   arrivals
	leavers    leavers
	transients bool // their epoll has events

	rbuf         []byte
	cork         []byte // output that has been gathered for corked
	corked       *Conn
	scratch      []byte
	response     []byte // refuses a request; reused
	upgrader     *wire.Upgrader
	request      wire.Request
	inboxes      []*inbox
	outboxes     []*outbox
	holders      [countedBudgets]holders
	kernel       kernelWatch
	kernelShown  int64              // what of kernel.held the budget contains
	kept         map[uint32]*holder // by slot: large request heads that the Handler keeps; see Conn.Keep
	inflater     wire.Inflater
	inflated     []byte // a decompressed message
	resumables   resumables
	farewells    farewells
	sendingAgain bool        // messages are sent again, whatever waits already
	suspending   *suspension // see Server.Suspend; nil: there is none
	declined     bool        // the handshake was not relayed, and is not to be tried again
	sealer       sealer
	stats        Stats
	turns        int
	began        time.Time // when this turn began
	yielded      time.Time // when other goroutines last had their turn
	crowd        bool      // this turn has served transients

	abandoned atomic.Bool  // set by Stop: the loop ends, whatever connections are left
	arriving  atomic.Int64 // connections that the acceptor has given to the loop and that are not adopted
	moving    atomic.Int64 // handshakes that another loop has given to it and that are not taken over

	shown struct {
		sync.Mutex
		stats Stats
	}
}

func newLoop(s *Server, index int) (*Loop, error) {
	poll, err := newPoller()
	if err != nil {
		return nil, fmt.Errorf("loop %d: %w", index, err)
	}
	l := &Loop{
		srv:      s,
		handler:  s.cfg.Handler,
		index:    index,
		mailbox:  newMailbox(poll.wake),
		poll:     poll,
		rbuf:     make([]byte, readSize),
		cork:     make([]byte, 0, corkSize),
		upgrader: wire.NewUpgrader(),
	}
	for kind := range l.deadlines {
		l.deadlines[kind] = deadlineQueue{head: noSlot, tail: noSlot}
	}
	for i := range l.holders {
		l.holders[i] = holders{budget: &s.ledger.all[i], loop: index, aged: Budget(i) == MessageBudget}
	}
	l.farewells.budget = &s.ledger.all[ResumeBudget]
	l.configure(&s.cfg)
	return l, nil
}

// Index is the loop's index in Server.Loops.
func (l *Loop) Index() int { return l.index }

// Now is the current tick: how many seconds the loop has run since the server's
// start. Seconds in which it could not run do not count.
func (l *Loop) Now() uint32 { return l.now }

// Missed is for how many seconds before the current tick the loop could not run,
// since the process was stopped or had no processor. Now does not count them.
func (l *Loop) Missed() uint32 { return l.seconds.missed }

// Post is PostContext without a deadline: it waits for room as long as the loop
// runs.
func (l *Loop) Post(task func(*Loop) (more bool)) error {
	return l.mailbox.post(context.Background(), task)
}

// PostContext runs task on the loop's goroutine, after those posted before it. A
// task that returns true has more to do: it is called again after other events have
// been served, and those behind it wait. PostContext may be called from any
// goroutine but a loop's. While the mailbox is full (16,384 tasks) it waits: until
// ctx is done, whose error it then returns, or until the loop has ended (ErrStopped).
// If it returns nil, task will run, even if the loop ends meanwhile; task then finds
// no connection. If it returns an error, task never runs.
func (l *Loop) PostContext(ctx context.Context, task func(*Loop) (more bool)) error {
	return l.mailbox.post(ctx, task)
}

// TryPost is PostContext without waiting: if the mailbox is full it returns an error. It may be
// called from any goroutine, a loop's too.
func (l *Loop) TryPost(task func(*Loop) (more bool)) error { return l.mailbox.post(atOnce, task) }

// Lookup returns the open connection that id names, or nil.
func (l *Loop) Lookup(id ID) *Conn {
	if id.Loop() != l.index {
		return nil
	}
	if c := l.At(id.Slot()); c != nil && c.gen == id.Generation() {
		return c
	}
	return nil
}

// Slots is how many slots were ever used: the slots of all connections are below it.
func (l *Loop) Slots() uint32 { return l.slots }

// At returns the open connection in slot, or nil.
func (l *Loop) At(slot uint32) *Conn {
	if slot >= l.slots {
		return nil
	}
	if c := l.conns.At(slot); c.state == stateOpen || c.state == stateAway {
		return c
	}
	return nil
}

// run is the loop's goroutine.
func (l *Loop) run() {
	defer l.end()
	l.began = time.Now()
	for (!l.stopping || l.stats.Descriptors > 0) && !l.abandoned.Load() {
		events, err := l.wait()
		if err != nil {
			l.cfg.Failed(fmt.Errorf("event loop %d: %w", l.index, err))
			return
		}
		l.turn(events)
	}
}

// turn serves the events, then tasks, then some transients, then this second's work.
func (l *Loop) turn(events []unix.EpollEvent) {
	l.dispatchAll(events)
	l.runTasks()
	ofTransients := l.comeAndGo()
	if l.seconds.due && l.seconds.caughtUp([2]int{len(events), ofTransients}) {
		l.now++
		l.ticking = true
	}
	ticking := l.ticking
	if ticking {
		l.tick()
	}
	l.watchSockets(ticking)
	l.overBudget = l.enforceBudgets()
	l.uncork()
}

// wait returns the next events. It blocks only if there is nothing else to do.
func (l *Loop) wait() ([]unix.EpollEvent, error) {
	l.stats.Turns++
	l.turns++
	l.stats.TurnTimes.observe(time.Since(l.began))
	block := !l.ticking && !l.seconds.due && !l.overBudget && !l.kernel.looking && l.nextTask == len(l.tasks) && l.arrivals.none() && len(l.leavers.queue) == 0 && l.mailbox.sleep()
	if block || l.turns%publishEvery == 0 {
		l.publish()
	}
	if l.crowd {
		l.crowd = false
		if now := time.Now(); now.Sub(l.yielded) > yieldAfter {
			l.yielded = now
			runtime.Gosched()
		}
	}
	events, err := l.poll.wait(block)
	if block {
		l.mailbox.awake()
	}
	l.began = time.Now()
	return events, err
}

func (l *Loop) dispatchAll(events []unix.EpollEvent) {
	for i := range events {
		l.dispatch(&events[i])
		l.enforceBudgets()
	}
}

// dispatch serves one event. If its connection, or that transport of it, went away
// earlier in the same batch, the generations or the transports differ.
func (l *Loop) dispatch(ev *unix.EpollEvent) {
	id := eventID(ev)
	switch id {
	case wakeID:
		return
	case transientsID:
		l.transients = true
		return
	case timerID:
		if n := l.poll.ticks(); n > 0 {
			l.stats.PausedSeconds += uint64(n) * uint64(max(l.stats.Paused, 0))
			l.seconds.passed(n, l.stats.Descriptors)
		}
		return
	}
	c := l.conns.At(id.Slot())
	if c.gen != id.Generation() || c.state == stateFree || int(c.transport) != id.Loop() {
		return
	}
	const ended = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	if ev.Events&(unix.EPOLLIN|ended) != 0 {
		switch {
		case c.pause != 0:
			c.detach() // what came before the end is delivered first, after Resume
			return
		case ev.Events&ended != 0 && c.state == stateOpen && c.interest&transient == 0:
			c.becomeTransient() // no more than what has arrived is to come
			return
		}
		l.readable(c)
	}
	if ev.Events&unix.EPOLLOUT != 0 && c.out != nil && c.gen == id.Generation() {
		c.writable()
	}
}

// readable reads once. If more is left, epoll reports the connection again, after
// others have been served.
func (l *Loop) readable(c *Conn) {
	if c.state == stateParked { // it is watched for its end only
		c.broken()
		return
	}
	if c.state == stateOpen && l.srv.pressure.Load() {
		l.pressed = append(l.pressed, c.ID())
		c.stopReading(byPressure)
		return
	}
	l.stats.ReadsIn++
	n, errno := readRaw(c.fd, l.rbuf)
	switch {
	case wouldBlock(errno):
	case errno != 0 || n == 0:
		c.broken()
	default:
		l.stats.BytesIn += uint64(n)
		l.received(c, l.rbuf[:n])
	}
}

func (l *Loop) received(c *Conn, b []byte) {
	switch c.state {
	case stateHandshake:
		l.handshake(c, b)
	case stateOpen, stateClosing:
		c.decode(b)
		if l.cfg.Received != nil && c.state == stateOpen {
			l.cfg.Received(c, len(b))
		}
	}
}

// runTasks runs posted tasks, at most tasksPerTurn.
func (l *Loop) runTasks() {
	if l.nextTask == len(l.tasks) {
		l.tasks, l.nextTask = l.mailbox.take(l.tasks[:0]), 0
	}
	for n := 0; n < tasksPerTurn && l.nextTask < len(l.tasks); n++ {
		more := l.tasks[l.nextTask](l)
		l.enforceBudgets()
		if more {
			return
		}
		l.tasks[l.nextTask] = nil
		l.nextTask++
	}
}

// tick does this second's work, or a slice of it.
func (l *Loop) tick() {
	more := l.handler.Tick(l, l.now)
	if len(l.pressed) > 0 && !l.srv.pressure.Load() {
		more = l.relieve() || more // the mailbox had no room for SetPressure's task
	}
	more = l.giveSigns() || more
	if l.suspending == nil {
		l.farewells.expire(l.now)
	}
	l.ticking = l.expire(expiryBudget) || more
}

// relieve goes on reading connections that pressure had stopped, some in each turn.
// It stops if the pressure is back, since each may deliver what it sent before.
func (l *Loop) relieve() (more bool) {
	for n := 0; n < expiryBudget && len(l.pressed) > 0 && !l.srv.pressure.Load(); n++ {
		last := len(l.pressed) - 1
		id := l.pressed[last]
		l.pressed = l.pressed[:last]
		if c := l.Lookup(id); c != nil {
			c.goOnReading(byPressure)
		}
	}
	return len(l.pressed) > 0 && !l.srv.pressure.Load()
}

// shut closes all connections, from slot on, some in each turn. The loop ends when
// the last one is gone.
func (l *Loop) shut(slot *uint32) (more bool) {
	l.stopping = true
	for n := 0; n < expiryBudget && *slot < l.slots; n++ {
		switch c := l.conns.At(*slot); c.state {
		case stateHandshake, stateParked:
			c.destroy(true)
		case stateOpen, stateAway:
			c.Close(GoingAway, statusGoingAway, "going away")
		}
		*slot++
	}
	return *slot < l.slots
}

// abandon drops all connections at once.
func (l *Loop) abandon() {
	if l.suspending != nil && l.suspending.committed.Load() {
		l.forgetAway()
	}
	for slot := range l.slots {
		if c := l.conns.At(slot); c.state != stateFree {
			c.Close(GoingAway, statusGoingAway, "going away")
			c.destroy(true)
		}
	}
}

// end drops the connections and runs the tasks that are left: somebody may wait for
// them.
func (l *Loop) end() {
	l.stopping = true
	l.abandon()
	for _, tasks := range [][]task{l.tasks[l.nextTask:], l.mailbox.stop()} {
		for _, t := range tasks {
			for t(l) {
			}
		}
	}
	l.turnAway()
	l.farewells.clear()
	l.publish()
	l.poll.close()
}

// publish copies the counters for Server.Stats.
func (l *Loop) publish() {
	l.shown.Lock()
	l.shown.stats = l.stats
	l.shown.stats.AssemblyBytes = l.holders[MessageBudget].held
	l.shown.Unlock()
}

// snapshot returns the counters as last published. An idle loop publishes them
// before it waits.
func (l *Loop) snapshot() Stats {
	l.shown.Lock()
	s := l.shown.stats
	l.shown.Unlock()
	s.Tasks = int64(l.mailbox.len())
	s.Arriving = l.arriving.Load()
	return s
}
