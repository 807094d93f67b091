package load

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Config of a Client. Zero values mean the defaults named beside them.
type Config struct {
	Target  netip.AddrPort   // required
	Further []netip.AddrPort // more targets: connections are dealt to all of them in turn, by number
	Path    string           // default "/ws"
	Threads int              // default 1
	Window  int              // handshakes under way at one time, for each thread; default 128
	Busy    bool             // spin instead of sleeping, so that the server never pays for waking the client

	// Deflate has every connection offer permessage-deflate (RFC 7692) without context
	// takeover, which the server must agree on.
	Deflate bool

	// Resume has every connection ask for a session that can be resumed, which the server
	// must give, and acknowledge what it gets.
	Resume bool

	// Header appends further lines, each with its CR LF, to the handshake of
	// connection number conn. Workers call it at the same time.
	Header func(dst []byte, conn int) []byte
}

// Client holds WebSocket connections to one server.
type Client struct {
	cfg     Config
	workers []*worker
	closed  bool
}

// New prepares the threads; it connects nothing yet. The client must be closed.
// It raises GOMAXPROCS if threads that spin would leave no processor to others.
func New(cfg Config) (*Client, error) {
	if !cfg.Target.IsValid() {
		return nil, errors.New("load: no target address")
	}
	if cfg.Threads <= 0 {
		cfg.Threads = 1
	}
	if cfg.Window <= 0 {
		cfg.Window = 128
	}
	// A worker in a raw system call keeps its processor from the scheduler.
	if most := cfg.Threads + 1; runtime.GOMAXPROCS(0) < most {
		runtime.GOMAXPROCS(most)
	}
	c := &Client{cfg: cfg}
	epoch := time.Now()
	for i := range cfg.Threads {
		w, err := newWorker(&c.cfg, i, epoch)
		if err != nil {
			c.Close()
			return nil, err
		}
		c.workers = append(c.workers, w)
	}
	return c, nil
}

// share is how many of n connections are worker i's. They are dealt in turn.
func (c *Client) share(n, i int) int { return (n - i + c.cfg.Threads - 1) / c.cfg.Threads }

// Connect opens connections until there are total, and returns when the last
// handshake is complete. At the first failure it gives up; then the client can
// only be closed.
func (c *Client) Connect(ctx context.Context, total int) error {
	return c.run(ctx, func(i int, w *worker, stop *atomic.Bool) error {
		return w.connect(stop, c.share(total, i))
	})
}

// Check finds out whether all connections are still there and silent.
func (c *Client) Check(ctx context.Context) error {
	return c.run(ctx, func(_ int, w *worker, _ *atomic.Bool) error { return w.check() })
}

// Open is how many connections are open.
func (c *Client) Open() int {
	n := 0
	for _, w := range c.workers {
		n += int(w.open.Load())
	}
	return n
}

// run has every worker do f on a thread of its own, and waits for all.
func (c *Client) run(ctx context.Context, f func(i int, w *worker, stop *atomic.Bool) error) error {
	var (
		stop atomic.Bool
		wg   sync.WaitGroup
		errs = make([]error, len(c.workers))
	)
	defer context.AfterFunc(ctx, func() { stop.Store(true) })()
	for i, w := range c.workers {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if errs[i] = f(i, w, &stop); errs[i] != nil {
				stop.Store(true)
			}
		})
	}
	wg.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

// Close drops all connections with a reset. It may be called twice.
func (c *Client) Close() {
	if c.closed {
		return
	}
	c.closed = true
	for _, w := range c.workers {
		w.close()
	}
}
