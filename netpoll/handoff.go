package netpoll

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
)

// maxHandedOff is how many connections may wait for the management server to accept
// them; one more is answered with 503.
const maxHandedOff = 128

// handOffListener passes connections on to a server of blocking connections.
type handOffListener struct {
	conns chan net.Conn
	addr  net.Addr

	closing sync.Once
	closed  chan struct{}
}

func newHandOffListener() *handOffListener {
	return &handOffListener{
		conns:  make(chan net.Conn, maxHandedOff),
		addr:   &net.TCPAddr{},
		closed: make(chan struct{}),
	}
}

// give passes fd on, of which read has been read already, and owns it from then on.
// If too many wait, it returns false and leaves fd to the caller.
func (h *handOffListener) give(fd int32, read []byte) bool {
	if len(h.conns) == cap(h.conns) {
		return false
	}
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close() // FileConn duplicates
	conn, err := net.FileConn(f)
	if err != nil {
		return true // no descriptor is free; the connection ends without an answer
	}
	select {
	case h.conns <- &handedConn{Conn: conn, read: read}:
	default:
		conn.Close()
	}
	return true
}

// Accept returns the next connection.
func (h *handOffListener) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close makes Accept fail, and closes the connections that nobody has accepted. No
// loop may run any more, since it could give more.
func (h *handOffListener) Close() error {
	h.closing.Do(func() {
		close(h.closed)
		for {
			select {
			case c := <-h.conns:
				c.Close()
			default:
				return
			}
		}
	})
	return nil
}

// Addr is the address of the first listener.
func (h *handOffListener) Addr() net.Addr { return h.addr }

// handedConn is a connection whose first bytes have been read already.
type handedConn struct {
	net.Conn
	read []byte
}

func (c *handedConn) Read(b []byte) (int, error) {
	if len(c.read) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.read)
	if c.read = c.read[n:]; len(c.read) == 0 {
		c.read = nil
	}
	return n, nil
}

// SetWriteBuffer sets the size of the kernel's send buffer, as a net.TCPConn does.
func (c *handedConn) SetWriteBuffer(bytes int) error {
	return c.Conn.(interface{ SetWriteBuffer(bytes int) error }).SetWriteBuffer(bytes)
}

// SyscallConn implements syscall.Conn, for which all that has been read already must have
// been taken.
func (c *handedConn) SyscallConn() (syscall.RawConn, error) {
	if len(c.read) > 0 {
		return nil, errors.New("netpoll: there are bytes that are not in the socket any more")
	}
	return c.Conn.(syscall.Conn).SyscallConn()
}
