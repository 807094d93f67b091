package netpoll

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ws-gateway/netpoll/wire"
)

// A client whose attempt to come back takes too long gives it up and makes another one. The
// attempts may arrive in any order: the session is lost in none, and whose client is gone
// does nothing.

// hold keeps a loop from doing anything until release is called.
func hold(t *testing.T, l *Loop) (release func()) {
	t.Helper()
	held := make(chan struct{})
	released, release := context.WithCancel(t.Context())
	if err := l.Post(func(*Loop) bool {
		close(held)
		<-released.Done()
		return false
	}); err != nil {
		t.Fatal(err)
	}
	<-held
	return release
}

// on has a loop do something after all that has been posted before.
func on(t *testing.T, l *Loop, do func(*Loop)) {
	t.Helper()
	done := make(chan struct{})
	if err := l.Post(func(l *Loop) bool {
		do(l)
		close(done)
		return false
	}); err != nil {
		t.Fatal(err)
	}
	<-done
}

// awaitTrue waits for what another goroutine, or the kernel, does.
func awaitTrue(t *testing.T, what string, cond func() bool) {
	t.Helper()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for until := time.Now().Add(patience); !cond(); <-again.C {
		if time.Now().After(until) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// accepted is the server's descriptor of a client's connection.
func (w *relaying) accepted(client net.Addr) (fd int) {
	w.t.Helper()
	awaitTrue(w.t, "a connection that is accepted", func() bool {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			w.t.Fatal(err)
		}
		for fd = range len(entries) + 100 {
			if peer, err := unix.Getpeername(fd); err == nil && peer != nil && addrPort(peer).String() == client.String() {
				return true
			}
		}
		return false
	})
	return fd
}

// leaves ends a client's connection, and returns once the server's kernel knows.
func (w *relaying) leaves(c *net.TCPConn) {
	w.t.Helper()
	fd := w.accepted(c.LocalAddr())
	c.Close()
	awaitTrue(w.t, "the end of a connection", func() bool {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(p, 0)
		return err == nil && n == 1
	})
}

// offer is a handshake with a token.
func offer(token string) string {
	return strings.Replace(testHandshake, "\r\n\r\n", "\r\nSec-WebSocket-Protocol: "+wire.ResumeProtocol+", "+wire.ResumeProtocol+"."+token+".0\r\n\r\n", 1)
}

// attempt sends a handshake with a token.
func (w *relaying) attempt(server int, token string) *net.TCPConn {
	w.t.Helper()
	c := connect(w.t, w.addrs[server])
	if _, err := io.WriteString(c, offer(token)); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// echoes requires the connection to be open.
func (c *comer) echoes(text string) {
	c.t.Helper()
	c.Write(clientFrame(0x81, text))
	if got := c.next(); got != text {
		c.t.Fatalf("echoed %q, want %q", got, text)
	}
}

func (w *relaying) home(c *comer) (ID, *Loop) {
	id, ok := w.resumers[1].ParseID([]byte(c.id))
	if !ok {
		w.t.Fatalf("no id: %q", c.id)
	}
	return id, w.there.Loops()[id.Loop()]
}

// awaitDescriptors waits until there are no more descriptors than before.
func awaitDescriptors(t *testing.T, before int) {
	t.Helper()
	awaitTrue(t, "descriptors that are closed", func() bool { return openDescriptors() <= before })
}

var someClient = netip.MustParseAddrPort("192.0.2.1:1")

// relayedAnswer is the answer to a relayed handshake.
type relayedAnswer struct {
	transport *Transport
	err       error
}

func (w *relaying) takeRelayed(c *comer, answers chan<- relayedAnswer, givenUp func() bool) error {
	id, _ := w.home(c)
	return w.there.TakeRelayed(id, Relayed{Peer: someClient, Head: []byte(offer(c.token)), GivenUp: givenUp}, func(tr *Transport, err error) {
		answers <- relayedAnswer{tr, err}
	})
}

// Of two relayed attempts the second replaces the first one's transport before anything was
// written to that: it has ended without a byte, and is no session that is missed.
func TestARelayedAttemptThatIsOvertakenAtOnceIsNotMissed(t *testing.T) {
	w := newRelaying(t, carried)
	before := openDescriptors()
	c, _ := w.come(1, "", "")
	_, home := w.home(c)
	release := hold(t, home)
	answers := make(chan relayedAnswer, 2)
	for range 2 {
		if err := w.takeRelayed(c, answers, nil); err != nil {
			t.Fatal(err)
		}
	}
	release()
	for _, want := range []string{"", `"resumed":true`} {
		a := <-answers
		if a.err != nil {
			t.Fatalf("not answered with a transport: %v", a.err)
		}
		conn, err := a.transport.Conn()
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			if got, err := io.ReadAll(conn); len(got) > 0 || err != nil {
				t.Errorf("the one that is overtaken gets %q, %v", got, err)
			}
		} else if got, err := bufio.NewReader(conn).ReadString('}'); err != nil || !strings.Contains(got, want) {
			t.Errorf("the other one gets %q, %v", got, err)
		}
		conn.Close()
	}
	back, resumed := w.come(1, c.token, "") // with the token of before: it has got no other
	if !resumed || back.id != c.id {
		t.Error("the session is lost")
	}
	back.echoes("here")
	c.Close()
	back.Close()
	awaitStats(t, w.there, "the session to be away", func(s Stats) bool { return s.Away == 1 })
	awaitDescriptors(t, before)
}

// What cannot be resumed is said so, and has no transport.
func TestARelayedAttemptForASessionThatIsOverIsMissed(t *testing.T) {
	w := newRelaying(t, carried)
	before := openDescriptors()
	c, _ := w.come(1, "", "")
	id, home := w.home(c)
	on(t, home, func(l *Loop) { l.Lookup(id).Close(GoingAway, statusGoingAway, "") })
	answers := make(chan relayedAnswer, 1)
	if err := w.takeRelayed(c, answers, nil); err != nil {
		t.Fatal(err)
	}
	if a := <-answers; !errors.Is(a.err, ErrNotResumed) || a.transport != nil {
		t.Errorf("%+v", a)
	}
	c.Close()
	awaitStats(t, w.there, "no connection", func(s Stats) bool { return s.Descriptors == 0 && s.ResumesMissed[MissedGone] == 1 })
	awaitDescriptors(t, before)
}

// What is over in a moment says nothing about the session.
func TestARelayedAttemptForWhichThereIsNoRoomAtTheMomentIsNotMissed(t *testing.T) {
	w := newRelaying(t, carried)
	before := openDescriptors()
	c, _ := w.come(1, "", "")
	_, home := w.home(c)
	answers := make(chan relayedAnswer, 1)
	take := func() error {
		if err := w.takeRelayed(c, answers, nil); err != nil {
			return err
		}
		return (<-answers).err
	}

	home.moving.Add(maxMoving)
	if err := take(); !errors.Is(err, ErrBusy) {
		t.Errorf("too many on their way to the loop: %v", err)
	}
	home.moving.Add(-maxMoving)

	on(t, home, func(l *Loop) { // no slot is free
		free, slots := l.free, l.slots
		l.free, l.slots = nil, MaxSlots
		id, _ := w.home(c)
		l.takeRelayed(id, &Relayed{Peer: someClient, Head: []byte(offer(c.token))}, time.Now(), func(tr *Transport, err error) {
			if tr != nil || !errors.Is(err, ErrBusy) {
				t.Errorf("the table is full: %v, %v", tr, err)
			}
		})
		l.free, l.slots = free, slots
	})

	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := unix.Rlimit{Cur: 0, Max: limit.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	err := take()
	if again := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); again != nil {
		t.Fatal(again)
	}
	if !errors.Is(err, ErrBusy) {
		t.Errorf("no descriptor is free: %v", err)
	}

	c.echoes("here")
	c.Close()
	awaitStats(t, w.there, "the session to be away", func(s Stats) bool { return s.Away == 1 && s.ResumesMissed == [Misses]uint64{} })
	awaitDescriptors(t, before)
}

// Nobody waits for the answer any more.
func TestARelayedAttemptThatIsGivenUpLeavesTheSessionAlone(t *testing.T) {
	w := newRelaying(t, carried)
	c, _ := w.come(1, "", "")
	answers := make(chan relayedAnswer, 1)
	if err := w.takeRelayed(c, answers, func() bool { return true }); err != nil {
		t.Fatal(err)
	}
	if a := <-answers; a.err == nil || a.transport != nil {
		t.Errorf("%+v", a)
	}
	c.echoes("here")
	if s := w.there.Stats(); s.Resumed != 0 || s.ResumesMissed != [Misses]uint64{} {
		t.Errorf("%+v", s)
	}
}

// An attempt waits, for its own loop or on its way to the session's, until its client has
// gone. The session goes on where it is.
func TestAnAttemptWhoseClientHasGoneLeavesTheSessionAlone(t *testing.T) {
	for name, conns := range map[string]int{"on another loop": 1, "on the session's loop": 2} { // they are given to the loops in turn
		t.Run(name, func(t *testing.T) {
			w := newRelaying(t, carried)
			before := openDescriptors()
			c, _ := w.come(1, "", "")
			_, home := w.home(c)
			release := hold(t, home)
			for range conns - 1 {
				w.leaves(connect(t, w.addrs[1]))
			}
			late := w.attempt(1, c.token)
			if conns == 1 {
				awaitTrue(t, "an attempt that is on its way", func() bool { return home.moving.Load() == 1 })
			}
			w.leaves(late)
			release()
			awaitStats(t, w.there, "the attempt to arrive", func(s Stats) bool { return s.Accepted == uint64(1+conns) })
			on(t, home, func(*Loop) {})
			c.echoes("here")
			if s := w.sum(); s.Resumed != 0 || s.WentAway != 0 || s.Upgraded != 1 || s.Handshaking != 0 || s.Descriptors != 1 || s.ResumesMissed != [Misses]uint64{} {
				t.Errorf("something was done: %+v", s)
			}
			c.Close()
			awaitStats(t, w.there, "the session to be away", func(s Stats) bool { return s.Away == 1 })
			awaitDescriptors(t, before)
		})
	}
}

// sum is Stats of this moment, of the server with the sessions.
func (w *relaying) sum() (sum Stats) {
	for _, l := range w.there.Loops() {
		on(w.t, l, func(l *Loop) { sum.add(&l.stats) })
	}
	return sum
}

// A client that has gone opens no session where its old one is not found, or not looked for.
func TestAnAttemptWhoseClientHasGoneOpensNoSession(t *testing.T) {
	handshakes := make(chan *Handshake, 1)
	w := newRelaying(t, func(_ *relaying, _ ID, h *Handshake) { handshakes <- h })
	before := openDescriptors()
	c, _ := w.come(1, "", "")
	late := w.attempt(0, c.token)
	h := <-handshakes
	if h.HungUp() {
		t.Error("it is taken for gone")
	}
	w.leaves(late)
	if !h.HungUp() {
		t.Error("it is not taken for gone")
	}
	h.Decline()
	on(t, h.loop, func(l *Loop) {
		if l.stats.Descriptors != 0 || l.stats.Upgraded != 0 || l.stats.Handshaking != 0 {
			t.Errorf("something is opened: %+v", l.stats)
		}
	})
	var releases []func()
	for _, l := range w.there.Loops() {
		releases = append(releases, hold(t, l))
	}
	w.leaves(w.attempt(1, alter(c.token))) // of no session, and not relayed
	for _, release := range releases {
		release()
	}
	awaitStats(t, w.there, "the attempt to arrive", func(s Stats) bool { return s.Accepted == 2 })
	if s := w.sum(); s.Upgraded != 1 || s.Descriptors != 1 || s.ResumesMissed != [Misses]uint64{} {
		t.Errorf("something is opened: %+v", s)
	}
	c.Close()
	awaitStats(t, w.there, "the session to be away", func(s Stats) bool { return s.Away == 1 })
	awaitDescriptors(t, before)
}

// A descriptor that is closed, reset or half-closed is hung up, whatever there is to read.
func TestAConnectionThatThePeerHasEndedIsHungUp(t *testing.T) {
	for name, end := range map[string]func(*net.TCPConn){
		"closed":      func(c *net.TCPConn) { c.Close() },
		"reset":       func(c *net.TCPConn) { c.SetLinger(0); c.Close() },
		"half-closed": func(c *net.TCPConn) { c.CloseWrite() },
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		client := connect(t, ln.Addr().String())
		server, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(client, "early")
		f, err := server.(*net.TCPConn).File()
		if err != nil {
			t.Fatal(err)
		}
		if hungUp(int32(f.Fd())) {
			t.Errorf("%s: hung up before", name)
		}
		end(client)
		awaitTrue(t, name, func() bool { return hungUp(int32(f.Fd())) })
		f.Close()
		server.Close()
		ln.Close()
	}
}

// Nobody could come back to the session of a client that never had its token.
func TestAClientThatHasGoneBeforeItsFirstHandshakeIsReadHasNoSession(t *testing.T) {
	w := newRelaying(t, carried)
	before := openDescriptors()
	var release []func()
	for _, l := range w.there.Loops() {
		release = append(release, hold(t, l))
	}
	c := connect(t, w.addrs[1])
	if _, err := io.WriteString(c, strings.Replace(testHandshake, "\r\n\r\n", "\r\nSec-WebSocket-Protocol: "+wire.ResumeProtocol+"\r\n\r\n", 1)); err != nil {
		t.Fatal(err)
	}
	w.leaves(c)
	for _, release := range release {
		release()
	}
	awaitDescriptors(t, before)
	for _, l := range w.there.Loops() {
		on(t, l, func(l *Loop) {
			if l.stats.Upgraded > 0 || l.stats.Away > 0 {
				t.Errorf("%d were opened, %d are away", l.stats.Upgraded, l.stats.Away)
			}
		})
	}
}
