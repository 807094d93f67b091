package natsbus

import (
	"crypto/tls"
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

// A client is locked while it waits for what a server says first.
func TestHowLongAPacketMayBeIsSaidWhileTheServerHangs(t *testing.T) {
	t.Parallel()
	s, first := startSilent(t)
	a := connect(t, "nats://"+s.Addr().String(), 1, nil)
	a.expect(bus.Up)
	first().Close()
	a.expect(bus.Down)
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
	s, first := startSilent(t)
	a := connect(t, "nats://"+s.Addr().String(), 1, nil)
	a.expect(bus.Up)
	first().Close()
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
