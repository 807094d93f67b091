package netpoll

import (
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// connectRaw opens n connections that say nothing. The kernel takes them, whether
// they are accepted or not.
func connectRaw(t *testing.T, addr string, n int) {
	t.Helper()
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
}

// awaitStats waits until cond likes the server's counters.
func awaitStats(t *testing.T, s *Server, what string, cond func(Stats) bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for !cond(s.Stats()) {
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("waited in vain for: %s; %+v", what, s.Stats())
		}
	}
}

func adopted(n uint64) func(Stats) bool { return func(s Stats) bool { return s.Accepted == n } }

func TestConnectionsOverTheAcceptRateWaitInTheBacklog(t *testing.T) {
	var elapsed atomic.Int64
	s, err := New(Config{Handler: newRecorder(), Loops: 2, AcceptRate: 50, AcceptBurst: 5})
	if err != nil {
		t.Fatal(err)
	}
	s.acceptor.clock = func() time.Duration { return time.Duration(elapsed.Load()) }
	addr, err := s.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Stop(testContext(t))
	connectRaw(t, addr.String(), 20)
	awaitStats(t, s, "the burst", adopted(5))
	for n := uint64(6); n <= 12; n++ {
		elapsed.Add(int64(20 * time.Millisecond))
		awaitStats(t, s, "one more", adopted(n))
	}
	if n := s.Stats().AcceptWaits; n == 0 {
		t.Error("no wait is counted")
	}
	elapsed.Add(int64(time.Hour))
	awaitStats(t, s, "another burst", adopted(17))
	elapsed.Add(int64(time.Hour))
	awaitStats(t, s, "the rest", adopted(20))
	if n := s.Stats().AcceptErrors; n != 0 {
		t.Errorf("%d errors are counted", n)
	}
}

func TestTheAcceptRateIsKeptToInRealTime(t *testing.T) {
	const rate, burst, connections = 100, 10, 60
	s, addr := startServer(t, Config{Handler: newRecorder(), AcceptRate: rate, AcceptBurst: burst})
	start := time.Now()
	connectRaw(t, addr, connections)
	awaitStats(t, s, "all", adopted(connections))
	if took, least := time.Since(start), (connections-burst-1)*time.Second/rate; took < least {
		t.Errorf("%d connections were taken in %v, at the rate it is %v at least", connections, took, least)
	}
}

func TestWithoutAnAcceptRateNobodyWaits(t *testing.T) {
	s, addr := startServer(t, Config{Handler: newRecorder()})
	connectRaw(t, addr, 300)
	awaitStats(t, s, "all", adopted(300))
	if n := s.Stats().AcceptWaits; n != 0 {
		t.Errorf("%d waits are counted", n)
	}
}
