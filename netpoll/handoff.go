package netpoll

import (
	"net"
	"os"
	"sync"
)

// maxHandedOff bounds the connections that wait to be accepted by the management
// server; one more is answered with 503.
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

// give takes ownership of fd, of which read has been read already. It returns
// false, and takes nothing, when too many wait.
func (h *handOffListener) give(fd int32, read []byte) bool {
	if len(h.conns) == cap(h.conns) {
		return false
	}
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close() // FileConn duplicates
	conn, err := net.FileConn(f)
	if err != nil {
		return true // for want of descriptors: nothing can be said to the peer, and the end of its connection says it
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

// Close makes Accept fail. It is called when no loop is left that could give more:
// connections that nobody accepted are closed.
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

// handedConn yields first what had been read of it.
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
