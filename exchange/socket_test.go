package exchange

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair is a connection's two ends. Ours is the one that was accepted: it was connected when
// the poller got it, and has seen no event yet.
func pair(t *testing.T, network string) (ours, theirs net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "socket")
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	theirs, err = net.Dial(network, ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close() })
	ours, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	return ours, theirs
}

func socketOf(t *testing.T, c net.Conn) *Socket {
	t.Helper()
	s := new(Socket)
	s.Use(c)
	if !s.Usable() {
		t.Fatal("there is no socket")
	}
	return s
}

// await returns when something has come on c.
func await(t *testing.T, c net.Conn) {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Read(Pending); err != nil {
		t.Fatal(err)
	}
}

// answer answers each question with answer, until the other end closes.
func answer(c net.Conn, question, answer string) <-chan error {
	done := make(chan error, 1)
	go func() {
		b, reply := make([]byte, len(question)), []byte(answer)
		for {
			if _, err := io.ReadFull(c, b); err != nil {
				done <- err
				return
			}
			if string(b) != question {
				done <- errors.New("there came " + string(b))
				return
			}
			if _, err := c.Write(reply); err != nil {
				done <- err
				return
			}
		}
	}()
	return done
}

func TestAnAnswerIsReadWithoutAReadInVain(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		ours, theirs := pair(t, network)
		s := socketOf(t, ours)
		reads := 0
		s.Receive = func(fd uintptr, p []byte) (int, syscall.Errno) {
			reads++
			return Receive(fd, p)
		}
		done := answer(theirs, "question", "answer")
		b := make([]byte, 100)
		for i := range 3 {
			sent, n, err := s.Exchange([]byte("question"), b)
			if sent != len("question") || string(b[:n]) != "answer" || err != nil {
				t.Errorf("%s: %d, %q, %v", network, sent, b[:n], err)
			}
			if i == 0 && reads != 1 { // later there may be an event that the runtime has not looked at before
				t.Errorf("%s: %d reads for one answer", network, reads)
			}
		}
		ours.Close()
		if err := <-done; err != io.EOF {
			t.Errorf("%s: %v", network, err)
		}
	}
}

func TestAnAnswerThatComesBeforeTheWaitIsRead(t *testing.T) {
	ours, theirs := pair(t, "tcp")
	s := socketOf(t, ours)
	done := answer(theirs, "question", "answer")
	next := s.step
	s.step = func(fd uintptr) bool {
		wrote := s.sent == 0
		finished := next(fd)
		for wrote && !finished && !Pending(fd) {
		}
		return finished
	}
	b := make([]byte, 100)
	if _, n, err := s.Exchange([]byte("question"), b); string(b[:n]) != "answer" || err != nil {
		t.Errorf("%q, %v", b[:n], err)
	}
	ours.Close()
	<-done
}

func TestNothingIsSentIfSomethingHasComeUnasked(t *testing.T) {
	for name, speak := range map[string]func(c net.Conn){
		"bytes": func(c net.Conn) { io.WriteString(c, "hello") },
		"end":   func(c net.Conn) { c.(*net.TCPConn).CloseWrite() },
	} {
		ours, theirs := pair(t, "tcp")
		s := socketOf(t, ours)
		speak(theirs)
		await(t, ours)
		if sent, n, err := s.Exchange([]byte("question"), make([]byte, 10)); sent != 0 || n != 0 || err != ErrUnasked {
			t.Errorf("%s: %d, %d, %v", name, sent, n, err)
		}
		ours.Close()
		if b, _ := io.ReadAll(theirs); len(b) > 0 {
			t.Errorf("%s: %q was sent", name, b)
		}
	}
}

func TestAnAnswerIsSentWhateverHasComeBefore(t *testing.T) {
	ours, theirs := pair(t, "tcp")
	s := socketOf(t, ours)
	io.WriteString(theirs, "next")
	await(t, ours)
	b := make([]byte, 10)
	if sent, n, err := s.Answer([]byte("answer"), b); sent != len("answer") || string(b[:n]) != "next" || err != nil {
		t.Errorf("%d, %q, %v", sent, b[:n], err)
	}
	got := make([]byte, len("answer"))
	if _, err := io.ReadFull(theirs, got); string(got) != "answer" || err != nil {
		t.Errorf("there came %q, %v", got, err)
	}
}

func TestNothingIsAwaitedAfterTheAnswerIfSentSaysSo(t *testing.T) {
	ours, theirs := pair(t, "tcp")
	s := socketOf(t, ours)
	s.Sent = func() bool { return false }
	if sent, n, err := s.Answer([]byte("answer"), make([]byte, 10)); sent != len("answer") || n != 0 || err != io.EOF {
		t.Errorf("%d, %d, %v", sent, n, err)
	}
	ours.Close()
	if got, err := io.ReadAll(theirs); string(got) != "answer" || err != nil {
		t.Errorf("there came %q, %v", got, err)
	}
}

func TestHowAnExchangeEndsWithoutAnAnswer(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(ours, theirs net.Conn) // when the question has been read
		want error
	}{
		{"the other side ends it", func(_, theirs net.Conn) { theirs.(*net.TCPConn).CloseWrite() }, io.EOF},
		{"the other side breaks it", func(_, theirs net.Conn) {
			theirs.(*net.TCPConn).SetLinger(0)
			theirs.Close()
		}, unix.ECONNRESET},
		{"the deadline passes", func(ours, _ net.Conn) { ours.SetDeadline(time.Now().Add(time.Millisecond)) }, os.ErrDeadlineExceeded},
		{"it is closed", func(ours, _ net.Conn) { ours.Close() }, net.ErrClosed},
	} {
		ours, theirs := pair(t, "tcp")
		s := socketOf(t, ours)
		done := make(chan struct{})
		go func() {
			defer close(done)
			io.ReadFull(theirs, make([]byte, len("question")))
			c.do(ours, theirs)
		}()
		sent, n, err := s.Exchange([]byte("question"), make([]byte, 10))
		if sent != len("question") || n != 0 || !errors.Is(err, c.want) {
			t.Errorf("%s: %d, %d, %v", c.name, sent, n, err)
		}
		<-done
	}
}

func TestAfterTheDeadlineNothingIsSent(t *testing.T) {
	ours, _ := pair(t, "tcp")
	s := socketOf(t, ours)
	ours.SetDeadline(time.Unix(1, 0))
	if sent, _, err := s.Exchange([]byte("question"), make([]byte, 10)); sent != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d, %v", sent, err)
	}
}

func TestWhatTheSocketDoesNotTakeIsLeftToTheCaller(t *testing.T) {
	ours, theirs := pair(t, "tcp")
	s := socketOf(t, ours)
	out := bytes.Repeat([]byte("question"), 4<<20)
	sent, n, err := s.Exchange(out, make([]byte, 10))
	if sent == 0 || sent >= len(out) || n != 0 || err != nil {
		t.Errorf("%d of %d, %d, %v", sent, len(out), n, err)
	}
	ours.Close()
	if b, err := io.ReadAll(theirs); !bytes.Equal(b, out[:sent]) || err != nil {
		t.Errorf("there came %d bytes of %d, %v", len(b), sent, err)
	}
}

func TestAConnectionWithoutADescriptorHasNoSocket(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	var s Socket
	for _, c := range []net.Conn{ours, nil} {
		if s.Use(c); s.Usable() {
			t.Errorf("%v has a socket", c)
		}
	}
}

func TestAnExchangeAllocatesNothing(t *testing.T) {
	ours, theirs := pair(t, "tcp")
	s := socketOf(t, ours)
	done := answer(theirs, "question", "answer")
	out, in := []byte("question"), make([]byte, 100)
	if n := testing.AllocsPerRun(200, func() { s.Exchange(out, in) }); n > 0 { // the other side allocates nothing either
		t.Errorf("%v allocations", n)
	}
	ours.Close()
	<-done
}
