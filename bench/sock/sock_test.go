package sock

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func accepting(t *testing.T) (target netip.AddrPort, accept func() net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return netip.MustParseAddrPort(l.Addr().String()), func() net.Conn {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
}

func TestASocketComesFromItsSourceWithItsBuffer(t *testing.T) {
	target, accept := accepting(t)
	fd, err := Dial(target, netip.MustParseAddr("127.0.3.7"), 4096)
	if err != nil {
		t.Fatal(err)
	}
	defer HangUp(fd)
	if from := accept().RemoteAddr().(*net.TCPAddr).IP.String(); from != "127.0.3.7" {
		t.Errorf("it comes from %s", from)
	}
	size, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil || size > 2*4096 {
		t.Errorf("a receive buffer of %d bytes, %v", size, err)
	}
}

func TestAHungUpSocketIsReset(t *testing.T) {
	target, accept := accepting(t)
	fd, err := Dial(target, netip.Addr{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := accept()
	HangUp(fd)
	if _, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("the other end read: %v", err)
	}
}

func TestAPollerNamesTheConnectionThatHasSomething(t *testing.T) {
	target, accept := accepting(t)
	fd, err := Dial(target, netip.Addr{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer HangUp(fd)
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Add(fd, 41, unix.EPOLLIN); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(fd, make([]byte, 8)); !WouldBlock(err) {
		t.Errorf("reading before anything has come: %v", err)
	}
	c := accept()
	io.WriteString(c, "hello")
	events, err := p.Wait(10 * time.Minute)
	if err != nil || len(events) != 1 || events[0].Fd != 41 {
		t.Fatalf("%v, %v", events, err)
	}
	buf := make([]byte, 8)
	if n, err := Read(fd, buf); err != nil || string(buf[:n]) != "hello" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	c.Close()
	if _, err := p.Wait(10 * time.Minute); err != nil {
		t.Fatal(err)
	}
	if n, err := Read(fd, buf); n != 0 || err != nil {
		t.Errorf("at the end: %d, %v", n, err)
	}
}
