package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// AppConfig says how an App misbehaves.
type AppConfig struct {
	Temper   Temper
	Seed     uint64
	Timeout  time.Duration // the gateway's, for an attempt
	RetryFor time.Duration // the gateway's; Outages last longer
	Replies  bool          // answers' bodies go to clients
	Pipeline int           // requests that may be on their way at once on a connection; 0 and 1: one
}

// App is the app that misbehaves. It calms down before it is stopped.
type App struct {
	cfg  AppConfig
	log  log
	addr netip.AddrPort
	hold int // a socket that keeps the port ours while nobody listens at it

	mu       sync.Mutex
	listener net.Listener          // guarded by mu; nil while the port is closed
	open     map[*session]struct{} // guarded by mu
	accepted uint64                // guarded by mu
	calm     bool                  // guarded by mu: no faults any more
	busy     bool                  // guarded by mu: 503 to everything
	odd      []string              // guarded by mu: requests that no gateway should send

	running sync.WaitGroup
}

// NewApp returns an App that listens on a free port of 127.0.0.1. The caller must
// call Stop.
func NewApp(cfg AppConfig) (*App, error) {
	a := &App{cfg: cfg, open: make(map[*session]struct{})}
	var err error
	if a.hold, a.addr, err = holdPort(); err != nil {
		return nil, fmt.Errorf("a port for the app: %w", err)
	}
	if err = a.listen(); err != nil {
		_ = unix.Close(a.hold) // nothing was done with it
		return nil, err
	}
	return a, nil
}

// holdPort binds a socket that does not listen: connections to its port are
// refused, and nobody else is given it.
func holdPort() (fd int, addr netip.AddrPort, err error) {
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, addr, err
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	bound, naming := unix.Getsockname(fd)
	if err = errors.Join(err, naming); err != nil {
		_ = unix.Close(fd) // nothing was done with it
		return 0, addr, err
	}
	in4 := bound.(*unix.SockaddrInet4)
	return fd, netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), uint16(in4.Port)), nil
}

// URL is where the App takes events.
func (a *App) URL() string { return "http://" + a.addr.String() + "/events" }

// listen opens the port.
func (a *App) listen() error {
	l, err := net.Listen("tcp4", a.addr.String())
	if err != nil {
		return fmt.Errorf("opening the app's port: %w", err)
	}
	a.change(func() { a.listener = l })
	a.running.Go(func() { a.accept(l) })
	return nil
}

func (a *App) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return // closed
		}
		s := a.register(c.(*net.TCPConn))
		a.running.Go(s.serve)
	}
}

func (a *App) register(c *net.TCPConn) *session {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accepted++
	s := newSession(a, c, rand.New(rand.NewPCG(a.cfg.Seed, a.accepted)))
	a.open[s] = struct{}{}
	return s
}

func (a *App) forget(s *session) { a.change(func() { delete(a.open, s) }) }

// mood is how the App feels at the moment.
func (a *App) mood() (calm, busy bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calm, a.busy
}

// change does what mu guards.
func (a *App) change(do func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	do()
}

func (a *App) complain(format string, args ...any) {
	a.change(func() { a.odd = append(a.odd, fmt.Sprintf(format, args...)) })
}

// Misbehave closes the port now and then, as the temper wants it, until ctx is
// done. Then there are no faults any more: the App takes whatever comes. An error
// means that the port could not be opened again.
func (a *App) Misbehave(ctx context.Context) error {
	random := rand.New(rand.NewPCG(a.cfg.Seed, 0))
	var err error
	for n := random.IntN(3); err == nil && ctx.Err() == nil; n++ {
		fault := [...]Fault{restart, refuse, busy}[n%3]
		switch {
		case a.cfg.Temper.Outages:
			pass(ctx, between(random, a.cfg.RetryFor/2, a.cfg.RetryFor))
			err = a.spell(ctx, random, fault, between(random, a.cfg.RetryFor*5/4, a.cfg.RetryFor*2))
		case a.cfg.Temper.Ports:
			pass(ctx, between(random, 300*time.Millisecond, 2*time.Second))
			err = a.spell(ctx, random, fault, between(random, 20*time.Millisecond, 1500*time.Millisecond))
		default:
			<-ctx.Done()
		}
	}
	a.change(func() { a.calm = true })
	return err
}

func between(random *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(random.Int64N(int64(high-low)))
}

// pass lets time pass.
func pass(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// spell is a time in which nothing works.
func (a *App) spell(ctx context.Context, random *rand.Rand, fault Fault, d time.Duration) error {
	if ctx.Err() != nil {
		return nil
	}
	if fault == busy {
		a.log.note(func(r *Record) { r.count(busy) })
		a.change(func() { a.busy = true })
		pass(ctx, d)
		a.change(func() { a.busy = false })
		return nil
	}
	a.log.down(fault)
	a.shut()
	if fault == restart {
		a.drop(random)
	}
	pass(ctx, d)
	a.log.up()
	return a.listen()
}

// shut closes the port.
func (a *App) shut() {
	a.mu.Lock()
	l := a.listener
	a.listener = nil
	a.mu.Unlock()
	if l != nil {
		_ = l.Close() // it is closed, one way or the other
	}
}

// drop ends all connections, each with a reset or without.
func (a *App) drop(random *rand.Rand) {
	var all []*session
	a.change(func() { all = slices.Collect(maps.Keys(a.open)) })
	for _, s := range all {
		s.drop(random.IntN(2) == 0)
	}
}

// Stop ends the App and returns what it has done, and what it has been sent that
// no gateway should send. The gateway must have been stopped before.
func (a *App) Stop() (r Record, odd []string) {
	a.shut()
	a.drop(rand.New(rand.NewPCG(0, 0)))
	a.running.Wait()
	_ = unix.Close(a.hold) // nothing was done with it
	return a.log.record, a.odd
}
