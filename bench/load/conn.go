package load

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"ws-gateway/bench/sock"
)

type state uint8

const (
	undialled  state = iota
	connecting       // TCP is being established
	shaking          // the request is out
	open
	leaving // our close frame is out
	failed
)

// Link is what every connection of a bench client has.
type Link struct {
	fd    int32
	state state
	armed bool // EPOLLOUT is asked for
}

// FD is the connection's socket, as long as it is Held.
func (l *Link) FD() int { return int(l.fd) }

// Held reports whether the connection has a socket, and Open whether frames, or what is
// sent in place of a handshake, may be written to it.
func (l *Link) Held() bool { return l.state != undialled && l.state != failed }

// Open is explained at Held.
func (l *Link) Open() bool { return l.state == open }

// Dialer opens connections, reads from them and ends them. It belongs to one goroutine.
type Dialer struct {
	Poller  *sock.Poller // must be closed; the connections in it are ended one by one
	Receive int          // size of receive buffers, bytes; 0: the kernel's choice

	target  netip.AddrPort
	host    string
	path    string
	header  func(dst []byte, conn int) []byte // nil: no further lines
	further []netip.AddrPort                  // more targets, each with its share of the connections
	deflate bool                              // compression is offered, and must be agreed on
	buf     []byte
	request []byte
	pieces  map[int32][]byte // by index in the epoll: what came in part, of the answer to a handshake or of a frame
}

const readBuffer = 256 << 10

// NewDialer is for connections to target. header may add lines, each with its CR LF, to
// the handshake of connection number conn.
func NewDialer(target netip.AddrPort, path string, header func(dst []byte, conn int) []byte) (Dialer, error) {
	p, err := sock.NewPoller()
	if err != nil {
		return Dialer{}, fmt.Errorf("load: creating an epoll: %w", err)
	}
	if path == "" {
		path = "/ws"
	}
	return Dialer{
		target: target, host: target.String(), path: path, header: header,
		Poller: p, buf: make([]byte, readBuffer), pieces: make(map[int32][]byte),
	}, nil
}

// Dial begins a connection; i is its index in the epoll, number the one that its
// handshake and its source address come from.
func (d *Dialer) Dial(l *Link, i int32, number int) error {
	if err := d.socket(l, number); err != nil {
		return err
	}
	if err := d.ask(l, number); err != nil {
		return err
	}
	return d.watch(l, i)
}

// DialBare begins a connection that has no handshake of ours: it is open at once, though
// the kernel may not take anything yet.
func (d *Dialer) DialBare(l *Link, i int32, number int) error {
	if err := d.socket(l, number); err != nil {
		return err
	}
	l.state = open
	return d.watch(l, i)
}

func (d *Dialer) socket(l *Link, number int) error {
	target := d.target
	if n := number % (1 + len(d.further)); n > 0 {
		target = d.further[n-1]
	}
	fd, err := sock.Dial(target, source(target.Addr(), number), d.Receive)
	if err == nil {
		l.fd, l.state = int32(fd), connecting
	}
	return err
}

func (d *Dialer) watch(l *Link, i int32) error {
	interest := uint32(unix.EPOLLIN)
	if l.state == connecting {
		interest = unix.EPOLLOUT
	}
	if err := d.Poller.Add(int(l.fd), i, interest); err != nil {
		return fmt.Errorf("watching: %w", err)
	}
	return nil
}

// ask sends the opening handshake, if TCP is established by now.
func (d *Dialer) ask(l *Link, number int) error {
	d.request = AppendRequest(d.request[:0], d.host, d.path, number, d.header)
	if d.deflate {
		d.request = append(d.request[:len(d.request)-len("\r\n")], deflateOffer...)
	}
	n, err := sock.Write(int(l.fd), d.request)
	switch {
	case sock.WouldBlock(err):
		return nil
	case err != nil:
		return fmt.Errorf("sending the handshake to %v: %w", d.target, err)
	case n < len(d.request):
		return fmt.Errorf("the kernel took only %d bytes of a handshake", n)
	}
	l.state = shaking
	return nil
}

// Shake takes a connection on whose socket something has happened one step further
// in its opening handshake. The state says whether it is open then; rest is what
// came behind the answer.
func (d *Dialer) Shake(l *Link, i int32, number int) (rest []byte, err error) {
	if l.state == connecting {
		if err := d.ask(l, number); err != nil || l.state == connecting {
			return nil, err
		}
		return nil, d.Poller.Modify(int(l.fd), i, unix.EPOLLIN)
	}
	data, err := d.Read(l, i)
	if err != nil {
		return nil, fmt.Errorf("waiting for the answer to the handshake: %w", err)
	}
	if len(data) == 0 {
		return nil, nil
	}
	length, err := checkResponse(data, number, d.deflate)
	switch {
	case err != nil:
		return nil, err
	case length == 0:
		d.keep(i, data)
		return nil, nil
	}
	l.state = open
	return data[length:], nil
}

var errClosed = errors.New("the server closed the connection")

// Read returns what has come, behind what was kept of it, until the next call. It
// may be nothing.
func (d *Dialer) Read(l *Link, i int32) ([]byte, error) {
	n, err := sock.Read(int(l.fd), d.buf)
	switch {
	case sock.WouldBlock(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading: %w", err)
	case n == 0:
		return nil, errClosed
	}
	data := d.buf[:n]
	if len(d.pieces) > 0 {
		if kept, found := d.pieces[i]; found {
			data = append(kept, data...)
			delete(d.pieces, i)
		}
	}
	return data, nil
}

// arm asks for EPOLLOUT, or no longer.
func (d *Dialer) arm(l *Link, i int32, on bool) error {
	if l.armed == on {
		return nil
	}
	interest := uint32(unix.EPOLLIN)
	if on {
		interest |= unix.EPOLLOUT
	}
	if err := d.Poller.Modify(int(l.fd), i, interest); err != nil {
		return fmt.Errorf("watching: %w", err)
	}
	l.armed = on
	return nil
}

// keep puts aside what Read is to return again, with what follows it.
func (d *Dialer) keep(i int32, piece []byte) { d.pieces[i] = bytes.Clone(piece) }

// Leave ends a connection as programs do, Away with a reset. It may be dialled again.
func (d *Dialer) Leave(l *Link, i int32) {
	unix.Close(int(l.fd))
	d.forget(l, i, undialled)
}

// Away is explained at Leave.
func (d *Dialer) Away(l *Link, i int32) { d.hangUp(l, i, undialled) }

// hangUp ends a connection with a reset.
func (d *Dialer) hangUp(l *Link, i int32, becomes state) {
	sock.HangUp(int(l.fd))
	d.forget(l, i, becomes)
}

func (d *Dialer) forget(l *Link, i int32, becomes state) {
	delete(d.pieces, i)
	l.state = becomes
}

// perSource is how many connections share a source address. Towards one
// destination the kernel has some 28,000 ports for each; long before they run
// out it searches ever longer for a free one.
const perSource = 4_000

// source is the address that connection number conn comes from: 127.0.0.1,
// 127.0.0.2 and so on towards an IPv4 loopback address, elsewhere the zero Addr,
// which leaves the choice to the kernel.
func source(target netip.Addr, conn int) netip.Addr {
	if !target.Is4() || !target.IsLoopback() {
		return netip.Addr{}
	}
	n := conn / perSource
	return netip.AddrFrom4([4]byte{127, 0, byte(n / 250), byte(1 + n%250)})
}
