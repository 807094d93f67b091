package netpoll

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mailru/easygo/netpoll"
	"golang.org/x/sys/unix"

	"ws-gateway/tokenbucket"
)

const (
	acceptBatch   = 256                    // connections that are accepted before the loops get them
	acceptBackoff = 200 * time.Millisecond // pause after accept has failed, for example for lack of descriptors
	acceptGrain   = 10 * time.Millisecond  // Config.AcceptRate is used up in portions of about this
	warnEvery     = 30 * time.Second       // at most one line about it in the log
)

// acceptor accepts connections and gives them to the loops in turn. Its goroutine
// is that of easygo's Epoll. The listeners are one-shot there: a listener is armed
// again when its callback has returned, or when the pause after a failure is over.
type acceptor struct {
	srv   *Server
	epoll *netpoll.Epoll

	clock  func() time.Duration // since the start
	ctx    context.Context      // bounds the wait for room in a loop's mailbox; ends with stop
	cancel context.CancelFunc
	pace   atomic.Pointer[pace]

	// Owned by the epoll's goroutine.
	next    int // the loop that gets the next connection
	batches [][]accepted
	spent   tokenbucket.Bucket
	by      *pace // the pace that spent counts by

	mu        sync.Mutex // guards what follows
	listeners []*listener
	started   bool
	closed    bool
	errors    uint64

	waits   atomic.Uint64 // see Stats.AcceptWaits
	crowded atomic.Uint64 // see Stats.AcceptPauses
}

// pace is how fast connections are accepted.
type pace struct {
	rate  tokenbucket.Rate
	grain float64 // how many connections a wait is for
}

func newPace(cfg *Config) *pace {
	perSecond, burst := float64(cfg.AcceptRate), float64(cfg.AcceptBurst)
	return &pace{rate: tokenbucket.NewRate(perSecond, burst), grain: max(1, min(burst, perSecond*acceptGrain.Seconds()))}
}

type listener struct {
	net.Listener
	fd      int
	paused  *time.Timer // arms the listener after a failure, or when the accept rate allows
	failing bool        // the last accept failed
	warned  time.Time   // when the log last said so
	held    bool        // the accept rate was reached; owned by the epoll's goroutine
}

type accepted struct {
	fd   int32
	peer netip.AddrPort
}

func newAcceptor(s *Server) (*acceptor, error) {
	epoll, err := netpoll.EpollCreate(&netpoll.EpollConfig{OnWaitError: func(err error) {
		s.cfg.Failed(fmt.Errorf("waiting for connections: %w", err))
	}})
	if err != nil {
		return nil, fmt.Errorf("epoll for listeners: %w", err)
	}
	started := time.Now()
	a := &acceptor{
		srv:     s,
		epoll:   epoll,
		clock:   func() time.Duration { return time.Since(started) },
		batches: make([][]accepted, s.cfg.Loops),
	}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.pace.Store(newPace(&s.cfg))
	return a, nil
}

// listen binds addr.
func (a *acceptor) listen(addr string) (net.Addr, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		control := raw.Control(func(fd uintptr) { err = a.prepare(int(fd)) })
		return errors.Join(control, err)
	}}
	ln, err := config.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	return ln.Addr(), a.watch(ln.(*net.TCPListener))
}

// prepare sets the socket options that accepted sockets inherit from their
// listener: TCP_NODELAY and the sizes of the kernel's buffers. To set them for each
// connection would take further system calls.
func (a *acceptor) prepare(fd int) error {
	err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if n := a.srv.cfg.SocketBuffer; n > 0 {
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, n),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, n))
	}
	return err
}

// inherit adds a listener that another process has bound.
func (a *acceptor) inherit(ln *net.TCPListener) error {
	raw, err := ln.SyscallConn()
	if err != nil {
		return err
	}
	control := raw.Control(func(fd uintptr) { err = a.prepare(int(fd)) })
	if err = errors.Join(control, err); err != nil {
		return err
	}
	return a.watch(ln)
}

// watch adds ln to the listeners. If it fails, it closes ln.
func (a *acceptor) watch(ln *net.TCPListener) error {
	raw, err := ln.SyscallConn()
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	l := &listener{Listener: ln}
	if err := raw.Control(func(fd uintptr) { l.fd = int(fd) }); err != nil {
		return errors.Join(err, ln.Close())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.listeners = append(a.listeners, l)
	return nil
}

const listenEvents = netpoll.EPOLLIN | netpoll.EPOLLONESHOT

// start begins to accept.
func (a *acceptor) start() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.started = true
	for _, l := range a.listeners {
		if err := a.epoll.Add(l.fd, listenEvents, func(netpoll.EpollEvent) { a.ready(l) }); err != nil {
			return fmt.Errorf("watching %s: %w", l.Addr(), err)
		}
	}
	return nil
}

// ready accepts until no connection waits, or none can be accepted.
func (a *acceptor) ready(l *listener) {
	if p := a.pace.Load(); p != a.by { // at another pace, what was spent could be a debt of any size
		a.by, a.spent = p, 0
	}
	err := a.drain(l)
	if err == unix.EMFILE || err == unix.ENFILE {
		for _, loop := range a.srv.loops {
			loop.PostContext(a.ctx, (*Loop).shed) // fails if the loop has ended: it has no connections then
		}
	}
	for i, batch := range a.batches {
		if len(batch) > 0 {
			a.deal(a.srv.loops[i], batch)
			a.batches[i] = nil
		}
	}
	runtime.Gosched() // with one processor the loops would have to wait until this goroutine is interrupted
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed: // easygo may call back after Del
	case err == errCrowded:
		a.armAfterLocked(l, acceptGrain)
	case err == errThrottled:
		a.armAfterLocked(l, a.spent.Wait(&a.by.rate, a.clock(), a.by.grain))
	case err != nil:
		a.pauseLocked(l, err)
	default:
		if l.failing {
			l.failing = false
			a.srv.cfg.Log.Info().Str("listen", l.Addr().String()).Msg("connections are accepted again")
		}
		a.armLocked(l)
	}
}

// They say that no more connections may be accepted for now.
var (
	errThrottled = errors.New("accept rate reached")
	errCrowded   = errors.New("a loop has as many arrivals as it may")
)

// drain accepts a batch at most, and no more than Config.AcceptRate allows. It
// returns nil if no connection waits any more, or if the batch is full.
func (a *acceptor) drain(l *listener) error {
	for range acceptBatch {
		if a.by.rate.Limited() && a.spent.Left(&a.by.rate, a.clock()) == 0 {
			l.held = true
			return errThrottled
		}
		loop := a.srv.loops[a.next]
		if loop.arriving.Load() >= maxArrivals {
			a.crowded.Add(1)
			return errCrowded
		}
		fd, sa, err := unix.Accept4(l.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		held := l.held
		l.held = false
		switch err {
		case nil:
			if held {
				a.waits.Add(1)
			}
		case unix.EAGAIN:
			return nil
		case unix.EINTR, unix.ECONNABORTED: // this client went away; the next may wait
			continue
		default:
			return err
		}
		if a.by.rate.Limited() {
			a.spent.Spend(&a.by.rate, a.clock(), 1)
		}
		loop.arriving.Add(1)
		a.batches[a.next] = append(a.batches[a.next], accepted{fd: int32(fd), peer: addrPort(sa)})
		a.next = (a.next + 1) % len(a.batches)
	}
	return nil
}

// deal gives a batch to its loop.
func (a *acceptor) deal(l *Loop, batch []accepted) {
	err := l.PostContext(a.ctx, func(l *Loop) bool {
		l.arrivals.add(batch)
		return false
	})
	if err != nil {
		for _, c := range batch {
			closeSocket(c.fd, true)
		}
	}
}

// pauseLocked stops accepting for a while. The kernel's backlog keeps those who
// connect; an armed listener would report them over and over.
func (a *acceptor) pauseLocked(l *listener, err error) {
	a.errors++
	l.failing = true
	if now := time.Now(); now.Sub(l.warned) > warnEvery {
		l.warned = now
		ev := a.srv.cfg.Log.Warn().Err(err).Str("listen", l.Addr().String())
		if err == unix.EMFILE || err == unix.ENFILE {
			ev.Msg("descriptor limit reached: new connections wait until others end; raise the limit (ulimit -n) or lower --max-connections")
		} else {
			ev.Msg("cannot accept connections; trying again")
		}
	}
	a.armAfterLocked(l, acceptBackoff)
}

func (a *acceptor) armAfterLocked(l *listener, d time.Duration) {
	l.paused = time.AfterFunc(d, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if !a.closed {
			a.armLocked(l)
		}
	})
}

func (a *acceptor) armLocked(l *listener) {
	if err := a.epoll.Mod(l.fd, listenEvents); err != nil {
		a.srv.cfg.Failed(fmt.Errorf("waiting for connections at %s: %w", l.Addr(), err))
	}
}

// stop closes the listeners and ends the acceptor's goroutine. The kernel refuses
// connections that wait in a backlog. The sockets are closed last, since the
// goroutine may accept from them until it ends.
func (a *acceptor) stop() error {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return nil
	}
	a.closed = true
	a.cancel()
	for _, l := range a.listeners {
		if l.paused != nil {
			l.paused.Stop()
		}
		if a.started {
			a.epoll.Del(l.fd) // or Close would call back
		}
	}
	a.mu.Unlock()
	err := a.epoll.Close()
	for _, l := range a.listeners {
		err = errors.Join(err, l.Close())
	}
	return err
}

func (a *acceptor) failures() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.errors
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
