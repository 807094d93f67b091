package netpoll

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

// turned is a loop whose turns the test makes.
type turned struct {
	*Loop
	t       *testing.T
	handler *recorder
	ended   bool
}

func newTurned(t *testing.T, cfg Config) *turned {
	h := newRecorder()
	cfg.Handler, cfg.Loops = h, 1
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.started = true
	l := &turned{Loop: s.Loops()[0], t: t, handler: h}
	unix.TimerfdSettime(l.poll.tickfd, 0, new(unix.ItimerSpec), nil)
	t.Cleanup(func() {
		l.finish()
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l
}

// finish is the end of run.
func (l *turned) finish() {
	if !l.ended {
		l.ended = true
		l.end()
	}
}

func (l *turned) do() {
	l.t.Helper()
	events, err := l.poll.wait(false)
	if err != nil {
		l.t.Fatal(err)
	}
	l.turn(events)
}

// far is a client's end of a connection.
type far int

// pair returns a client and the descriptor that the loop gets.
func (l *turned) pair(sent string) (far, int32) {
	l.t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		l.t.Fatal(err)
	}
	c := far(fds[1])
	l.t.Cleanup(func() { unix.Close(fds[1]) })
	c.send(sent)
	return c, int32(fds[0])
}

// arrive has n clients wait to be looked at.
func (l *turned) arrive(n int, sent string) (all []far) {
	var batch []accepted
	for range n {
		c, fd := l.pair(sent)
		all, batch = append(all, c), append(batch, accepted{fd: fd})
	}
	l.arriving.Add(int64(n))
	l.srv.acceptor.deal(l.Loop, batch)
	l.runTasks()
	return all
}

// open returns n clients that are open.
func (l *turned) open(n int) (all []far) {
	for range n {
		c, fd := l.pair(testHandshake)
		l.adopt(fd, netip.AddrPort{})
		l.uncork()
		c.receive()
		all = append(all, c)
	}
	return all
}

func (c far) send(what string) { unix.Write(int(c), []byte(what)) }
func (c far) hangUp()          { unix.Shutdown(int(c), unix.SHUT_RDWR) }

// receive returns what has come; ended reports that no more will.
func (c far) receive() (got []byte, ended bool) {
	b := make([]byte, 4<<10)
	n, err := unix.Read(int(c), b)
	return b[:max(n, 0)], n == 0 && err == nil || err == unix.ECONNRESET
}

// stays makes a turn before which c sends a ping, which must be answered in it.
func (l *turned) stays(c far) {
	l.t.Helper()
	c.send(string(clientFrame(0x80|byte(ws.OpPing), "p")))
	l.do()
	if got, _ := c.receive(); string(got) != "\x8a\x01p" {
		l.t.Fatalf("whoever is open got %q in this turn", got)
	}
}

// slices makes turns until done has grown from 0 to n, a slice in each, while c is served
// in all of them.
func (l *turned) slices(c far, n int, done func() int) {
	l.t.Helper()
	for have := 0; have < n; {
		l.stays(c)
		now := done()
		if want := min(n, have+transientsPerTurn); now != want {
			l.t.Fatalf("%d of %d have been served after this turn, want %d", now, n, want)
		}
		have = now
	}
}

const throng = 3*transientsPerTurn + 5

func TestOpenConnectionsAreServedBetweenSlicesOfACrowd(t *testing.T) {
	upgraded := func(l *turned) func() int { return func() int { return int(l.stats.Upgraded) - 1 } }
	t.Run("that has just been accepted", func(t *testing.T) {
		l := newTurned(t, Config{})
		c := l.open(1)[0]
		all := l.arrive(throng, testHandshake)
		l.slices(c, throng, upgraded(l))
		l.answered(all)
	})
	t.Run("whose heads arrive", func(t *testing.T) {
		l := newTurned(t, Config{})
		c := l.open(1)[0]
		all := l.arrive(throng, testHandshake[:20])
		for !l.arrivals.none() {
			l.stays(c)
		}
		for _, one := range all {
			one.send(testHandshake[20:])
		}
		l.slices(c, throng, upgraded(l))
		l.answered(all)
	})
	t.Run("that hangs up", func(t *testing.T) {
		l := newTurned(t, Config{})
		c := l.open(1)[0]
		for _, one := range l.open(throng) {
			one.hangUp()
		}
		ended := func() int { return int(l.stats.Closed[Disconnected]) }
		l.stays(c)
		if n := ended(); n > 0 {
			t.Fatalf("%d have ended in the turn that finds all of them", n)
		}
		l.slices(c, throng, ended)
		for id, ends := range l.handler.ends {
			if len(ends) != 1 {
				t.Errorf("%v ended %d times", id, len(ends))
			}
		}
	})
	t.Run("that closes", func(t *testing.T) {
		l := newTurned(t, Config{})
		c := l.open(1)[0]
		all := l.open(throng)
		for _, one := range all {
			one.send(string(clientFrame(0x88, "\x03\xe8bye")))
		}
		ended := func() int { return int(l.stats.Closed[PeerClosed]) }
		l.slices(c, throng, ended)
		for id, ends := range l.handler.ends {
			if len(ends) != 1 || ends[0].Code != 1000 || ends[0].Reason != "bye" {
				t.Errorf("%v ended with %+v", id, ends)
			}
		}
		for i, one := range all {
			if got, _ := one.receive(); string(got) != "\x88\x02\x03\xe8" {
				t.Errorf("client %d got %q", i, got)
			}
			one.hangUp()
		}
		for l.stats.Descriptors > 1 {
			l.stays(c)
		}
		if s := l.stats; s.Paused != 0 || s.Pauses != 0 || s.Closing != 0 {
			t.Errorf("in the end: %+v", s)
		}
	})
	t.Run("of both kinds, neither before the other", func(t *testing.T) {
		l := newTurned(t, Config{})
		slow := l.arrive(throng, "")
		for !l.arrivals.none() {
			l.do()
		}
		for _, one := range slow {
			one.send(testHandshake)
		}
		l.arrive(throng, testHandshake)
		l.do()
		if n := l.stats.Upgraded; n != 2*transientsPerTurn {
			t.Errorf("%d of both are open after a turn", n)
		}
	})
}

// answered requires that each of the clients has got its 101.
func (l *turned) answered(all []far) {
	l.t.Helper()
	for i, c := range all {
		if got, _ := c.receive(); !bytes.HasPrefix(got, []byte("HTTP/1.1 101 ")) {
			l.t.Errorf("client %d got %q", i, got)
		}
	}
	if n, s := l.arriving.Load(), l.stats; n != 0 || s.Handshaking != 0 {
		l.t.Errorf("%d are arriving still, %+v", n, s)
	}
}

func TestWhoWaitsInACrowdComesInTurn(t *testing.T) {
	l := newTurned(t, Config{})
	all := l.arrive(throng, testHandshake)
	for from := 0; from < throng; from += transientsPerTurn {
		l.do()
		for i, c := range all {
			if got, _ := c.receive(); (len(got) > 0) != (i >= from && i < from+transientsPerTurn) {
				t.Fatalf("the turn that begins with %d: client %d got %q", from, i, got)
			}
		}
	}
}

func TestWhoEndsWhileItWaitsInACrowdIsServedOnce(t *testing.T) {
	l := newTurned(t, Config{HandshakeTimeout: time.Second, MaxHandshaking: 2 * throng})
	arrived := l.arrive(throng, testHandshake)
	for _, c := range arrived {
		c.hangUp() // before the loop has looked at it
	}
	for !l.arrivals.none() {
		l.do()
	}
	slow := l.arrive(throng, "GET ")
	for !l.arrivals.none() {
		l.do()
	}
	for _, c := range slow {
		c.send(testHandshake[4:]) // more than a turn serves
	}
	l.now += l.deadlines[handshakeDeadline].after
	l.ticking = true
	l.do()
	late := int(l.stats.HandshakeExpiry)
	if n := int(l.stats.Handshaking); late != throng-transientsPerTurn || n != 0 {
		t.Fatalf("%d were too late and %d are left, of %d", late, n, throng)
	}
	l.do()
	for i, c := range slow {
		got, ended := c.receive()
		if opened := i < transientsPerTurn; opened != (len(got) > 0) || opened == ended {
			t.Errorf("client %d got %q, ended: %v", i, got, ended)
		}
	}
	for range 2 {
		for _, c := range slow {
			c.hangUp()
		}
		for range 8 {
			l.do()
		}
	}
	if s := l.stats; s.Descriptors != 0 || s.Open != 0 || s.Closing != 0 || s.Accepted != 2*throng {
		t.Errorf("in the end: %+v", s)
	}
	for id, ends := range l.handler.ends {
		if len(ends) != 1 {
			t.Errorf("%v ended %d times", id, len(ends))
		}
	}
}

func TestAPausedConnectionThatHangsUpWaitsUntilItIsReadAgain(t *testing.T) {
	l := newTurned(t, Config{})
	c := l.open(1)[0]
	conn := l.At(0)
	c.send(string(clientFrame(0x81, "before")))
	conn.Pause(BackPressure)
	c.hangUp()
	l.do()
	l.do()
	if conn.state != stateOpen {
		t.Fatal("it has ended before what it had sent was read")
	}
	conn.Resume(BackPressure)
	for range 4 {
		l.do()
	}
	if s := l.stats; s.MessagesIn != 1 || s.Closed[Disconnected] != 1 || s.Descriptors != 0 {
		t.Errorf("%+v", s)
	}
}

func TestALoopThatEndsTurnsAwayWhoHasJustArrived(t *testing.T) {
	l := newTurned(t, Config{})
	all := l.arrive(throng, "")
	l.do()
	l.finish()
	for i, c := range all {
		if _, ended := c.receive(); !ended {
			t.Errorf("client %d is still connected", i)
		}
	}
	if n := l.arriving.Load(); n != 0 {
		t.Errorf("%d are counted as arriving", n)
	}
}

func TestASecondDoesNotCountWhileACrowdHasNotBeenRead(t *testing.T) {
	l := newTurned(t, Config{})
	slow := l.arrive(throng, "")
	for !l.arrivals.none() {
		l.do()
	}
	for _, c := range slow {
		c.send(testHandshake[:10])
	}
	l.seconds.passed(3, l.stats.Descriptors)
	for turns := 0; l.Now() == 0; turns++ {
		if read := l.stats.ReadsIn - throng; read != uint64(turns*transientsPerTurn) {
			t.Fatalf("after %d turns %d were read", turns, read)
		}
		l.do()
	}
	if read := l.stats.ReadsIn - throng; read < throng {
		t.Errorf("only %d of %d were read before the second counted", read, throng)
	}
}

func TestTheAcceptorPausesWhileALoopHasAllTheArrivalsThatItMay(t *testing.T) {
	s, addr := startServer(t, Config{Handler: newRecorder(), Loops: 1})
	l := s.Loops()[0]
	l.arriving.Add(maxArrivals)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	awaitStats(t, s, "the acceptor to pause", func(Stats) bool { return s.Stats().AcceptPauses > 1 }) // it looks again
	if n := s.Stats().Accepted; n != 0 {
		t.Errorf("%d were accepted", n)
	}
	l.arriving.Add(-maxArrivals)
	upgrades(t, c, testHandshake)
}
