package exchange

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrUnasked means that something had come on the connection, its end or bytes, before
// anything was written.
var ErrUnasked = errors.New("exchange: something has come that nobody asked for")

// Socket writes and reads on a connection. It is for one goroutine at a time; a deadline
// of the connection, or its Close, ends an Exchange that is under way. The zero value has
// no socket.
type Socket struct {
	// Receive reads from the socket; nil: the function of that name does.
	Receive func(fd uintptr, p []byte) (n int, errno syscall.Errno)

	Sent func() (goOn bool) // see Answer; it must not wait for anything

	raw     syscall.RawConn
	network string
	step    func(fd uintptr) (done bool) // s.next, made once, so that an exchange allocates nothing

	// Of the exchange under way.
	strict  bool
	out, in []byte
	sent    int
	n       int
	errno   syscall.Errno // of the read
	unasked bool
}

// Use makes s work on the socket of c. If c has no descriptor, or is nil, s has no socket.
func (s *Socket) Use(c net.Conn) {
	s.raw = nil
	of, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := of.SyscallConn()
	if err != nil {
		return
	}
	s.raw, s.network = raw, c.RemoteAddr().Network()
	if s.step == nil {
		s.step = s.next
	}
	if s.Receive == nil {
		s.Receive = Receive
	}
}

// Usable reports whether there is a socket.
func (s *Socket) Usable() bool { return s.raw != nil }

// Exchange writes out, waits until something comes, and reads that into in. If something
// has come before, it writes nothing, and the error is ErrUnasked.
//
// If the socket does not take all of out, sent is how much it has taken, nothing is read,
// and the error is nil. The caller must then write the rest and read in the ordinary way,
// which also tells why the socket did not take it. If an error ended the wait, sent is the
// length of out.
func (s *Socket) Exchange(out, in []byte) (sent, n int, err error) {
	s.strict = true
	return s.exchange(out, in)
}

// Answer is Exchange for the side that is asked: it writes out in any case, and if something
// has come before, it reads that. It calls Sent, if that is not nil, when all of out has been
// written. If Sent returns false, nothing is read, and err is io.EOF.
func (s *Socket) Answer(out, in []byte) (sent, n int, err error) {
	s.strict = false
	return s.exchange(out, in)
}

func (s *Socket) exchange(out, in []byte) (sent, n int, err error) {
	s.out, s.in, s.sent, s.n, s.errno, s.unasked = out, in, 0, 0, 0, false
	err = s.raw.Read(s.step)
	s.out, s.in = nil, nil
	switch {
	case err != nil:
		return s.sent, 0, err
	case s.unasked:
		return 0, 0, ErrUnasked
	case s.sent < len(out):
		return s.sent, 0, nil
	case s.errno != 0:
		return s.sent, 0, &net.OpError{Op: "read", Net: s.network, Err: os.NewSyscallError("read", s.errno)}
	case s.n == 0:
		return s.sent, 0, io.EOF
	}
	return s.sent, s.n, nil
}

// Read implements io.Reader.
func (s *Socket) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	_, n, err = s.exchange(nil, p)
	return n, err
}

// next goes on with the exchange; false makes the runtime wait until the socket may be
// readable.
func (s *Socket) next(fd uintptr) (done bool) {
	if s.sent < len(s.out) {
		if s.unasked = s.strict && Pending(fd); s.unasked {
			return true
		}
		s.sent, _ = send(fd, s.out)
		switch {
		case s.sent < len(s.out):
			return true
		case s.strict:
			return false
		case s.Sent != nil && !s.Sent():
			return true
		}
	}
	s.n, s.errno = s.Receive(fd, s.in)
	return s.errno != unix.EAGAIN
}
