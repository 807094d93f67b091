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

// link is what every connection of this package has.
type link struct {
	fd    int32
	state state
	armed bool // EPOLLOUT is asked for
}

// dialer opens connections and reads from them. It belongs to one goroutine.
type dialer struct {
	target  netip.AddrPort
	host    string
	path    string
	header  func(dst []byte, conn int) []byte // nil: no further lines
	poller  *sock.Poller
	buf     []byte
	request []byte
	pieces  map[int32][]byte // by index in the epoll: what came in part, of the answer to a handshake or of a frame
}

const readBuffer = 256 << 10

func newDialer(target netip.AddrPort, path string, header func(dst []byte, conn int) []byte) (dialer, error) {
	p, err := sock.NewPoller()
	if err != nil {
		return dialer{}, fmt.Errorf("load: creating an epoll: %w", err)
	}
	if path == "" {
		path = "/ws"
	}
	return dialer{
		target: target, host: target.String(), path: path, header: header,
		poller: p, buf: make([]byte, readBuffer), pieces: make(map[int32][]byte),
	}, nil
}

// dial begins a connection; i is its index in the epoll, number the one that its
// handshake and its source address come from.
func (d *dialer) dial(l *link, i int32, number int) error {
	fd, err := sock.Dial(d.target, source(d.target.Addr(), number), 0)
	if err != nil {
		return err
	}
	l.fd, l.state = int32(fd), connecting
	if err := d.ask(l, number); err != nil {
		return err
	}
	interest := uint32(unix.EPOLLIN)
	if l.state == connecting {
		interest = unix.EPOLLOUT
	}
	if err := d.poller.Add(fd, i, interest); err != nil {
		return fmt.Errorf("watching: %w", err)
	}
	return nil
}

// ask sends the opening handshake, if TCP is established by now.
func (d *dialer) ask(l *link, number int) error {
	d.request = AppendRequest(d.request[:0], d.host, d.path, number, d.header)
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

// shake takes a connection on whose socket something has happened one step further
// in its opening handshake. The state says whether it is open then; rest is what
// came behind the answer.
func (d *dialer) shake(l *link, i int32, number int) (rest []byte, err error) {
	if l.state == connecting {
		if err := d.ask(l, number); err != nil || l.state == connecting {
			return nil, err
		}
		return nil, d.poller.Modify(int(l.fd), i, unix.EPOLLIN)
	}
	data, err := d.read(l, i)
	if err != nil {
		return nil, fmt.Errorf("waiting for the answer to the handshake: %w", err)
	}
	if len(data) == 0 {
		return nil, nil
	}
	length, err := checkResponse(data, number)
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

// read returns what has come, behind what was kept of it, until the next call. It
// may be nothing.
func (d *dialer) read(l *link, i int32) ([]byte, error) {
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
func (d *dialer) arm(l *link, i int32, on bool) error {
	if l.armed == on {
		return nil
	}
	interest := uint32(unix.EPOLLIN)
	if on {
		interest |= unix.EPOLLOUT
	}
	if err := d.poller.Modify(int(l.fd), i, interest); err != nil {
		return fmt.Errorf("watching: %w", err)
	}
	l.armed = on
	return nil
}

// keep puts aside what read is to return again, with what follows it.
func (d *dialer) keep(i int32, piece []byte) { d.pieces[i] = bytes.Clone(piece) }

// hangUp ends a connection with a reset.
func (d *dialer) hangUp(l *link, i int32, becomes state) {
	sock.HangUp(int(l.fd))
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
