package netpoll

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A loop is fuzzed by a schedule: bytes that say, step by step, what clients, the
// app and the clock do next. The files:
//
//	loop_fuzz_test.go     the steps
//	loop_client_test.go   the clients: what they send, and what they may get
//	loop_handler_test.go  the Handler: what it is told, and what it does then
//	loop_audit_test.go    what must hold between any two steps, and at the end

const (
	fuzzMessage  = 32 << 10 // Config.MaxMessageSize
	fuzzAssembly = 40 << 10 // Config.MaxAssemblyMemory
	fuzzPending  = 24 << 10 // Config.MaxPendingBytes
	fuzzOutboxes = 56 << 10 // Config.OutboxMemory
	fuzzHeaders  = 8 << 10  // Config.HeaderMemory
	fuzzTimeout  = 5        // seconds, of all deadlines
	fuzzClients  = 5        // at one time
	fuzzSteps    = 400
)

// world is a loop with all that it meets.
type world struct {
	t        *testing.T
	srv      *Server
	loop     *Loop
	running  bool // the loop has a goroutine; otherwise the test is it, and every run of a schedule is the same
	listener int  // for TCP; -1 if the sockets are socket pairs

	told    *witness
	clients []*client // by token
	live    [fuzzClients]*client
	inodes  sync.Map // of the sockets given to the loop, by ID

	outboxesOver atomic.Bool // OutboxBudget was exceeded at some time

	storms sync.WaitGroup
	posted atomic.Int64 // tasks of storms
	done   int64        // of these; belongs to the loop
}

// schedule yields the bytes that decide, and zeros when it is used up.
type schedule []byte

func (s *schedule) next() int {
	if len(*s) == 0 {
		return 0
	}
	b := (*s)[0]
	*s = (*s)[1:]
	return int(b)
}

// size yields a size around the borders at which something changes.
func (s *schedule) size() int {
	sizes := [...]int{0, 30, 125, 126, 600, 4 << 10, 10 << 10, corkSize - 5, corkSize, fuzzMessage}
	b := s.next()
	return max(sizes[b%len(sizes)]+b/len(sizes)%3-1, 0)
}

// amount yields how many bytes to read or write: a few, or many.
func (s *schedule) amount() int {
	b := s.next()
	if b < 128 {
		return b + 1
	}
	return (b - 127) << 9
}

func randomSchedule(seed uint64) schedule {
	r := rand.New(rand.NewPCG(seed, 0))
	s := make(schedule, 4*fuzzSteps)
	for i := range s {
		s[i] = byte(r.Uint32())
	}
	return s
}

// FuzzLoop runs schedules over socket pairs.
func FuzzLoop(f *testing.F) {
	for seed := range uint64(8) {
		f.Add([]byte(randomSchedule(seed)[:200+20*seed]))
	}
	f.Fuzz(func(t *testing.T, steps []byte) {
		newWorld(t, false, false).play(steps)
	})
}

func TestALoopKeepsItsInvariantsUnderRandomSchedules(t *testing.T) {
	for seed := range uint64(24) {
		running, tcp := seed%3 == 1, seed%2 == 1
		t.Run(fmt.Sprintf("seed %d, running %v, TCP %v", seed, running, tcp), func(t *testing.T) {
			newWorld(t, running, tcp).play(randomSchedule(100 + seed))
		})
	}
}

func newWorld(t *testing.T, running, tcp bool) *world {
	before := openDescriptors()
	w := &world{t: t, running: running, listener: -1}
	w.told = &witness{world: w, lives: map[ID]*life{}, parked: map[int]ID{}}
	var err error
	w.srv, err = New(Config{
		Handler: w.told, Loops: 1, MaxMessageSize: fuzzMessage, MaxAssemblyMemory: fuzzAssembly, MaxPendingBytes: fuzzPending,
		OutboxMemory: fuzzOutboxes, HeaderMemory: fuzzHeaders,
		HandshakeTimeout: fuzzTimeout * time.Second, WriteTimeout: fuzzTimeout * time.Second, CloseTimeout: fuzzTimeout * time.Second,
		MaxHeaderBytes: 1 << 10, Compression: true, Received: w.told.received,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.loop = w.srv.Loops()[0]
	outboxes := &w.srv.ledger.all[OutboxBudget]
	alarm := outboxes.alarm
	outboxes.alarm = func() {
		w.outboxesOver.Store(true)
		alarm()
	}
	unix.TimerfdSettime(w.loop.poll.tickfd, 0, new(unix.ItimerSpec), nil) // the schedule is the clock
	if tcp {
		w.listener = listenTCP(t)
	}
	w.srv.started = true
	if running {
		w.srv.running.Go(w.loop.run)
	}
	t.Cleanup(func() {
		w.hangUp()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if !running {
			w.loop.end()
		}
		if err := w.srv.Stop(ctx); err != nil {
			t.Errorf("Stop: %v", err)
		}
		w.storms.Wait()
		if w.loop.Post(noTask) != ErrStopped {
			t.Error("a loop that has ended takes tasks")
		}
		if after := openDescriptors(); after > before {
			t.Errorf("%d descriptors, %d before", after, before)
		}
		w.auditEnd()
	})
	return w
}

// play runs a schedule to its end.
func (w *world) play(s schedule) {
	ending := s.next()
	for range fuzzSteps {
		if len(s) == 0 || w.t.Failed() {
			break
		}
		w.step(&s)
		if !w.running {
			w.turn()
		}
	}
	switch ending % 4 {
	case 0: // whoever is left is dropped
	case 1:
		w.do(func(l *Loop) { l.stopping = true })
		fallthrough
	default:
		w.farewell()
	}
}

// do runs f on the loop's goroutine and returns when it has.
func (w *world) do(f func(*Loop)) {
	done := make(chan struct{})
	err := w.loop.Post(func(l *Loop) bool {
		f(l)
		close(done)
		return false
	})
	if err != nil { // it has ended
		w.srv.running.Wait()
		f(w.loop)
		return
	}
	for {
		select {
		case <-done:
			return
		default:
		}
		if w.running {
			<-done
			return
		}
		w.turn()
	}
}

// turn is a turn of a loop without a goroutine, as run does it.
func (w *world) turn() {
	l := w.loop
	l.turns++
	events, err := l.poll.wait(false)
	if err != nil {
		w.t.Fatal(err)
	}
	l.turn(events)
	w.audit(l)
}

// step does one thing.
func (w *world) step(s *schedule) {
	action, n := s.next(), s.next()
	c := w.live[n%fuzzClients]
	if c == nil {
		w.connect(n%fuzzClients, s)
		return
	}
	switch action % 28 {
	case 0, 1, 2:
		for range [...]int{1, 2, 10}[action%28] {
			c.queueMessage(s)
		}
	case 3:
		c.queuePing()
	case 4, 5, 6:
		c.write(s.amount())
	case 7:
		c.write(len(c.stream))
	case 8, 9, 10:
		c.read(s.amount())
	case 11:
		w.unlikely(s, c.halfClose, c.hangUp, func() { c.queueClose(s) })
	case 12, 13:
		w.send(c.token, s.size())
	case 14:
		w.broadcast(s.size())
	case 15:
		w.unlikely(s, func() { w.do(func(l *Loop) { w.told.close(c.token, s.next()) }) })
	case 16, 17:
		w.pauseOrResume(c.token, s.next())
	case 18:
		w.srv.SetPressure(s.next()%3 == 0)
	case 19:
		w.tick(uint32(s.next() % (fuzzTimeout + 3)))
	case 20:
		w.storm(s.next(), s.next())
	case 21:
		trap := s.next()
		w.do(func(l *Loop) {
			if f := w.told.byToken(c.token); f != nil {
				f.trap = trap % traps
			}
		})
	case 22:
		w.do(func(*Loop) { w.told.unpark(c.token) })
	case 23:
		w.unlikely(s, func() { c.queueViolation(s) })
	case 24, 25, 26:
		for c.write(len(c.stream)) > 0 {
			w.do(func(*Loop) {})
		}
	case 27:
		for c.read(1<<20) > 0 {
			w.do(func(*Loop) {})
		}
	}
}

// unlikely does one of a few things, sometimes: what ends connections should not
// come so often that nothing else happens.
func (w *world) unlikely(s *schedule, things ...func()) {
	if n := s.next(); n%4 == 0 {
		things[n/4%len(things)]()
	}
}

// connect makes a client and gives the other end of its socket to the loop.
func (w *world) connect(place int, s *schedule) {
	n := s.next()
	ours, theirs := w.sockets(n&32 == 0)
	c := newClient(w, theirs, n)
	w.live[place] = c
	w.do(func(l *Loop) {
		l.adopt(int32(ours), netip.AddrPort{})
		for slot := range l.slots {
			if conn := l.conns.At(slot); conn.fd == int32(ours) {
				w.inodes.Store(conn.ID(), inode(ours))
			}
		}
	})
}

// send sends to one connection from a task.
func (w *world) send(token, size int) {
	w.do(func(l *Loop) {
		if f := w.told.byToken(token); f != nil {
			f.send(size)
		}
	})
}

// broadcast sends one frame, which all share, to everybody.
func (w *world) broadcast(size int) {
	frame := NewFrame(frameKind(size), broadcastPayload(size))
	w.srv.Prepare(frame)
	w.do(func(l *Loop) {
		for _, f := range w.told.list {
			if c := l.Lookup(f.id); c != nil && c.Send(frame) {
				f.sent = append(f.sent, fmt.Sprintf("broadcast of %d", size))
			}
		}
	})
}

func (w *world) pauseOrResume(token, n int) {
	w.do(func(l *Loop) {
		f := w.told.byToken(token)
		if f == nil || l.Lookup(f.id) == nil {
			return
		}
		why := [...]PauseReason{BackPressure, RateLimit}[n&1]
		if n%3 == 0 {
			l.Lookup(f.id).Pause(why)
			return
		}
		l.Lookup(f.id).Resume(why)
	})
}

// tick is what dispatch does when the timer has counted n seconds.
func (w *world) tick(n uint32) {
	w.do(func(l *Loop) {
		l.now += n
		l.ticking = true
	})
}

// storm posts many tasks, some of which take several turns; if the loop has a goroutine of
// its own, from others than the test's.
func (w *world) storm(n, long int) {
	post := func() {
		for i := range n {
			turns := 0
			if i == long {
				turns = 3
			}
			err := w.loop.Post(func(l *Loop) bool {
				if turns > 0 {
					turns--
					return true
				}
				w.done++
				if len(w.told.list) > 0 && i%16 == 0 {
					w.told.list[i%len(w.told.list)].send(i)
				}
				return false
			})
			if err == nil {
				w.posted.Add(1)
			}
		}
	}
	if w.running {
		w.storms.Go(post)
	} else {
		post()
	}
}

// farewell lets everybody who is left go: it reads and writes to the end, and
// fails if that does not come.
func (w *world) farewell() {
	w.srv.SetPressure(false)
	w.do(func(l *Loop) {
		w.told.calm = true
		for _, c := range w.clients {
			w.told.unpark(c.token)
		}
		for _, f := range w.told.list {
			for _, why := range []PauseReason{BackPressure, RateLimit} {
				if c := l.Lookup(f.id); c != nil { // to go on may have been the end
					c.Resume(why)
				}
			}
		}
		if l.stopping {
			var slot uint32
			l.shut(&slot)
		}
	})
	left := slices.DeleteFunc(slices.Clone(w.live[:]), func(c *client) bool { return c == nil })
	for _, c := range left {
		c.queueClose(new(schedule))
	}
	for deadline := time.Now().Add(patience); len(left) > 0; {
		moved := false
		left = slices.DeleteFunc(left, func(c *client) bool {
			n := c.write(len(c.stream)) + c.read(1<<20)
			moved = moved || n > 0
			if c.ended || n == 0 && c.violate && c.closeFrame != "" { // it has no close frame to answer with
				c.hangUp()
			}
			return c.gone
		})
		w.do(func(*Loop) {})
		if moved {
			deadline = time.Now().Add(patience)
		}
		if !moved && len(left) > 0 && time.Now().After(deadline) {
			w.t.Fatalf("no end of connection %s", left[0])
		}
		if !moved {
			w.wait(left)
		}
	}
	w.awaitNobody()
}

// wait waits for something to read, or for room to write, a moment at most.
func (w *world) wait(left []*client) {
	var fds []unix.PollFd
	for _, c := range left {
		events := int16(unix.POLLIN)
		if len(c.stream) > 0 && !c.deaf {
			events |= unix.POLLOUT
		}
		fds = append(fds, unix.PollFd{Fd: int32(c.fd), Events: events})
	}
	if !w.running {
		fds = append(fds, unix.PollFd{Fd: int32(w.loop.poll.epfds[established]), Events: unix.POLLIN})
	}
	unix.Poll(fds, 20)
}

// awaitNobody waits until the loop has no connection left.
func (w *world) awaitNobody() {
	for deadline := time.Now().Add(patience); ; {
		left := int64(0)
		w.do(func(l *Loop) {
			if !l.stopping { // otherwise it may have ended before this
				left = l.stats.Descriptors
			}
		})
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%d connections stay, though all clients have gone", left)
		}
		w.wait(nil)
	}
}

// hangUp closes the sockets that are left, ours of the clients.
func (w *world) hangUp() {
	for _, c := range w.live {
		if c != nil {
			c.hangUp()
		}
	}
	if w.listener >= 0 {
		unix.Close(w.listener)
	}
}
