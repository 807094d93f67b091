package connlimit

import (
	"io"
	"net"
	"testing"
	"time"
)

func TestADeadlineIsPutOffByTheTimeInWhichTheProcessDidNotRun(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	c := &Conn{Conn: ours}
	buf := make([]byte, 10)
	soon := func() time.Time { return time.Now().Add(time.Millisecond) }

	c.SetDeadline(soon())
	if _, err := c.Read(buf); !timedOut(err) {
		t.Errorf("reading by the wall's clock: %v", err)
	}
	if _, err := c.Write(buf); !timedOut(err) {
		t.Errorf("writing by the wall's clock: %v", err)
	}

	// By this clock no time passes.
	asked := make(chan struct{}, 100)
	c.clock = func() time.Duration {
		select {
		case asked <- struct{}{}:
		default:
		}
		return 0
	}
	c.SetReadDeadline(soon())
	go func() {
		for range 3 {
			<-asked
		}
		io.WriteString(theirs, "late")
	}()
	if n, err := c.Read(buf); string(buf[:n]) != "late" || err != nil {
		t.Errorf("reading: %q, %v", buf[:n], err)
	}
	for len(asked) > 0 {
		<-asked
	}
	c.SetWriteDeadline(soon())
	read := make(chan string)
	go func() {
		for range 3 {
			<-asked
		}
		b := make([]byte, 8)
		io.ReadFull(theirs, b)
		read <- string(b)
	}()
	if n, err := c.Write([]byte("answered")); n != 8 || err != nil {
		t.Errorf("writing: %d, %v", n, err)
	}
	if got := <-read; got != "answered" {
		t.Errorf("there came %q", got)
	}

	began := time.Now()
	c.clock = func() time.Duration { return time.Since(began) }
	c.SetDeadline(soon())
	if _, err := c.Read(buf); !timedOut(err) {
		t.Errorf("reading after a time awake: %v", err)
	}
	if _, err := c.Write(buf); !timedOut(err) {
		t.Errorf("writing after a time awake: %v", err)
	}
	c.SetReadDeadline(time.Unix(1, 0)) // how others end a read
	if _, err := c.Read(buf); !timedOut(err) {
		t.Errorf("reading what was ended: %v", err)
	}
}

// armed counts how often its deadlines are set.
type armed struct {
	net.Conn
	reads, writes int
}

func (c *armed) SetReadDeadline(t time.Time) error {
	c.reads++
	return c.Conn.SetReadDeadline(t)
}

func (c *armed) SetWriteDeadline(t time.Time) error {
	c.writes++
	return c.Conn.SetWriteDeadline(t)
}

func TestASocketsDeadlineIsSetOnlyIfItWouldComeTooLate(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	began := time.Now()
	socket := &armed{Conn: ours}
	c := &Conn{Conn: socket, clock: func() time.Duration { return time.Since(began) }}
	for range 10 {
		c.SetReadDeadline(time.Now().Add(time.Hour))
		c.SetReadDeadline(time.Now().Add(time.Minute))
		c.SetWriteDeadline(time.Now().Add(time.Minute))
	}
	if socket.reads != 2 || socket.writes != 1 {
		t.Errorf("the socket's deadlines were set %d and %d times, should be 2 and 1", socket.reads, socket.writes)
	}

	c.SetReadDeadline(time.Time{})
	c.SetWriteDeadline(time.Time{})
	if socket.reads != 3 || socket.writes != 2 {
		t.Error("a deadline is not taken away")
	}
	c.SetReadDeadline(time.Now().Add(time.Minute))
	if socket.reads != 4 {
		t.Error("there is no deadline where there was none")
	}
}

func TestASocketsDeadlineThatComesTooEarlyIsPutOff(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	began := time.Now()
	socket := &armed{Conn: ours}
	c := &Conn{Conn: socket, clock: func() time.Duration { return time.Since(began) }}
	c.SetDeadline(time.Now().Add(-time.Second)) // the socket's, which has passed
	c.SetDeadline(time.Now().Add(time.Minute))
	if socket.reads != 1 || socket.writes != 1 {
		t.Fatal("this tests nothing: the later deadline is the socket's")
	}
	go io.WriteString(theirs, "here")
	b := make([]byte, 4)
	if n, err := c.Read(b); string(b[:n]) != "here" || err != nil {
		t.Errorf("Read = %q, %v", b[:n], err)
	}
	read := make(chan string, 1)
	go func() {
		b := make([]byte, 5)
		io.ReadFull(theirs, b)
		read <- string(b)
	}()
	if n, err := c.Write([]byte("there")); n != 5 || err != nil {
		t.Errorf("Write = %d, %v", n, err)
	}
	if got := <-read; got != "there" {
		t.Errorf("there came %q", got)
	}
}
