package netpoll

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"ws-gateway/netpoll/wire"
)

// A client may come back at another server than the one that has its session. Then its
// handshake leaves the loop, as a Handshake, and whoever Config.Relay has named asks the
// server that has the session. That one does with the request head what it does with its
// own, on a descriptor that is one end of a pair (Server.TakeRelayed). What the bytes mean
// only that server knows: here they are carried, or the handshake comes back and gets a
// new session.

// Handshake is a client's handshake that has left its loop. It must be answered: exactly one
// of Decline, TurnAway and Conn must be called, once.
type Handshake struct {
	Peer netip.AddrPort // of the TCP connection
	Head []byte         // the request head
	Rest []byte         // what has been read behind it

	loop  *Loop
	fd    int32
	since time.Time
}

// mayRelay reports whether a session that is not of this server, and has this id, may be
// another's.
func (l *Loop) mayRelay(id []byte) bool { return l.cfg.Relay != nil && !l.declined && len(id) > 0 }

// relay gives a handshake to Config.Relay. It returns false if that does not want it.
func (l *Loop) relay(c *Conn, token *wire.ResumeToken, head, rest []byte) (taken bool) {
	take := l.cfg.Relay(token.ID, token.Turn, l.cfg.Resumer.ClientAddr(l, &l.request))
	if take == nil {
		return false
	}
	read := make([]byte, 0, len(head)+len(rest))
	read = append(append(read, head...), rest...)
	h := &Handshake{Peer: c.in.peer, Head: read[:len(head):len(head)], Rest: read[len(head):], loop: l, since: c.in.since}
	c.detach()
	h.fd = c.fd
	c.release()
	take(h)
	return true
}

// Decline gives the handshake back: the client gets a new session, unless it has hung up. It
// may be called from any goroutine.
func (h *Handshake) Decline() {
	to := h.loop
	if to.moving.Add(1) <= maxMoving {
		err := to.PostContext(atOnce, func(l *Loop) bool {
			l.moving.Add(-1)
			l.declined = true
			l.takeOver(h.fd, h.Peer, h.since, append(h.Head, h.Rest...), len(h.Head))
			l.declined = false
			return false
		})
		if err == nil {
			return
		}
	}
	to.moving.Add(-1)
	turnAway(h.fd, tooManyMove, time.Second)
}

// HungUp reports whether the client has ended its connection: nobody waits for an answer.
// It does not wait, and may be called from any goroutine, before the handshake is answered
// and as often as one likes.
func (h *Handshake) HungUp() bool { return hungUp(h.fd) }

// TurnAway answers the handshake with 503, why in a few words and Retry-After in seconds. It
// does not wait, and may be called from any goroutine.
func (h *Handshake) TurnAway(why string, after time.Duration) { turnAway(h.fd, why, after) }

// Conn takes the connection over. Its kernel buffers are as the listener has set them.
func (h *Handshake) Conn() (net.Conn, error) { return connOf(int(h.fd)) }

// tooManyMove is told to a client when the loop it is for takes no more.
const tooManyMove = "too many sessions are being resumed"

// turnAway answers a handshake that has left its loop.
func turnAway(fd int32, why string, after time.Duration) {
	seconds := strconv.FormatInt(int64((after+time.Second-1)/time.Second), 10)
	writeRaw(fd, wire.AppendRefusal(nil, http.StatusServiceUnavailable, why, "Retry-After", seconds))
	closeSocket(fd, false)
}

// connOf makes a net.Conn of a descriptor, which it takes over even if it fails.
func connOf(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close() // FileConn duplicates
	return net.FileConn(f)
}

// Resumes reports whether sessions can be resumed.
func (s *Server) Resumes() bool { return s.inForce.Load().resumes() }

// Relayed is a request head that another server has read, as the TCP peer has sent it.
type Relayed struct {
	Peer netip.AddrPort
	Head []byte

	// GivenUp reports whether nobody waits for the answer any more: then nothing is done. It
	// is called on a loop, and must not block. nil: somebody does.
	GivenUp func() bool
}

// relayBuffer is what the kernel may hold in each direction between a loop and whoever
// carries its bytes, without its overhead.
const relayBuffer = 32 << 10

// Why a relayed handshake has got no transport.
var (
	ErrNotResumed = errors.New("netpoll: the session cannot be resumed")
	ErrBusy       = errors.New("netpoll: no room for another handshake at the moment")

	errGivenUp = errors.New("netpoll: nobody waits for the handshake any more")
)

// TakeRelayed resumes the session that a relayed handshake names, whose id it is. answered
// is called once, on a loop: with the other end of the client's transport, which must be
// carried to the client from then on; or with an error. ErrNotResumed says that there is no
// session that this client could resume; ErrBusy and ErrStopped say nothing about that. Nor
// does a transport that ends before there is a byte: another one has replaced it at once, and
// the session goes on. If TakeRelayed itself returns an error, one of these, answered is never
// called. It does not wait, and may be called from any goroutine but a loop's.
func (s *Server) TakeRelayed(id ID, h Relayed, answered func(*Transport, error)) error {
	if id.Loop() >= len(s.loops) {
		return ErrNotResumed
	}
	to := s.loops[id.Loop()]
	if to.moving.Add(1) > maxMoving {
		to.moving.Add(-1)
		return ErrBusy
	}
	since := time.Now()
	err := to.PostContext(atOnce, func(l *Loop) bool {
		l.moving.Add(-1)
		l.takeRelayed(id, &h, since, answered)
		return false
	})
	if err == nil {
		return nil
	}
	to.moving.Add(-1)
	if errors.Is(err, ErrStopped) {
		return err
	}
	return ErrBusy // as many tasks wait as may
}

// Transport is the other end of a client's transport.
type Transport struct{ fd int }

// Conn takes the transport over. Conn or Close must be called, once.
func (t *Transport) Conn() (net.Conn, error) { return connOf(t.fd) }

// Close ends the transport.
func (t *Transport) Close() { unix.Close(t.fd) }

// takeRelayed answers a handshake that another server has read. The token is looked at
// first: strangers can make up as many as they like, and none of them costs a descriptor.
// The transport is handed out when the session is resumed, or the handshake refused: until
// it is taken what was written waits in the pair.
func (l *Loop) takeRelayed(id ID, h *Relayed, since time.Time, answered func(*Transport, error)) {
	if h.GivenUp != nil && h.GivenUp() {
		answered(nil, errGivenUp)
		return
	}
	o, deflate, extensions, ok := l.readRelayed(id, h)
	if !ok {
		l.missed(MissedToken)
		answered(nil, ErrNotResumed)
		return
	}
	pair, err := newPair()
	if err != nil {
		answered(nil, fmt.Errorf("%w: %w", ErrBusy, err))
		return
	}
	t := &Transport{pair[1]}
	c := l.newConn(int32(pair[0]))
	if c == nil {
		t.Close()
		answered(nil, l.noRoom())
		return
	}
	in := l.inboxOf(c)
	in.peer, in.since = h.Peer, since
	l.await(c, handshakeDeadline)
	l.request.Remote = h.Peer
	if !l.resume(c, &o, deflate, extensions, h.Head, nil) {
		c.destroy(false)
		t.Close()
		answered(nil, ErrNotResumed)
		return
	}
	answered(t, nil)
}

// noRoom is why newConn has returned nil.
func (l *Loop) noRoom() error {
	if l.stopping {
		return ErrStopped
	}
	return ErrBusy
}

// readRelayed reads a relayed request head into l.request. ok is false if it is not one
// that resumes the session id.
func (l *Loop) readRelayed(id ID, h *Relayed) (o wire.ResumeOffer, deflate wire.DeflateParams, extensions string, ok bool) {
	r := &l.request
	if len(h.Head) > l.cfg.MaxHeaderBytes || wire.HeadEnd(h.Head, 0) != len(h.Head) || wire.ParseHead(h.Head, r) != nil ||
		!l.cfg.resumes() || !onPath(r.Path, l.cfg.Path) || wire.CheckUpgrade(r) != nil {
		return o, deflate, "", false
	}
	deflate, extensions, e := l.negotiate(r)
	if e != nil {
		return o, deflate, "", false
	}
	o = r.ResumeOffer()
	_, named, ok := l.readToken(&o)
	return o, deflate, extensions, ok && named == id && id.Loop() == l.index
}

// newPair returns two descriptors of which each gets what is written to the other.
func newPair() (pair [2]int, err error) {
	if pair, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return pair, err
	}
	for _, fd := range pair {
		if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, relayBuffer); err != nil {
			unix.Close(pair[0])
			unix.Close(pair[1])
			return pair, err
		}
	}
	return pair, nil
}
