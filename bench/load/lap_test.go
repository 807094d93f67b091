package load

import (
	"bufio"
	"net"
	"testing"
)

func TestLapsDivideTheTrafficAndLoseNothing(t *testing.T) {
	c := connect(t, Config{Target: echoServer(t), Threads: 2}, 10)
	x := c.Start(Traffic{Message: bare(t, 64)})
	before := replies(c)
	x.Begin()
	begun := replies(c)
	var recorded int64
	for lap := range 3 {
		until(t, c, replies(c)+100)
		r := x.Lap()
		if r.Failures != 0 || r.Messages == 0 || r.Latency.TotalCount() == 0 || r.Elapsed <= 0 {
			t.Errorf("lap %d: %+v", lap, r)
		}
		recorded += r.Latency.TotalCount()
	}
	ending := replies(c)
	r := x.End()
	recorded += r.Latency.TotalCount()
	if r.Failures != 0 {
		t.Errorf("failures %q", r.Details)
	}
	// Each connection may have had one reply that arrived before Begin and was
	// counted after it.
	if least, most := int64(ending-begun)-10, int64(replies(c)-before); recorded < least || recorded > most {
		t.Errorf("%d messages were recorded, not %d to %d", recorded, least, most)
	}
}

func TestAFailureIsReportedByTheLapInWhichItHappened(t *testing.T) {
	broken := make(chan struct{})
	target := rawServer(t, func(nc net.Conn, in *bufio.Reader) {
		in.ReadByte()
		nc.(*net.TCPConn).SetLinger(0)
		nc.Close()
		close(broken)
	})
	c := connect(t, Config{Target: target}, 1)
	x := c.Start(Traffic{Message: bare(t, 64)})
	x.Begin()
	<-broken
	var failures int
	wait(t, func() bool { // the worker has to see it first
		failures += x.Lap().Failures
		return failures > 0
	})
	if r := x.End(); failures != 1 || r.Failures != 0 {
		t.Errorf("%d failures in laps, %d at the end", failures, r.Failures)
	}
}
