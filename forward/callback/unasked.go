package callback

import (
	"net"
	"syscall"

	"ws-gateway/exchange"
)

// unasked finds out whether something has come on an idle connection: its end, or bytes,
// which must not be taken for the answer to the next request (RFC 9112, section 9.2). It
// finds nothing if there is no descriptor to look at, or if the connection is secured,
// because bytes may then be a session ticket.
//
// It allocates nothing and costs one system call, which cannot block and of which the Go
// scheduler is not told. An exchange on a socket looks by itself.
type unasked struct {
	raw  syscall.RawConn // nil: nothing to look at
	look func(fd uintptr)
	came bool
}

// of makes u look at c.
func (u *unasked) of(c net.Conn, secured bool) {
	u.raw = nil
	if c, ok := c.(syscall.Conn); ok && !secured {
		u.raw, _ = c.SyscallConn() // fails if it has ended, as its first use will
	}
	if u.look == nil {
		u.look = u.peek
	}
}

func (u *unasked) peek(fd uintptr) { u.came = exchange.Pending(fd) }

// has reports whether something has come.
func (u *unasked) has() bool {
	return u.raw != nil && u.raw.Control(u.look) == nil && u.came
}
