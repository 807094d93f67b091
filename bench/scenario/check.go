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
// Reads and writes are the kernel's own count of them for the process, which has
// no recv and send, and the gateway's count of those on clients' sockets. Both are
// there everywhere, where strace would slow the server down to another behaviour
// and perf wants privileges. Where the kernel permits it, tracepoints count all
// system calls as well.
func Check(idle int, window time.Duration) ([]Case, error) {
	event, err := load.Event(checkSize)
	if err != nil {
		return nil, err
	}
	t := Traffic{Size: checkSize, Warmup: window / 4, Duration: window}
	return []Case{
		{Scenario: "check", Name: idleRatios, round: Idle(IdlePushOnly, idle, 0, 2*time.Second).round},
		{Scenario: "check", Name: pingRatios, round: func(ctx context.Context, s stage) (outcome, error) {
			return s.checkPing(ctx, t)
		}},
		{Scenario: "check", Name: tripRatios, round: func(ctx context.Context, s stage) (outcome, error) {
			return s.checkTrip(ctx, t, event)
		}},
	}, nil
}

// Names of Check's cases.
const (
	idleRatios = "idle connection"
	pingRatios = "ping"
	tripRatios = "round trip"
)

// checkPing has the gateway itself answer: what passes through no app.
func (s stage) checkPing(ctx context.Context, t Traffic) (outcome, error) {
	gateway, err := s.Servers.startGateway(ctx, "", patient)
	if err != nil {
		return outcome{}, err
	}
	defer gateway.Stop(stopGrace)
	return s.ratios(ctx, gateway, t, load.Ping())
}

func (s stage) checkTrip(ctx context.Context, t Traffic, m *load.Message) (outcome, error) {
	gateway, app, _, err := s.Servers.startAround(ctx, nil, patient)
	if err != nil {
		return outcome{}, err
	}
	defer app.Stop(stopGrace)
	defer gateway.Stop(stopGrace)
	return s.ratios(ctx, gateway, t, m)
}

// ratios sends traffic and counts what the gateway does for a message.
func (s stage) ratios(ctx context.Context, gateway *child.Process, t Traffic, m *load.Message) (outcome, error) {
	c, err := s.connect(ctx, load.Config{Target: gateway.Addr(), Header: identity(0)}, checkConns)
	if err != nil {
		return outcome{}, err
	}
	defer c.Close()
	n := counters{server: gateway, metrics: func() (metrics, error) { return scrape(gateway.Addr()) }}
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
	server  *child.Process
	metrics func() (metrics, error)
	own     float64 // allocations of reading them once
	kernel  []*proc.Counter
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
	first, err := n.metrics()
	if err != nil {
		return err
	}
	second, err := n.metrics()
	if err != nil {
		return err
	}
	n.own = second[mallocsMetric] - first[mallocsMetric]
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
	m, err := n.metrics()
	if err != nil {
		return c, err
	}
	c.mallocs = m[mallocsMetric]
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
	c.calls.Reads += uint64(m["socket_reads_total"])
	c.calls.Writes += uint64(m["socket_writes_total"])
	return c, err
}

const mallocsMetric = "go_memstats_mallocs_total"

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
	o.add(mallocsFigure, "", max(0, after.mallocs-before.mallocs-n.own)/messages)
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
