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
