package exchange

import (
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Conn is a connection with reads and writes that the Go scheduler is not told of. It is for
// one reader and one writer at a time; deadlines and Close are those of the connection.
//
// An ordinary read or write of a program that was idle wakes the scheduler's monitor, a
// thread that looks after 20 microseconds whether the call has blocked. For a few thousand
// messages a second that is a third of what they cost.
type Conn struct {
	net.Conn
	in  Socket
	out output
}

// most bounds the bytes of one system call, for the time of which no other goroutine runs
// in its place.
const most = 256 << 10

// NewConn returns c with such reads and writes, or c itself if it has no descriptor.
func NewConn(c net.Conn) net.Conn {
	conn := &Conn{Conn: c}
	if conn.in.Use(c); !conn.in.Usable() {
		return c
	}
	conn.out.step = conn.out.next
	return conn
}

// Read implements io.Reader.
func (c *Conn) Read(p []byte) (n int, err error) { return c.in.Read(p[:min(len(p), most)]) }

// SyscallConn implements syscall.Conn.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.in.raw, nil }

// Write implements io.Writer.
func (c *Conn) Write(p []byte) (n int, err error) {
	o := &c.out
	o.rest, o.errno = p, 0
	err = c.in.raw.Write(o.step)
	n = len(p) - len(o.rest)
	o.rest = nil
	if err == nil && o.errno != 0 {
		err = &net.OpError{Op: "write", Net: c.in.network, Addr: c.RemoteAddr(), Err: os.NewSyscallError("write", o.errno)}
	}
	return n, err
}

// output is a Write under way.
type output struct {
	rest  []byte
	errno syscall.Errno
	step  func(fd uintptr) (done bool) // next, made once, so that a Write allocates nothing
}

// next goes on writing; false makes the runtime wait until the socket may be writable.
func (o *output) next(fd uintptr) (done bool) {
	for len(o.rest) > 0 {
		n, errno := send(fd, o.rest[:min(len(o.rest), most)])
		o.rest = o.rest[n:]
		if errno != 0 {
			o.errno = errno
			return errno != unix.EAGAIN
		}
	}
	o.errno = 0
	return true
}
