package load

import (
	"bufio"
	"net"
	"testing"
)

func TestLapsDivideTheTrafficAndLoseNothing(t *testing.T) {
	c := connect(t, Config{Target: echoServer(t), Threads: 2}, 10)
	x := c.Start(Traffic{Message: bare(t, 64)})
	x.Begin()
	var recorded int64
	var messages uint64
	for lap := range uint64(3) {
		until(t, c, (lap+1)*100)
		r := x.Lap()
		if r.Failures != 0 || r.Messages == 0 || r.Latency.TotalCount() == 0 || r.Elapsed <= 0 {
			t.Errorf("lap %d: %+v", lap, r)
		}
		recorded += r.Latency.TotalCount()
		messages += r.Messages
	}
	r := x.End()
	recorded += r.Latency.TotalCount()
	messages += r.Messages
	if r.Failures != 0 || messages < 300 {
		t.Errorf("%d messages in all, %d failures", messages, r.Failures)
	}
	// What was under way when the recording began or ended may be missing.
	if most := int64(messages) + 20; recorded < int64(messages)-20 || recorded > most {
		t.Errorf("%d of %d messages were recorded", recorded, messages)
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
	for range 100 { // the worker has to see it first
		if failures += x.Lap().Failures; failures > 0 {
			break
		}
	}
	if r := x.End(); failures != 1 || r.Failures != 0 {
		t.Errorf("%d failures in laps, %d at the end", failures, r.Failures)
	}
}
