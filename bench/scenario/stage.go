package scenario

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strconv"
	"time"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
	"ws-gateway/bench/report"
	"ws-gateway/bench/sink"
)

// stage is what one round has to itself. A round is written as a test is: what
// goes wrong ends it where it is, and what it started is stopped when it is over.
// All of it is for the round's goroutine.
type stage struct {
	*Env
	outcome
	ctx      context.Context // ends with the run
	name     string          // of the round, fit for a file
	rival    Peer            // runs in place of the gateway; without a Path the gateway itself does
	show     func(what string)
	record   func(report.Round) // a row of a Case that has several
	cleanups []func()
}

func newStage(ctx context.Context, env *Env, name string, show func(what string)) *stage {
	return &stage{Env: env, ctx: ctx, name: fileName(name), show: show}
}

// failure is an error on its way from must or check to attempt.
type failure struct{ error }

// check ends the round if err is not nil.
func check(err error) {
	if err != nil {
		panic(failure{err})
	}
}

// must returns v, unless err ends the round.
func must[T any](v T, err error) T {
	check(err)
	return v
}

// attempt returns the error that ended f.
func attempt(f func()) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case failure:
			err = p.error
		default:
			panic(p)
		}
	}()
	f()
	return nil
}

// within names what f does in the error that ends it.
func within(doing string, f func()) {
	if err := attempt(f); err != nil {
		check(fmt.Errorf("%s: %w", doing, err))
	}
}

// perform does the round, cleans up behind it and returns the error that ended it.
func (s *stage) perform(f func()) error { return attempt(func() { s.part(f) }) }

// part does f, and then stops what f has started.
func (s *stage) part(f func()) {
	outer := s.cleanups
	s.cleanups = nil
	defer func() {
		for i := len(s.cleanups) - 1; i >= 0; i-- {
			s.cleanups[i]()
		}
		s.cleanups = outer
	}()
	f()
}

func (s *stage) cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

const (
	startTimeout   = 20 * time.Second
	stopGrace      = 3 * time.Second
	connectTimeout = 60 * time.Second
)

// start runs a process until the end of the round.
func (s *stage) start(spec child.Spec) *child.Process {
	ctx, cancel := context.WithTimeout(s.ctx, startTimeout)
	defer cancel()
	p := must(child.Start(ctx, spec))
	s.cleanup(func() { p.Stop(stopGrace) })
	return p
}

// self runs a command of ws-bench that prints the address at which it serves.
func (s *stage) self(name string, args ...string) *child.Process {
	return s.start(child.Spec{Name: name, Path: s.Self, Args: args, Ready: addressAlone})
}

// EchoLoops is how many event loops the echo server has when asked for loops: 0
// means one for each processor that the load client's threads leave.
func EchoLoops(loops, threads int) int {
	if loops > 0 {
		return loops
	}
	return max(1, runtime.NumCPU()-threads)
}

// echoServer runs the echo server on netpoll alone.
func (s *stage) echoServer(loops int) *child.Process {
	return s.self("echo server", "echo-server", "--listen", "127.0.0.1:0", "--loops", strconv.Itoa(loops))
}

// patient lets the gateway live with load clients, which send no pings.
var patient = []string{"--ping-timeout", "1h"}

// gateway runs the gateway with a callback URL, push-only if that is "", and with
// further arguments; in a comparison, the one whose turn it is.
func (s *stage) gateway(callback string, further ...string) *child.Process {
	if s.rival.Path != "" {
		return s.start(child.Spec{Name: s.rival.Name, Path: s.rival.Path, Args: rivalArgs(callback, further), Ready: addressAlone})
	}
	return s.start(child.Spec{Name: "gateway", Path: s.Gateway, Args: s.gatewayArgs(callback, further), Ready: readyLine})
}

func (s *stage) gatewayArgs(callback string, further []string) []string {
	args := append([]string{"--listen", "127.0.0.1:0", "--log-format", "json", "--log-level", "info"}, further...)
	if callback == "" {
		args = append(args, "--no-callback")
	} else {
		args = append(args, "--callback-url", callback)
	}
	if s.Loops > 0 {
		args = append(args, "--loops", strconv.Itoa(s.Loops))
	}
	return append(args, s.GatewayArgs...)
}

// app is a process that takes callbacks.
type app struct {
	*child.Process
	sink.Control
}

func (s *stage) app(name string, args ...string) app {
	p := s.self(name, append([]string{name}, args...)...)
	return app{p, sink.At(p.Addr())}
}

// around runs the sink, and the gateway that calls it and that it calls, each with
// further arguments.
func (s *stage) around(forSink, forGateway []string) (gateway *child.Process, a app) {
	a = s.app("sink", forSink...)
	gateway = s.gateway(a.CallbackURL(), forGateway...)
	check(a.SetGateway(gateway.Addr()))
	return gateway, a
}

// told waits until the app knows of all connections: until then opening them is
// not done, and open events would fall into the window.
func (s *stage) told(a app, conns int, watched ...*child.Process) sink.Stats {
	s.show("waiting for open events")
	look := func() sink.Stats {
		seen := must(a.Stats())
		check(right(seen, conns))
		return seen
	}
	seen := until(s, connectTimeout, 5*time.Millisecond, look, func(seen sink.Stats) bool { return seen.Open == uint64(conns) }, watched...)
	if seen.Open != uint64(conns) {
		check(fmt.Errorf("the app was told of %d of %d connections", seen.Open, conns))
	}
	return seen
}

// sampling is the time between two looks at the gateway.
const sampling = 100 * time.Millisecond

// until looks until what it sees is right, no longer than patience, and returns what
// it saw last. It ends the round if a process ends meanwhile.
func until[T any](s *stage, patience, every time.Duration, look func() T, right func(T) bool, watched ...*child.Process) T {
	for deadline := time.Now().Add(patience); ; s.pause(every, watched...) {
		if now := look(); right(now) || time.Now().After(deadline) {
			return now
		}
	}
}

// right judges what the app has seen of conns connections, of which none has closed.
func right(seen sink.Stats, conns int) error {
	if seen.Failed > 0 || seen.Close > 0 || seen.Open > uint64(conns) {
		return fmt.Errorf("the app saw %d open and %d close events of %d connections, and %d failures, the first: %s",
			seen.Open, seen.Close, conns, seen.Failed, seen.Failure)
	}
	return nil
}

// connect opens connections, which are closed at the end of the round.
func (s *stage) connect(cfg load.Config, conns int) *load.Client {
	s.show("connecting")
	cfg.Threads, cfg.Busy = cmp.Or(cfg.Threads, s.Threads), s.Busy
	c := must(load.New(cfg))
	s.cleanup(c.Close)
	s.grow(c, conns)
	return c
}

// users opens connections to the gateway, each with a user of its own.
func (s *stage) users(gateway *child.Process, conns int) *load.Client {
	return s.connect(load.Config{Target: gateway.Addr(), Header: identity(0)}, conns)
}

// grow opens connections until there are conns.
func (s *stage) grow(c *load.Client, conns int) {
	ctx, cancel := context.WithTimeout(s.ctx, connectTimeout)
	defer cancel()
	if err := c.Connect(ctx, conns); err != nil {
		check(fmt.Errorf("connecting (%d of %d are open): %w", c.Open(), conns, err))
	}
}

// pause waits, and ends the round if the run or a process ends meanwhile.
func (s *stage) pause(d time.Duration, watched ...*child.Process) { check(pause(s.ctx, d, watched)) }

func pause(ctx context.Context, d time.Duration, watched []*child.Process) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	var errs []error
	for _, p := range watched {
		errs = append(errs, p.Alive())
	}
	return errors.Join(errs...)
}

// addressAlone recognises a line that is nothing but an address.
func addressAlone(line string) (netip.AddrPort, bool) {
	addr, err := netip.ParseAddrPort(line)
	return addr, err == nil
}

// readyLine recognises the gateway's log line that says where it listens.
func readyLine(line string) (netip.AddrPort, bool) {
	var entry struct{ Message, Listen string }
	if json.Unmarshal([]byte(line), &entry) != nil || entry.Message != "ready" {
		return netip.AddrPort{}, false
	}
	return addressAlone(entry.Listen)
}

// count writes a number for a name: 15000 as 15,000.
func count(n int) string { return report.Count(float64(n)) }
