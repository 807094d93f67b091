package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
	"ws-gateway/bench/proc"
	"ws-gateway/bench/report"
)

// What is promised of each of them, and the margin, is in promises.go.
const (
	checkConns = 500 // connections that send
	checkSize  = 64
)

// Check holds so many idle connections, and sends for window. Its cases have figures
// that count things instead of timing them, so that they come out the same on a
// machine that others use too.
//
// Reads and writes are the kernel's own count of them for the process: it is
// there everywhere, where strace would slow the server down to another
// behaviour and perf wants privileges. Where the kernel permits it, tracepoints
// count all system calls as well.
func Check(idle int, window time.Duration) ([]Case, error) {
	bare, err := load.Bare(load.Binary, checkSize)
	if err != nil {
		return nil, err
	}
	event, err := load.Event(checkSize)
	if err != nil {
		return nil, err
	}
	t := Traffic{Size: checkSize, Warmup: window / 4, Duration: window}
	return []Case{
		{Scenario: "check", Name: idleRatios, round: Idle(IdlePushOnly, idle, 0, 2*time.Second).round},
		{Scenario: "check", Name: echoRatios, round: func(ctx context.Context, s stage) (outcome, error) {
			return s.checkEcho(ctx, t, bare)
		}},
		{Scenario: "check", Name: tripRatios, round: func(ctx context.Context, s stage) (outcome, error) {
			return s.checkTrip(ctx, t, event)
		}},
	}, nil
}

// Names of Check's cases.
const (
	idleRatios = "idle connection"
	echoRatios = "echo"
	tripRatios = "round trip"
)

func (s stage) checkEcho(ctx context.Context, t Traffic, m *load.Message) (outcome, error) {
	server, err := s.Servers.startEcho(ctx, EchoLoops(s.Servers.Loops, s.Threads))
	if err != nil {
		return outcome{}, err
	}
	defer server.Stop(stopGrace)
	return s.ratios(ctx, server, t, m, nil)
}

func (s stage) checkTrip(ctx context.Context, t Traffic, m *load.Message) (outcome, error) {
	gateway, app, _, err := s.Servers.startAround(ctx, nil, patient)
	if err != nil {
		return outcome{}, err
	}
	defer app.Stop(stopGrace)
	defer gateway.Stop(stopGrace)
	return s.ratios(ctx, gateway, t, m, func() (float64, error) {
		all, err := scrape(gateway.Addr())
		return all["go_memstats_mallocs_total"], err
	})
}

// ratios sends traffic and counts what the server does for a message. allocated
// reads its allocations; nil where it does not tell.
func (s stage) ratios(ctx context.Context, server *child.Process, t Traffic, m *load.Message, allocated func() (float64, error)) (outcome, error) {
	c, err := s.connect(ctx, load.Config{Target: server.Addr(), Header: identity(0)}, checkConns)
	if err != nil {
		return outcome{}, err
	}
	defer c.Close()
	n := counters{server: server, allocated: allocated}
	defer n.close()
	if err := n.prepare(); err != nil {
		return outcome{}, err
	}
	s.show("counting")
	x := c.Start(load.Traffic{Message: m})
	before, after, err := n.over(ctx, t, x)
	r := x.End()
	if err := errors.Join(err, failures(r)); err != nil {
		return outcome{}, err
	}
	if r.Messages == 0 {
		return outcome{}, errors.New("no message came back: nothing can be said of one")
	}
	return n.figures(before, after, float64(r.Messages)), nil
}

// counters of one server.
type counters struct {
	server    *child.Process
	allocated func() (float64, error)
	own       float64 // allocations of reading them once
	kernel    []*proc.Counter
}

// counted is what the counters say at one time.
type counted struct {
	calls    proc.Calls
	switches uint64
	mallocs  float64
	kernel   []uint64
}

// traced are the kernel's events that are counted where that is permitted.
var traced = []struct{ event, figure string }{
	{proc.AnySyscall, "system calls"}, // the others are among them
	{proc.EpollWait, "epoll_wait"},
	{proc.Futex, futexFigure},
}

// prepare finds out what can be counted, and what counting costs.
func (n *counters) prepare() error {
	if n.allocated != nil {
		first, err := n.allocated()
		if err != nil {
			return err
		}
		second, err := n.allocated()
		if err != nil {
			return err
		}
		n.own = second - first
	}
	for _, t := range traced {
		c, err := proc.Count(n.server.PID(), t.event)
		switch {
		case errors.Is(err, proc.ErrNotPermitted):
			return nil
		case err != nil:
			return err
		}
		n.kernel = append(n.kernel, c)
	}
	return nil
}

func (n *counters) close() {
	for _, c := range n.kernel {
		c.Close()
	}
}

// over counts during the window of the exchange.
func (n *counters) over(ctx context.Context, t Traffic, x *load.Exchange) (before, after counted, err error) {
	watched := []*child.Process{n.server}
	if err = pause(ctx, t.Warmup, watched); err != nil {
		return before, after, err
	}
	if before, err = n.read(); err != nil {
		return before, after, err
	}
	x.Begin()
	if err = pause(ctx, t.Duration, watched); err != nil {
		return before, after, err
	}
	after, err = n.read()
	return before, after, err
}

func (n *counters) read() (c counted, err error) {
	if n.allocated != nil {
		if c.mallocs, err = n.allocated(); err != nil {
			return c, err
		}
	}
	if c.switches, _, err = proc.Switches(n.server.PID()); err != nil {
		return c, err
	}
	for _, k := range n.kernel {
		total, err := k.Total()
		if err != nil {
			return c, err
		}
		c.kernel = append(c.kernel, total)
	}
	c.calls, err = proc.CallsOf(n.server.PID()) // last: messages are counted from now on, or until now
	return c, err
}

func (n *counters) figures(before, after counted, messages float64) outcome {
	var o outcome
	o.add(readsFigure, "", float64(after.calls.Reads-before.calls.Reads)/messages)
	o.add(writesFigure, "", float64(after.calls.Writes-before.calls.Writes)/messages)
	if len(n.kernel) == len(traced) {
		each := make([]float64, len(traced))
		for i, t := range traced {
			each[i] = float64(after.kernel[i]-before.kernel[i]) / messages
			o.add(t.figure, "", each[i])
		}
		o.add(workFigure, "", each[0]-each[1]-each[2])
	} else {
		o.notes = append(o.notes, "the kernel does not let this user count all system calls: of these, reads and writes are counted")
	}
	o.add(sleepsFigure, "", float64(after.switches-min(before.switches, after.switches))/messages)
	if n.allocated != nil {
		o.add(mallocsFigure, "", max(0, after.mallocs-before.mallocs-n.own)/messages)
	}
	return o
}

// Names of figures, each for one message.
const (
	readsFigure   = "reads"
	writesFigure  = "writes"
	workFigure    = "system calls but those to wait" // without epoll_wait and futex, which depend on how busy the machine is
	futexFigure   = "futex"
	sleepsFigure  = "sleeps" // voluntary context switches
	mallocsFigure = "allocations"
)

// Promised holds summaries of Check against the promises.
func Promised(summaries []report.Summary) []report.Promise {
	var all []report.Promise
	for _, p := range promises {
		for _, s := range summaries {
			for _, l := range s.Lines {
				if s.Case != p.of || l.Name != p.figure {
					continue
				}
				all = append(all, report.Promise{
					What: fmt.Sprintf("%s: %s", p.of, p.figure), Unit: l.Unit,
					Median: l.Median, Min: l.Min, Promised: p.promised, Most: p.promised * p.margin,
				})
			}
		}
	}
	return all
}
