package admin

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"ws-gateway/admin/access"
	"ws-gateway/admin/connlimit"
	"ws-gateway/admin/listen"
)

// HandOff returns the decision for netpoll.Config.HandOff, which turns strangers away
// before they cost more than a request head. While there is an admin token it lets
// everybody through, to be asked for it here; otherwise only loopback peers, and whoever
// asks for /healthz or /readyz. hasToken is called for each such request, on the loops:
// see [Server.HasToken].
func HandOff(hasToken func() bool) func(peer netip.AddrPort, path []byte) bool {
	return func(peer netip.AddrPort, path []byte) bool {
		return peer.Addr().Unmap().IsLoopback() || routeOf(path).who == access.Everybody || hasToken()
	}
}

// Serve answers the requests of ln's connections until ln is closed, which is no error, or
// until Shutdown. It may be called for several listeners at a time, and closes ln.
func (s *Server) Serve(ln net.Listener) error {
	return s.accept(ln, s.conns, s.http.ServeConn)
}

// sendBuffer is how many bytes of answers the kernel keeps for a connection until its caller
// takes them; it reckons with twice as much. Left alone it would keep megabytes for each of
// thousands of callers who take nothing.
const sendBuffer = 32 << 10

// accept serves ln's connections within a limit.
func (s *Server) accept(ln net.Listener, limit *connlimit.Limit, serve func(net.Conn) error) error {
	defer ln.Close()
	if !s.open(ln) {
		return nil
	}
	defer s.forget(ln)
	if file, ok := ln.(*listen.SocketFile); ok {
		stop, kept := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(kept)
			file.Keep(stop, s.cfg.Log)
		}()
		defer func() {
			close(stop)
			<-kept
		}()
	}
	for retry := (backoff{log: s.cfg.Log, cancel: s.closing}); ; {
		c, err := ln.Accept()
		switch {
		case err == nil:
			retry.reset()
			if c, ok := c.(interface{ SetWriteBuffer(bytes int) error }); ok {
				c.SetWriteBuffer(sendBuffer) // if it fails, the connection has ended
			}
			limit.Serve(c, func(c *connlimit.Conn) { s.serveConn(c, serve) })
		case errors.Is(err, net.ErrClosed):
			return nil
		case !temporary(err):
			return fmt.Errorf("admin: accepting on %s: %w", ln.Addr(), err)
		case !retry.wait(err):
			return nil
		}
	}
}

// serveConn serves a connection to its end. Why it ended is logged for debugging alone:
// whoever can connect can make a connection fail.
func (s *Server) serveConn(c *connlimit.Conn, serve func(net.Conn) error) {
	if err := serve(c); err != nil {
		s.cfg.Log.Debug().Err(err).Msg("a management connection ended")
	}
}

// temporary reports whether accept may succeed later, when there are descriptors or memory
// again, or with the next connection.
func temporary(err error) bool {
	for _, errno := range [...]unix.Errno{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.ECONNABORTED, unix.EINTR} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

const (
	shortestWait = 5 * time.Millisecond
	longestWait  = time.Second
)

// backoff waits between attempts to accept, each time for longer.
type backoff struct {
	log    zerolog.Logger
	cancel <-chan struct{}
	next   time.Duration
}

// wait waits once; false means that it was cancelled. The first of several failures in a
// row is logged.
func (b *backoff) wait(err error) bool {
	if b.next == 0 {
		b.next = shortestWait
		b.log.Error().Err(err).Msg("cannot accept management connections for now")
	}
	timer := time.NewTimer(b.next)
	defer timer.Stop()
	b.next = min(2*b.next, longestWait)
	select {
	case <-timer.C:
		return true
	case <-b.cancel:
		return false
	}
}

// reset ends a series of failures.
func (b *backoff) reset() {
	if b.next != 0 {
		b.next = 0
		b.log.Info().Msg("accepting management connections again")
	}
}
