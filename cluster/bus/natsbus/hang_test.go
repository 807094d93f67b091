package natsbus

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"ws-gateway/cluster/bus"
)

// silent is a server that speaks to its first client alone: later ones are connected, and
// hear nothing.
type silent struct {
	net.Listener
	later chan net.Conn
}

func startSilent(t *testing.T) (s *silent, first func() net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s = &silent{Listener: l, later: make(chan net.Conn)}
	conns, done := make(chan net.Conn, 1), make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			if n == 0 {
				go serve(c)
				conns <- c
				continue
			}
			select {
			case s.later <- c:
			case <-t.Context().Done():
			}
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return s, func() net.Conn { return <-conns }
}

// lose returns a bus that has lost such a server, to which it tries to connect again.
func lose(t *testing.T) (s *silent, a *end) {
	s, first := startSilent(t)
	a = connect(t, "nats://"+s.Addr().String(), 1, nil)
	a.expect(bus.Up)
	first().Close()
	a.expect(bus.Down)
	return s, a
}

// A client is locked while it waits for what a server says first.
func TestHowLongAPacketMayBeIsSaidWhileTheServerHangs(t *testing.T) {
	t.Parallel()
	s, a := lose(t)
	for range 5 { // whoever waits for the client waits for dialTimeout each time
		<-s.later
		asked := time.Now()
		if n := a.MaxPacket(); n != maxPacket {
			t.Fatalf("a packet may have %d bytes", n)
		}
		if time.Since(asked) < dialTimeout/2 {
			return
		}
	}
	t.Error("it is said when the client has given up")
}

func TestAConnectionOnWhichAServerSaysNothingIsNotKept(t *testing.T) {
	t.Parallel()
	s, _ := lose(t)
	before := <-s.later
	<-s.later // the next attempt
	before.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.Copy(io.Discard, before); err != nil {
		t.Errorf("it has not ended: %v", err)
	}
}

// The client says so of a write that finds the connection closed: that it is, is told by itself.
func TestALostConnectionIsNotSomethingThatNATSComplainsOf(t *testing.T) {
	e := &end{t: t, more: make(chan struct{}, 1)}
	b := &Bus{cfg: Config{Log: zerolog.New(e)}}
	for _, err := range []error{net.ErrClosed, os.ErrDeadlineExceeded, os.NewSyscallError("write", unix.EPIPE)} {
		b.complained(&net.OpError{Op: "raw-write", Net: "tcp", Err: err})
	}
	if log := e.logged(); log != "" {
		t.Errorf("logged\n%s", log)
	}
	b.complained(&net.OpError{Op: "remote error", Err: tls.AlertError(116)})
	if log := e.logged(); !strings.Contains(log, "tls: certificate required") {
		t.Errorf("logged\n%s", log)
	}
}

// NATS's library calls nobody for it.
func TestWhyAServerThatWasLostCannotBeConnectedToIsToldOnce(t *testing.T) {
	t.Parallel()
	s, a := lose(t)
	const why = "first record does not look like a TLS handshake"
	for further := 3; further > 0; { // attempts after it was told
		c := <-s.later
		fmt.Fprint(c, `INFO {"server_id":"x","version":"2.15.0","proto":1,"tls_required":true}`+"\r\n")
		c.Read(make([]byte, 1)) // it has begun with TLS
		fmt.Fprint(c, "this is no TLS\r\n")
		c.(*net.TCPConn).CloseWrite()
		if strings.Contains(a.logged(), why) {
			further--
		}
	}
	go serve(<-s.later)
	a.expect(bus.Up)
	log := a.logged()
	for told, times := range map[string]int{why: 1, "NATS cannot be connected to": 1, "NATS is not reached": 1, "connected to NATS": 2, "complains": 0} {
		if strings.Count(log, told) != times {
			t.Errorf("%q is not logged %d times:\n%s", told, times, log)
		}
	}
}
