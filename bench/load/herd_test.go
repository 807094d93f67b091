package load

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// counting echoes like echoServer, counts who comes and how they go, and turns
// away the first refuse handshakes.
type counting struct {
	refuse                atomic.Int64
	came, closed, dropped atomic.Int64
}

func (s *counting) serve(t *testing.T) netip.AddrPort {
	ctx, cancel := context.WithCancel(context.Background())
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.refuse.Add(-1) >= 0 {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
		if err != nil {
			return
		}
		defer c.CloseNow()
		s.came.Add(1)
		_ = c.Write(ctx, websocket.MessageText, []byte(strings.Repeat("x", 70_000)))
		_, _, err = c.Read(ctx)
		if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
			s.closed.Add(1)
		} else {
			s.dropped.Add(1)
		}
	}))
	t.Cleanup(h.Close)
	t.Cleanup(cancel)
	return netip.MustParseAddrPort(h.Listener.Addr().String())
}

func herd(t *testing.T, cfg HerdConfig) *Herd {
	t.Helper()
	f, err := NewHerd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func gather(t *testing.T, f *Herd, spread time.Duration) Gathering {
	t.Helper()
	g, err := f.Gather(t.Context(), spread)
	if err != nil {
		t.Fatalf("%v; %+v", err, g)
	}
	return g
}

func TestAHerdComesLeavesAndComesBack(t *testing.T) {
	var s counting
	f := herd(t, HerdConfig{Target: s.serve(t), Conns: 100})
	for round := range int64(2) {
		g := gather(t, f, 0)
		if f.Open() != 100 || g.Opened != 100 || g.Attempts != 100 || g.Refused()+g.Failed+g.Ended != 0 || g.Times.TotalCount() != 100 {
			t.Fatalf("%d are open, %+v", f.Open(), g)
		}
		if stuck, err := f.Leave(t.Context()); err != nil || stuck != 0 || f.Open() != 0 {
			t.Fatalf("%d did not get away, %d are open: %v", stuck, f.Open(), err)
		}
		wait(t, func() bool { return s.closed.Load() == 100*(round+1) })
	}
	gather(t, f, 20*time.Millisecond)
	f.Reset()
	wait(t, func() bool { return s.dropped.Load() == 100 })
	if f.Open() != 0 || s.closed.Load() != 200 {
		t.Errorf("%d are open, %d were closed", f.Open(), s.closed.Load())
	}
}

func TestWhoIsRefusedComesAgainAndIsCounted(t *testing.T) {
	var s counting
	s.refuse.Store(7)
	f := herd(t, HerdConfig{Target: s.serve(t), Conns: 20, Backoff: time.Millisecond, Window: 5})
	g := gather(t, f, 0)
	if g.Opened != 20 || g.Attempts != 27 || g.Refused() != 7 || g.Answers["HTTP/1.1 503 Service Unavailable"] != 7 || g.Failed != 0 {
		t.Errorf("%+v", g)
	}
}

func TestAHerdThatNobodyLetsInSaysWhy(t *testing.T) {
	l, target := listening(t, "127.0.0.1:0")
	l.Close()
	if g := gatherInVain(t, HerdConfig{Target: target, Conns: 2, Backoff: time.Millisecond}, 2); g.Failed < 2 || !strings.Contains(g.Failure, "refused") {
		t.Errorf("%+v", g)
	}
}

// gatherInVain has a herd gather that cannot, for longer and longer until so many of its
// attempts have failed.
func gatherInVain(t *testing.T, cfg HerdConfig, failed int) Gathering {
	t.Helper()
	for longest := 50 * time.Millisecond; ; longest *= 4 {
		f := herd(t, cfg)
		ctx, cancel := context.WithTimeout(t.Context(), longest)
		g, err := f.Gather(ctx, 0)
		cancel()
		if err == nil {
			t.Fatalf("it has gathered: %+v", g)
		}
		if g.Failed >= failed || longest > time.Minute {
			return g
		}
	}
}

func TestAServerThatAnswersNothingIsGivenUpInTime(t *testing.T) {
	_, target := listening(t, "127.0.0.1:0") // it never accepts: the kernel does
	cfg := HerdConfig{Target: target, Conns: 3, Patience: time.Millisecond, Backoff: time.Hour}
	if g := gatherInVain(t, cfg, 3); g.Failed != 3 || !strings.Contains(g.Failure, "no answer in 1ms") {
		t.Errorf("%+v", g)
	}
}

func TestChurnAlternatesAndMessagesAreCounted(t *testing.T) {
	var s counting
	f := herd(t, HerdConfig{Target: s.serve(t), Conns: 10})
	gather(t, f, 0)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan Gathering)
	go func() {
		g, err := f.Churn(ctx, 2_000)
		if err != nil {
			t.Error(err)
		}
		ended <- g
	}()
	wait(t, func() bool { return s.closed.Load() > 20 && s.dropped.Load() > 20 && f.Messages() > 20 })
	cancel()
	g := <-ended
	if g.Opened < 40 || g.Refused()+g.Failed+g.Ended != 0 {
		t.Errorf("%+v", g)
	}
	came := s.came.Load()
	f.Close()
	if n := f.Messages(); int64(n) > came || n == 0 {
		t.Errorf("%d messages of %d connections, each of which was sent one", n, came)
	}
}

func TestConnectionsThatTheServerEndsAreCountedAndComeBack(t *testing.T) {
	var first atomic.Bool
	addr := rawServer(t, func(c net.Conn, _ *bufio.Reader) {
		if !first.Swap(true) {
			c.Write([]byte{0x88, 2, 0x03, 0xe9}) // close, 1001
			return
		}
		c.Write([]byte{0x89, 0, 0x81}) // ping, and a message in pieces
		c.Write([]byte{1})
		c.Write([]byte("x"))
		c.Read(make([]byte, 1))
	})
	f := herd(t, HerdConfig{Target: addr, Conns: 1, Backoff: time.Millisecond})
	gather(t, f, 0)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan Gathering)
	go func() { g, _ := f.Churn(ctx, 0); ended <- g }()
	wait(t, func() bool { return f.Messages() == 1 })
	cancel()
	if g := <-ended; g.Ended != 1 || g.Opened != 1 {
		t.Errorf("%+v", g)
	}
	f.Close() // before the server, which waits for it
}
