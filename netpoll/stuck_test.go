package netpoll

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// stuckLoop holds the loop of s until release, with a full mailbox.
func stuckLoop(t *testing.T, s *Server) (release func()) {
	t.Helper()
	held := make(chan struct{})
	released, release := context.WithCancel(t.Context())
	l := s.Loops()[0]
	if err := l.Post(func(*Loop) bool { close(held); <-released.Done(); return false }); err != nil {
		t.Fatal(err)
	}
	<-held
	for l.PostContext(atOnce, noTask) == nil {
	}
	return release
}

func TestAFullMailboxIsWaitedForAsLongAsTheContextLasts(t *testing.T) {
	m := newMailbox(func() {})
	for range maxTasks {
		if err := m.post(t.Context(), noTask); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.post(atOnce, noTask); !errors.Is(err, context.Canceled) {
		t.Errorf("at once: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	refused := make(chan error)
	for range 3 {
		go func() { refused <- m.post(ctx, noTask) }()
	}
	cancel(nil)
	for range 3 {
		if err := <-refused; !errors.Is(err, context.Canceled) {
			t.Errorf("after the end of its context: %v", err)
		}
	}
	if n := len(m.take(nil)); n != maxTasks {
		t.Errorf("%d tasks were taken", n)
	}
	if err := m.post(atOnce, noTask); err != nil {
		t.Errorf("with room: %v", err)
	}
}

func TestStopReturnsAlthoughALoopHangsWithAFullMailbox(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	s, err := New(Config{Handler: h, Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	addr, err := s.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	release := stuckLoop(t, s)
	defer s.running.Wait()
	defer release()
	// The acceptor has somebody for the loop, too.
	for range 3 {
		c, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	stopped := make(chan error)
	go func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		stopped <- s.Stop(ctx)
	}()
	select {
	case err := <-stopped:
		if !errors.Is(err, ErrStuck) || !errors.Is(err, context.Canceled) {
			t.Errorf("Stop: %v", err)
		}
	case <-time.After(patience):
		t.Error("Stop waits for a loop that hangs")
	}
}

func TestPressureEndsAlthoughNoMailboxHasRoom(t *testing.T) {
	h := newRecorder()
	s, addr := startServer(t, Config{Handler: h, Loops: 1})
	c := dial(t, addr)
	h.await(t, "open", func() bool { return len(h.opened) == 1 })
	s.SetPressure(true)
	if err := c.Write(testContext(t), websocket.MessageText, []byte("waits")); err != nil {
		t.Fatal(err)
	}
	paused := make(chan struct{})
	s.Loops()[0].Post(func(l *Loop) bool {
		if c := l.Lookup(h.opened[0]); c == nil || !c.Paused() {
			return true
		}
		close(paused)
		return false
	})
	<-paused
	release := stuckLoop(t, s)
	s.SetPressure(false) // returns
	release()
	if _, got, err := c.Read(testContext(t)); string(got) != "waits" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
