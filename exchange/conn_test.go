package exchange

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestConnMovesMoreThanASocketHoldsBothWays(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		a, b := pair(t, network)
		ours, theirs := NewConn(a), NewConn(b)
		if _, ok := ours.(*Conn); !ok {
			t.Fatalf("%s: a %T is not what NewConn should make", network, ours)
		}
		sent := make([]byte, 9<<20)
		rand.Read(sent)
		var work sync.WaitGroup
		for _, ends := range [][2]net.Conn{{ours, theirs}, {theirs, ours}} {
			work.Go(func() {
				if n, err := ends[0].Write(sent); n != len(sent) || err != nil {
					t.Errorf("%s: Write = %d, %v", network, n, err)
				}
			})
			work.Go(func() {
				got := make([]byte, len(sent))
				if _, err := io.ReadFull(ends[1], got); err != nil {
					t.Errorf("%s: Read: %v", network, err)
				}
				if !bytes.Equal(got, sent) {
					t.Errorf("%s: other bytes arrive than were written", network)
				}
			})
		}
		work.Wait()
	}
}

func TestDeadlinesEndReadsAndWritesOfConn(t *testing.T) {
	a, _ := pair(t, "tcp")
	c := NewConn(a)
	c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read = %d, %v after its deadline", n, err)
	}
	big := make([]byte, 64<<20)
	c.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	n, err := c.Write(big)
	if n == len(big) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write = %d, %v, of %d bytes that nobody reads", n, err, len(big))
	}
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("%v is no timeout", err)
	}
	c.SetWriteDeadline(time.Time{})
	if n, err := c.Write(nil); n != 0 || err != nil {
		t.Errorf("Write of nothing = %d, %v", n, err)
	}
}

func TestCloseEndsReadsAndWritesOfConn(t *testing.T) {
	a, _ := pair(t, "tcp")
	c := NewConn(a)
	var work sync.WaitGroup
	for _, do := range []func() error{
		func() error { _, err := c.Read(make([]byte, 1)); return err },
		func() error { _, err := c.Write(make([]byte, 64<<20)); return err },
	} {
		work.Go(func() {
			if err := do(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%v after Close", err)
			}
		})
	}
	c.Close()
	work.Wait()
}

func TestConnTellsHowTheOtherEndEnded(t *testing.T) {
	a, b := pair(t, "tcp")
	c := NewConn(a)
	b.Close()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("Read = %d, %v at the end", n, err)
	}

	a, b = pair(t, "tcp")
	c = NewConn(a)
	b.(*net.TCPConn).SetLinger(0)
	b.Close()
	await(t, a)
	if _, err := c.Write([]byte("x")); !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) {
		t.Errorf("Write: %v after a reset", err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("Read has no error after a reset")
	}
}

func TestConnOfNoDescriptorIsTheConnectionItself(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if c := NewConn(a); c != a {
		t.Errorf("NewConn = %T", c)
	}
}

func TestASocketCanUseAConn(t *testing.T) {
	a, b := pair(t, "tcp")
	s := socketOf(t, NewConn(a))
	b.Write([]byte("x"))
	if n, err := s.Read(make([]byte, 16)); n != 1 || err != nil {
		t.Errorf("Read = %d, %v", n, err)
	}
}

func TestReadsAndWritesOfConnAllocateNothing(t *testing.T) {
	a, b := pair(t, "tcp")
	ours, theirs := NewConn(a), NewConn(b)
	message, buffer := []byte("hello"), make([]byte, 16)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := ours.Write(message); err != nil {
			t.Fatal(err)
		}
		if _, err := theirs.Read(buffer); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%g allocations", n)
	}
}
