package relay

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 2 * time.Minute // for what must happen, however busy the machine

var clientAddr = netip.MustParseAddrPort("192.0.2.1:4711")

// link is two Ends and what is between them: a queue in each direction.
type link struct {
	t       *testing.T
	ends    [2]*End
	held    atomic.Int64
	lost    func(from int, f *Frame) bool // which frames get lost; nil: none
	queue   [2]chan []byte
	tasks   sync.WaitGroup
	carried sync.WaitGroup // the Ends that carry
}

const client, session = 0, 1

// newLink returns a link on which a relay has been asked for and is accepted.
func newLink(t *testing.T, lost func(from int, f *Frame) bool) *link {
	l := &link{t: t, lost: lost, queue: [2]chan []byte{make(chan []byte, 1<<16), make(chan []byte, 1<<16)}}
	l.ends[client] = New(l.config(client))
	l.ends[client].Ask([]byte("id"), []byte("GET"), clientAddr, clientAddr.Addr())
	f := l.take(client)
	if string(f.Session) != "id" || string(f.Data) != "GET" || f.Peer != clientAddr {
		t.Fatalf("asked with %+v", f)
	}
	l.ends[session] = Accept(l.config(session), &f)
	for from := range l.queue {
		l.tasks.Go(func() { l.deliver(from) })
	}
	t.Cleanup(func() {
		l.carried.Wait() // they publish to the end
		for from := range l.queue {
			close(l.queue[from])
		}
		l.tasks.Wait()
		if n := l.held.Load(); n != 0 {
			t.Errorf("%d bytes count as held", n)
		}
	})
	return l
}

func (l *link) config(from int) Config {
	return Config{MaxBody: 8 << 10, Held: &l.held, Publish: func(f *Frame) bool {
		if l.lost != nil && l.lost(from, f) {
			return true
		}
		body, fields := f.Append(nil)
		if len(body)-len(f.Data) > Overhead && len(f.Session) == 0 || len(body) > 8<<10 {
			l.t.Errorf("a body of %d bytes with %d of data", len(body), len(f.Data))
		}
		l.queue[from] <- append([]byte{byte(fields)}, body...)
		return true
	}}
}

func (l *link) take(from int) Frame {
	packet := <-l.queue[from]
	f, err := Read(packet[1:], uint32(packet[0]))
	if err != nil {
		l.t.Fatal(err)
	}
	return f
}

func (l *link) deliver(from int) {
	for packet := range l.queue[from] {
		f, err := Read(packet[1:], uint32(packet[0]))
		if err != nil {
			l.t.Error(err)
		}
		l.ends[1-from].Receive(&f)
	}
}

// carry has an End carry one end of a pair, and returns the other one.
func (l *link) carry(which int, rest string) *net.UnixConn {
	pair := newPair(l.t)
	l.carried.Go(func() { l.ends[which].Carry(pair[0], []byte(rest)) })
	return pair[1]
}

func newPair(t *testing.T) (pair [2]*net.UnixConn) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		defer f.Close()
		c, err := net.FileConn(f)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		pair[i] = c.(*net.UnixConn)
		pair[i].SetDeadline(time.Now().Add(patience))
	}
	return pair
}

func exchange(t *testing.T, from, to net.Conn, bytes string) {
	t.Helper()
	if _, err := io.WriteString(from, bytes); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(bytes))
	if _, err := io.ReadFull(to, got); err != nil || string(got) != bytes {
		t.Fatalf("got %.100q, %v, want %.100q", got, err, bytes)
	}
}

func expectEnd(t *testing.T, c net.Conn, before string) {
	t.Helper()
	if got, err := io.ReadAll(c); err != nil && !errors.Is(err, unix.ECONNRESET) || string(got) != before {
		t.Fatalf("got %.100q at the end, %v", got, err)
	}
}

func TestBytesAndTheirEndsGoBothWays(t *testing.T) {
	for _, first := range []int{client, session} {
		t.Run(fmt.Sprint("first to end ", first), func(t *testing.T) {
			l := newLink(t, nil)
			atSession := l.carry(session, "")
			exchange2 := []*net.UnixConn{nil, atSession}
			if _, err := atSession.Write([]byte("101")); err != nil {
				t.Fatal(err)
			}
			<-l.ends[client].Answered()
			atClient := l.carry(client, "early")
			exchange2[0] = atClient
			buf := make([]byte, 5)
			if _, err := io.ReadFull(atSession, buf); err != nil || string(buf) != "early" {
				t.Fatalf("%q %v", buf, err)
			}
			if _, err := io.ReadFull(atClient, buf[:3]); err != nil || string(buf[:3]) != "101" {
				t.Fatalf("%q %v", buf, err)
			}
			exchange(t, atClient, atSession, "up")
			exchange(t, atSession, atClient, "down")
			one, other := exchange2[first], exchange2[1-first]
			one.CloseWrite()
			expectEnd(t, other, "")
			exchange(t, other, one, "after the end of the other direction")
			other.Close()
			expectEnd(t, one, "")
			one.Close()
		})
	}
}

// Whoever closes with bytes that were not read loses none of those that it has written.
func TestTheLastBytesArriveThoughTheSessionIsClosed(t *testing.T) {
	l := newLink(t, nil)
	atSession, last := l.carry(session, ""), bytes.Repeat([]byte("last"), 10_000)
	if _, err := atSession.Write([]byte("101")); err != nil {
		t.Fatal(err)
	}
	<-l.ends[client].Answered()
	atClient := l.carry(client, "")
	exchangeUp := bytes.Repeat([]byte("x"), 1000)
	if _, err := atClient.Write(exchangeUp); err != nil {
		t.Fatal(err)
	}
	one := make([]byte, 1)
	if _, err := io.ReadFull(atSession, one); err != nil {
		t.Fatal(err)
	}
	l.tasks.Go(func() {
		atSession.Write(last)
		atSession.Close() // 999 bytes are not read
	})
	time.AfterFunc(0, func() { atClient.Write(exchangeUp) })
	expectEnd(t, atClient, "101"+string(last))
	atClient.Close()
}

// Another transport has replaced it before its greeting: that tells nothing of the session.
func TestATransportThatEndsWithoutAByteIsBroken(t *testing.T) {
	l := newLink(t, nil)
	l.carry(session, "").Close()
	<-l.ends[client].Answered()
	if why := l.ends[client].Why(); why != Broken {
		t.Errorf("ended: %d", why)
	}
}

func TestALostPacketEndsTheRelayOnBothSides(t *testing.T) {
	for _, from := range []int{client, session} {
		t.Run(fmt.Sprint("from ", from), func(t *testing.T) {
			var lose atomic.Bool
			l := newLink(t, func(f int, frame *Frame) bool { return f == from && lose.Load() && string(frame.Data) == "lost" })
			atSession := l.carry(session, "")
			if _, err := atSession.Write([]byte("101")); err != nil {
				t.Fatal(err)
			}
			<-l.ends[client].Answered()
			atClient := l.carry(client, "")
			if _, err := io.ReadFull(atClient, make([]byte, 3)); err != nil {
				t.Fatal(err)
			}
			lose.Store(true)
			conns := []*net.UnixConn{atClient, atSession}
			conns[from].Write([]byte("lost")) // nothing follows but the probe
			expectEnd(t, conns[1-from], "")
			expectEnd(t, conns[from], "")
			torn := l.ends[1-from].Stats().Torn
			if !torn || l.ends[from].Why() != Broken {
				t.Errorf("torn %v, the other end %d", torn, l.ends[from].Why())
			}
		})
	}
}

func TestAClientThatDoesNotReadStopsTheSessionAndNobodyElse(t *testing.T) {
	l := newLink(t, nil)
	atSession := l.carry(session, "")
	if _, err := atSession.Write([]byte("101")); err != nil {
		t.Fatal(err)
	}
	<-l.ends[client].Answered()
	atClient := l.carry(client, "")
	for _, c := range []*net.UnixConn{atSession, atClient} {
		c.SetWriteBuffer(1)
	}
	size := 4 << 20
	payload := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(payload)
	l.tasks.Go(func() {
		if _, err := atSession.Write(payload); err != nil {
			t.Error(err)
		}
		atSession.CloseWrite()
	})
	for until := time.Now().Add(patience); l.ends[client].Holds() < Window/2; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("nothing waits")
		}
	}
	exchange(t, atClient, atSession, "the other direction is free")
	if n := l.held.Load(); n > 2*Window {
		t.Errorf("%d bytes are held", n)
	}
	got, err := io.ReadAll(atClient)
	if err != nil || sha256.Sum256(got) != sha256.Sum256(append([]byte("101"), payload...)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	atClient.Close()
	expectEnd(t, atSession, "")
}

func TestABrokenRelayEndsWhateverWaits(t *testing.T) {
	l := newLink(t, nil)
	atSession := l.carry(session, "")
	atSession.Write([]byte("101"))
	<-l.ends[client].Answered()
	atClient := l.carry(client, "")
	l.tasks.Go(func() { atSession.Write(make([]byte, 4<<20)) }) // until it breaks
	for until := time.Now().Add(patience); l.ends[client].Holds() < Window/2; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("nothing waits")
		}
	}
	l.ends[session].Lost()
	if got, err := io.ReadAll(atClient); err != nil && !errors.Is(err, unix.ECONNRESET) || len(got) >= 4<<20 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if !l.ends[session].Stats().Torn || l.ends[client].Why() != Broken {
		t.Error("not broken")
	}
}

func TestWhatIsDroppedByTheBusEndsTheRelay(t *testing.T) {
	var held atomic.Int64
	e := New(Config{Publish: func(*Frame) bool { return false }, MaxBody: 1 << 10, Held: &held})
	e.Ask([]byte("id"), nil, clientAddr, clientAddr.Addr())
	<-e.Answered()
	if e.Why() != Broken {
		t.Errorf("ended: %d", e.Why())
	}
}

func TestAClientThatDoesNotCloseIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var held atomic.Int64
		e := Accept(Config{Publish: func(*Frame) bool { return true }, MaxBody: 1 << 10, Held: &held}, &Frame{Number: 1, Limit: Window})
		e.Receive(&Frame{Number: 2, Close: Finished})
		time.Sleep(lingerFor - time.Nanosecond)
		if e.Why() != Open {
			t.Error("too early")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if e.Why() != Broken {
			t.Errorf("ended: %d", e.Why())
		}
	})
}

// A frame without data follows what was sent last, once: it shows a loss.
func TestAQuietRelayIsProbedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var held atomic.Int64
		var frames []Frame
		e := Accept(Config{MaxBody: 1 << 10, Held: &held, Publish: func(f *Frame) bool {
			frames = append(frames, *f)
			return true
		}}, &Frame{Number: 1, Limit: Window})
		for range 3 {
			e.sendAll([]byte("x"), Open)
		}
		time.Sleep(time.Hour)
		e.Break(Broken)
		if n := len(frames); n != 5 || frames[3].Number != 4 || frames[3].Limit != Window || len(frames[3].Data) != 0 {
			t.Errorf("%+v", frames)
		}
	})
}
