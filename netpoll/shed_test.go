package netpoll

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// begin opens a connection and sends the start of a head.
func begin(t *testing.T, s *Server, addr, start string) net.Conn {
	t.Helper()
	before := s.Stats().Accepted
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, start)
	awaitStats(t, s, "the connection to be taken", adopted(before+1))
	return c
}

// upgrades sends the rest of a head and requires a 101.
func upgrades(t *testing.T, c net.Conn, rest string) {
	t.Helper()
	io.WriteString(c, rest)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
}

func TestOneHandshakeTooManyEndsTheOldest(t *testing.T) {
	s, addr := startServer(t, Config{Handler: newRecorder(), Loops: 1, MaxHandshaking: 3})
	const started = len("GET /ws HTTP/1.1\r\n")
	oldest := begin(t, s, addr, testHandshake[:started])
	second := begin(t, s, addr, "")
	third := begin(t, s, addr, testHandshake[:started])
	fourth := begin(t, s, addr, "")
	if n, err := oldest.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the oldest is still there: %v", err)
	}
	upgrades(t, second, testHandshake)
	upgrades(t, third, testHandshake[started:])
	for range 2 {
		dialRaw(t, addr) // there is room again
	}
	upgrades(t, fourth, testHandshake)
	awaitStats(t, s, "all to be open", func(n Stats) bool { return n.Open == 5 })
	if n := s.Stats(); n.HandshakeDrops != 1 || n.HandshakeExpiry != 0 || n.Handshaking != 0 {
		t.Errorf("%+v", n)
	}
}

// A crowd whose heads lie unread in the kernel while more of it is adopted: the
// loop is kept busy until all of them have come.
func TestNobodyIsDroppedWhoseHeadHasArrived(t *testing.T) {
	s, addr := startServer(t, Config{Handler: newRecorder(), Loops: 1, MaxHandshaking: 2})
	busy := make(chan struct{})
	released, release := context.WithCancel(t.Context())
	s.Loops()[0].Post(func(*Loop) bool { close(busy); <-released.Done(); return false })
	<-busy
	var crowd []net.Conn
	for range 50 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, testHandshake)
		crowd = append(crowd, c)
	}
	release()
	for _, c := range crowd {
		upgrades(t, c, "")
	}
	if n := s.Stats().HandshakeDrops; n != 0 {
		t.Errorf("%d were dropped", n)
	}
}

func TestAShortageEndsHandshakesThatHaveHadTheirTimeAndNoOthers(t *testing.T) {
	s, addr := startServer(t, Config{Handler: newRecorder(), Loops: 1, HandshakeTimeout: time.Hour})
	shed := func(ahead uint32) {
		done := make(chan struct{})
		s.Loops()[0].Post(func(l *Loop) bool {
			defer close(done)
			l.now += ahead
			return l.shed()
		})
		<-done
	}
	begin(t, s, addr, "GET")
	begin(t, s, addr, "")
	arrived := begin(t, s, addr, "")
	open := dialRaw(t, addr)
	shed(0)
	awaitStats(t, s, "nobody to be dropped too early", func(n Stats) bool { return n.HandshakeDrops == 0 && n.Open == 1 && n.Handshaking == 3 })
	done := make(chan struct{})
	s.Loops()[0].Post(func(l *Loop) bool {
		defer close(done)
		l.now += 100
		io.WriteString(arrived, testHandshake) // in the kernel before this returns
		return l.shed()
	})
	<-done
	upgrades(t, arrived, "")
	young := begin(t, s, addr, "")
	shed(0)
	upgrades(t, young, testHandshake)
	awaitStats(t, s, "the end", func(n Stats) bool { return n.HandshakeDrops == 2 && n.Open == 3 && n.Handshaking == 0 })
	open.Close()
	shed(1000) // nothing is left to shed
}
