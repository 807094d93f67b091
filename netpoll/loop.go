package netpoll

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"ws-gateway/netpoll/wire"
)

const (
	readSize     = 64 << 10 // the loop's read buffer: bytes of one connection in one turn
	tasksPerTurn = 64
	expiryBudget = 64 // connections that one turn ends, for their deadline or at shutdown: a few microseconds each
	publishEvery = 64 // turns without a wait after which the counters are shown
)

// Loop is one event loop: a goroutine, an epoll, and the connections that it
// owns. But for Index and Post its methods are for its own goroutine only.
type Loop struct {
	// Static after construction.
	srv     *Server
	handler Handler
	index   int
	mailbox *mailbox

	// Owned by run, set by configure.
	cfg           *Config
	tooBig        string // reason of a 1009
	maxHandshakes int64

	// Owned by run.
	poll      *poller
	conns     Slab[Conn]
	slots     uint32   // slots ever used
	free      []uint32 // slots without a connection
	now       uint32   // seconds since the start in which the loop ran: see seconds.go
	seconds   seconds
	ticking   bool   // the work of this second is not done
	stopping  bool   // ends as soon as no connection is left
	settling  bool   // more connections have to give way
	tasks     []task // taken from the mailbox
	nextTask  int
	deadlines [deadlineKinds]deadlineQueue
	pressed   []ID // connections that were found readable under pressure

	rbuf        []byte
	cork        []byte // output of corked
	corked      *Conn
	scratch     []byte
	response    []byte // refuses a request
	upgrader    *wire.Upgrader
	request     wire.Request
	inboxes     []*inbox
	outboxes    []*outbox
	purses      [purses]purse
	kernel      kernelWatch
	kernelShown int64              // of kernel.held, in the budget
	kept        map[uint32]*holder // by slot, of connections that keep a large request head; see Conn.Keep
	inflater    wire.Inflater
	inflated    []byte // a message that was compressed
	stats       Stats
	turns       int
	began       time.Time // the present turn

	abandoned atomic.Bool // set by others: the loop is to end, whatever is left

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
	for i := range l.purses {
		l.purses[i] = purse{budget: &s.ledger.all[i], loop: index, aged: Budget(i) == MessageBudget}
	}
	l.configure(&s.cfg)
	return l, nil
}

// Index is the loop's place in Server.Loops.
func (l *Loop) Index() int { return l.index }

// Now is the current tick: seconds since the server's start, without those in which
// the loop could not run.
func (l *Loop) Now() uint32 { return l.now }

// Missed is how many seconds before the current tick the loop could not run, as the
// process was stopped or had no processor. They are not in Now.
func (l *Loop) Missed() uint32 { return l.seconds.missed }

// Post is PostContext for those whom nobody waits for: it waits for room as long as
// the loop runs.
func (l *Loop) Post(task func(*Loop) (more bool)) error {
	return l.mailbox.post(context.Background(), task)
}

// PostContext runs task on the loop's goroutine. Tasks run in the order of posting; a
// task that returns true has more to do, is called again after other events had
// their turn, and holds back those behind it. It may be called from any
// goroutine but a loop's; it waits while the mailbox is full (16,384 tasks), until
// ctx is done, whose error it then returns, or ErrStopped once the loop has ended. A
// task whose posting succeeded runs, even if the loop ends meanwhile; it then finds
// no connection. One whose posting failed never does.
func (l *Loop) PostContext(ctx context.Context, task func(*Loop) (more bool)) error {
	return l.mailbox.post(ctx, task)
}

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

// Slots is the number of slots ever used: every open connection's slot is below
// it.
func (l *Loop) Slots() uint32 { return l.slots }

// At returns the open connection in slot, or nil.
func (l *Loop) At(slot uint32) *Conn {
	if slot >= l.slots {
		return nil
	}
	if c := l.conns.At(slot); c.state == stateOpen {
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

// turn serves what there is to do.
func (l *Loop) turn(events []unix.EpollEvent) {
	for i := range events {
		l.dispatch(&events[i])
		l.settle()
	}
	if l.seconds.due && l.seconds.caughtUp(len(events)) {
		l.now++
		l.ticking = true
	}
	l.runTasks()
	ticking := l.ticking
	if ticking {
		l.tick()
	}
	l.watchSockets(ticking)
	l.settling = l.settle()
	l.uncork()
}

// wait returns the next events; it blocks only if nothing else is to be done.
func (l *Loop) wait() ([]unix.EpollEvent, error) {
	l.stats.Turns++
	l.turns++
	l.stats.TurnTimes.observe(time.Since(l.began))
	block := !l.ticking && !l.seconds.due && !l.settling && !l.kernel.looking && l.nextTask == len(l.tasks) && l.mailbox.sleep()
	if block || l.turns%publishEvery == 0 {
		l.publish()
	}
	events, err := l.poll.wait(block)
	if block {
		l.mailbox.awake()
	}
	l.began = time.Now()
	return events, err
}

// dispatch serves one event. An event of a connection that went away earlier in
// the same batch is told by its generation.
func (l *Loop) dispatch(ev *unix.EpollEvent) {
	id := eventID(ev)
	switch id {
	case wakeID:
		return
	case timerID:
		if n := l.poll.ticks(); n > 0 {
			l.stats.PausedSeconds += uint64(n) * uint64(max(l.stats.Paused, 0))
			l.seconds.passed(n, l.stats.Descriptors)
		}
		return
	}
	c := l.conns.At(id.Slot())
	if c.gen != id.Generation() || c.state == stateFree {
		return
	}
	const ended = unix.EPOLLHUP | unix.EPOLLERR
	if ev.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|ended) != 0 {
		if c.pause != 0 {
			c.detach() // what has arrived before the end is delivered first, when reading goes on
			return
		}
		l.readable(c)
	}
	if ev.Events&unix.EPOLLOUT != 0 && c.out != nil && c.gen == id.Generation() {
		c.writable()
	}
}

// readable reads once. Less than a full buffer means that the socket is drained;
// of more than that epoll tells again, after others had their turn.
func (l *Loop) readable(c *Conn) {
	if c.state == stateParked { // it is not read: this is its end
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

// adopt takes a connection that has been accepted.
func (l *Loop) adopt(fd int32, peer netip.AddrPort) {
	l.makeRoom()
	var slot uint32
	if n := len(l.free); n > 0 {
		slot = l.free[n-1]
		l.free = l.free[:n-1]
	} else if l.slots < MaxSlots {
		slot = l.slots
		l.conns.Grow(slot)
		l.slots++
	} else {
		closeSocket(fd, true)
		return
	}
	c := l.conns.At(slot)
	gen := c.gen + 1
	if gen == 0 {
		gen = 1
	}
	*c = Conn{loop: l, slot: slot, gen: gen, fd: fd, state: stateHandshake, interest: watchIn}
	l.stats.Accepted++
	l.stats.Descriptors++
	l.stats.Handshaking++
	if l.stopping || l.poll.control(unix.EPOLL_CTL_ADD, int(fd), c.interest.events(), c.ID()) != 0 {
		c.destroy(true)
		return
	}
	in := l.inboxOf(c)
	in.peer, in.since = peer, time.Now()
	l.await(c, handshakeDeadline)
}

// runTasks runs what others have posted, some of it in each turn.
func (l *Loop) runTasks() {
	if l.nextTask == len(l.tasks) {
		l.tasks, l.nextTask = l.mailbox.take(l.tasks[:0]), 0
	}
	for n := 0; n < tasksPerTurn && l.nextTask < len(l.tasks); n++ {
		more := l.tasks[l.nextTask](l)
		l.settle()
		if more {
			return
		}
		l.tasks[l.nextTask] = nil
		l.nextTask++
	}
}

// tick does the work of a second, or a slice of it.
func (l *Loop) tick() {
	more := l.handler.Tick(l, l.now)
	if len(l.pressed) > 0 && !l.srv.pressure.Load() {
		more = l.relieve() || more // the mailbox had no room for SetPressure's task
	}
	l.ticking = l.expire(expiryBudget) || more
}

// relieve lets connections that pressure had stopped be read again, some of them
// in each turn, until it is back: each may bring what it has sent before.
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

// shut closes all connections, from slot on, some in each turn; the loop ends
// when the last is gone.
func (l *Loop) shut(slot *uint32) (more bool) {
	l.stopping = true
	for n := 0; n < expiryBudget && *slot < l.slots; n++ {
		switch c := l.conns.At(*slot); c.state {
		case stateHandshake, stateParked:
			c.destroy(true)
		case stateOpen:
			c.Close(GoingAway, statusGoingAway, "going away")
		}
		*slot++
	}
	return *slot < l.slots
}

// abandon drops all connections at once.
func (l *Loop) abandon() {
	for slot := range l.slots {
		if c := l.conns.At(slot); c.state != stateFree {
			c.Close(GoingAway, statusGoingAway, "going away")
			c.destroy(true)
		}
	}
}

// end runs the tasks that are left, so that nobody waits for one in vain.
func (l *Loop) end() {
	l.stopping = true
	l.abandon()
	for _, tasks := range [][]task{l.tasks[l.nextTask:], l.mailbox.stop()} {
		for _, t := range tasks {
			for t(l) {
			}
		}
	}
	l.publish()
	l.poll.close()
}

// publish shows the counters to Server.Stats.
func (l *Loop) publish() {
	l.shown.Lock()
	l.shown.stats = l.stats
	l.shown.stats.AssemblyBytes = l.purses[MessageBudget].held
	l.shown.Unlock()
}

// snapshot returns the counters as last published: at the latest a turn ago if
// the loop is idle.
func (l *Loop) snapshot() Stats {
	l.shown.Lock()
	s := l.shown.stats
	l.shown.Unlock()
	s.Tasks = int64(l.mailbox.len())
	return s
}
