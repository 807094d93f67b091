package chaos

import (
	"bufio"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// session is a connection from the gateway to the App.
type session struct {
	app    *App
	c      *net.TCPConn
	in     *bufio.Reader
	random *rand.Rand
	spoilt bool // bytes that nobody asked for have been sent: what follows is anyone's guess

	mu      sync.Mutex
	last    int  // guarded by mu: the Post read last; -1 for none
	dropped bool // guarded by mu: by the App, from another goroutine
}

func newSession(a *App, c *net.TCPConn, random *rand.Rand) *session {
	return &session{app: a, c: c, in: bufio.NewReaderSize(c, 16<<10), random: random, last: -1}
}

// Shares of cases in which there is a fault.
const (
	shareAtAccept  = 0.05
	shareAtRequest = 0.02
	shareIdle      = 0.04
	shareOfRequest = 0.40
)

// serve reads requests and misbehaves until the connection is over.
func (s *session) serve() {
	defer s.app.forget(s)
	defer s.c.Close()
	defer s.strand()
	if s.roll(atAccept, shareAtAccept) == resetUnasked {
		s.reset(resetUnasked)
		return
	}
	for s.await() {
		switch f := s.roll(atRequest, shareAtRequest); f {
		case resetUnread:
			s.reset(f)
			return
		case hangUnread:
			s.app.log.blind(f, 1)
			s.outwait(true)
			return
		}
		post, err := request(s.in)
		post.At = time.Now()
		if odd := (malformed{}); errors.As(err, &odd) {
			s.app.complain("%v", odd)
			return
		}
		if err != nil {
			if !s.wasDropped() && !s.pipelined() { // the gateway has given up in the middle of it
				s.app.log.waited()
			}
			return
		}
		index := s.enter(post)
		if s.deserted() {
			s.app.log.stale(index, !s.pipelined())
			return
		}
		if !s.answer(index, &post) {
			return
		}
	}
}

// pipelined reports whether requests may follow one another without waiting.
func (s *session) pipelined() bool { return s.app.cfg.Pipeline > 1 }

// strand deals with the requests that were on their way when the connection ends.
func (s *session) strand() {
	if !s.pipelined() {
		return
	}
	s.app.log.blind(none, s.app.cfg.Pipeline)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last >= 0 { // what is unread makes the kernel reset the connection
		s.app.log.doubt(s.last)
	}
}

// roll picks one of the faults that happen to connections.
func (s *session) roll(o odds, share float64) Fault {
	if calm, _ := s.app.mood(); calm || !s.app.cfg.Temper.Connections {
		return none
	}
	return o.pick(s.random, share)
}

// await waits for a request, unless it closes the connection first.
func (s *session) await() (ok bool) {
	fault := s.roll(odds{{closeIdle, 1}}, shareIdle)
	if fault == closeIdle {
		_ = s.c.SetReadDeadline(time.Now().Add(between(s.random, 0, 30*time.Millisecond))) // fails if the connection is gone
	}
	_, err := s.in.Peek(1)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.app.log.blind(closeIdle, 1)
	}
	_ = s.c.SetReadDeadline(time.Time{}) // likewise
	return err == nil
}

// enter logs a Post.
func (s *session) enter(p Post) (index int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = s.app.log.read(p)
	return s.last
}

// deserted reports whether the gateway has ended the connection. Asked once a Post
// has been entered, a no means that the gateway's next attempt will be entered after it.
func (s *session) deserted() (yes bool) {
	raw, err := s.c.SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		yes = n == 0 && err == nil || err != nil && err != unix.EAGAIN
	})
	return yes || err != nil
}

// outwait waits until the gateway gives the connection up. With counts that is
// because it has no answer.
func (s *session) outwait(counts bool) {
	const tooLong = 30 * time.Second
	_ = s.c.SetReadDeadline(time.Now().Add(s.app.cfg.Timeout + tooLong)) // fails if the connection is gone
	_, err := io.Copy(io.Discard, s.in)
	switch {
	case s.wasDropped():
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.app.complain("the gateway waited %v longer than its timeout", tooLong)
	case counts:
		s.app.log.waited()
	}
}

// reset ends the connection so that the gateway's kernel forgets it.
func (s *session) reset(f Fault) {
	s.app.log.blind(f, 1)
	s.cut()
}

func (s *session) cut() {
	_ = s.c.SetLinger(0) // fails if the connection is gone
	_ = s.c.Close()      // likewise
}

// drop ends the connection from another goroutine. What was answered last may not
// arrive.
func (s *session) drop(reset bool) {
	s.app.log.blind(none, 1)
	s.mu.Lock()
	s.dropped = true
	if s.last >= 0 {
		s.app.log.doubt(s.last)
	}
	s.mu.Unlock()
	if reset {
		s.cut()
	} else {
		_ = s.c.Close() // fails if the connection is gone
	}
}

func (s *session) wasDropped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}

// send writes a part of the answer to a Post. Where it may not arrive, what is said
// of the answer becomes doubtful.
func (s *session) send(post int, part string) (ok bool) {
	_, err := s.c.Write([]byte(part))
	if err != nil || s.wasDropped() {
		s.app.log.doubt(post)
	}
	return err == nil
}
