package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
	"ws-gateway/bench/report"
)

// FanoutTarget is how a call of Fanout names all connections.
type FanoutTarget string

// The targets of Fanout.
const (
	FanoutUsers FanoutTarget = "users" // a list of users, of one connection each
	FanoutAll   FanoutTarget = "all"   // everybody, the few that measure the delay excluded
)

// Fanout measures one call to many connections, for each number of targets, which
// must ascend: how long until the last has it, what it costs, and how long
// unrelated connections wait for the gateway's pong meanwhile. Connections to an
// idle echo server wait beside them: what these wait is the machine's doing, not
// the gateway's. Calls follow each other; for each number there are at least calls
// of them, and more where they are small.
func Fanout(to FanoutTarget, targets []int, size, calls int) (Case, error) {
	m, err := load.Event(size)
	if err != nil {
		return Case{}, err
	}
	for i, n := range targets {
		if n < 1 || i > 0 && n <= targets[i-1] {
			return Case{}, errors.New("numbers of targets must be above 0, and ascend")
		}
	}
	f := fanout{to, targets, calls, m}
	name := "one call naming users"
	if to == FanoutAll {
		name = "one call to all"
	}
	return Case{Scenario: "fanout", Name: fmt.Sprintf("%s, %s B", name, count(size)), round: f.round}, nil
}

type fanout struct {
	to      FanoutTarget
	targets []int
	calls   int
	message *load.Message
}

// The connections that measure the delay: some on each of a server's loops,
// pinging often enough that no call goes unnoticed.
const (
	probes    = 8
	probeRate = 1_000 // pings a second of all together
	calm      = 500 * time.Millisecond
)

// Deliveries that are enough for a figure, and the most calls for it.
const (
	enoughDeliveries = 30_000
	mostCalls        = 2_000
)

// repeats is how often n targets are called.
func (f fanout) repeats(n int) int { return max(f.calls, min(enoughDeliveries/n, mostCalls)) }

// spread is what came out for one number of targets.
type spread struct {
	targets int
	alone   load.PushResult // calls, and nothing else
	used    cost            // by the gateway for them
	delay   delays          // during other calls like them
}

// delays are those of unrelated connections.
type delays struct{ pong, idle load.Result }

// watchers are the connections that measure them.
type watchers struct{ gateway, idle *load.Client }

func (f fanout) round(ctx context.Context, s stage) (outcome, error) {
	s = s.oneThread()
	gateway, err := s.Servers.startGateway(ctx, "", patient)
	if err != nil {
		return outcome{}, err
	}
	defer gateway.Stop(stopGrace)
	idle, err := s.Servers.startEcho(ctx, 1)
	if err != nil {
		return outcome{}, err
	}
	defer idle.Stop(stopGrace)
	var w watchers
	if w.gateway, err = s.watch(ctx, gateway); err != nil {
		return outcome{}, err
	}
	defer w.gateway.Close()
	if w.idle, err = s.watch(ctx, idle); err != nil {
		return outcome{}, err
	}
	defer w.idle.Close()
	who, err := connected(ctx, gateway)
	if err != nil {
		return outcome{}, err
	}
	quiet, err := w.during(func() error { return pause(ctx, calm, []*child.Process{gateway, idle}) })
	if err != nil {
		return outcome{}, err
	}
	c, err := s.connect(ctx, load.Config{Target: gateway.Addr(), Header: identity(0)}, f.targets[0])
	if err != nil {
		return outcome{}, err
	}
	defer c.Close()
	var all []spread
	for _, n := range f.targets {
		s.show(fmt.Sprintf("%s targets", count(n)))
		if err := s.grow(ctx, c, n); err != nil {
			return outcome{}, err
		}
		calls := load.Calls{
			API: gateway.Addr(), Message: f.message, Groups: []load.Group{{To: f.member(n, who), First: 0, Count: n}},
		}
		one, err := f.spread(ctx, c, w, gateway, calls)
		if err != nil {
			return outcome{}, fmt.Errorf("%s targets: %w", count(n), err)
		}
		all = append(all, one)
	}
	return f.figures(s, quiet, all), nil
}

// watch opens the connections that measure the delay at a server.
func (s stage) watch(ctx context.Context, server *child.Process) (*load.Client, error) {
	s.show("connecting")
	c, err := load.New(load.Config{Target: server.Addr(), Header: func(dst []byte, conn int) []byte {
		return fmt.Appendf(dst, "X-Bfl-User: probe-%d\r\n", conn)
	}})
	if err != nil {
		return nil, err
	}
	if err := s.grow(ctx, c, probes); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// during measures the delays while f runs.
func (w watchers) during(f func() error) (delays, error) {
	pong := w.gateway.Start(load.Traffic{Message: load.Ping(), Rate: probeRate})
	idle := w.idle.Start(load.Traffic{Message: load.Echoed(load.Ping()), Rate: probeRate})
	pong.Begin()
	idle.Begin()
	err := f()
	d := delays{pong: pong.End(), idle: idle.End()}
	return d, errors.Join(err, failures(d.pong), failures(d.idle))
}

// member names n targets in a call. who are the ones to be left out.
func (f fanout) member(n int, who roster) string {
	if f.to == FanoutUsers {
		return usersMember(0, n)
	}
	var ids []string
	for _, conns := range who {
		ids = append(ids, conns...)
	}
	exclude, _ := json.Marshal(ids) // strings
	return `"all":true,"exclude":` + string(exclude)
}

// spread measures one number of targets: the cost first, alone; then the delay.
func (f fanout) spread(ctx context.Context, c *load.Client, w watchers, gateway *child.Process, calls load.Calls) (spread, error) {
	one := spread{targets: calls.Groups[0].Count}
	calls.Limit = 2 // the server's first are not like the others
	if _, err := f.push(ctx, c, gateway, calls); err != nil {
		return one, err
	}
	calls.Limit = f.repeats(one.targets)
	before, err := costs([]*child.Process{gateway})
	if err != nil {
		return one, err
	}
	if one.alone, err = f.push(ctx, c, gateway, calls); err != nil {
		return one, err
	}
	after, err := costs([]*child.Process{gateway})
	if err != nil {
		return one, err
	}
	one.used = after[0].since(before[0])
	one.delay, err = w.during(func() error {
		_, err := f.push(ctx, c, gateway, calls)
		return err
	})
	return one, err
}

// push makes calls until their limit.
func (f fanout) push(ctx context.Context, c *load.Client, gateway *child.Process, calls load.Calls) (load.PushResult, error) {
	x, err := c.Push(calls)
	if err != nil {
		return load.PushResult{}, err
	}
	select {
	case <-x.Done():
	case <-ctx.Done():
	case <-gateway.Exited():
	}
	r := x.End()
	return r, errors.Join(ctx.Err(), gateway.Alive(), failures(r.Result))
}

// goals are section 4's for one call naming 10,000 users: seconds for a
// million deliveries, milliseconds to the last.
func (f fanout) goals(n int) (cpu, last float64) {
	if f.to != FanoutUsers || n != 10_000 || f.message.Size() != 64 {
		return 0, 0
	}
	return 16, 150
}

// longestDelay is section 4's "nobody's read delayed over 5 ms by it": beyond what
// the machine does to an idle server.
const longestDelay = 5

func (f fanout) figures(s stage, quiet delays, all []spread) outcome {
	var o outcome
	last := report.Curve{Name: "to the last", Unit: "ms", Axis: report.Connections}
	cpu := report.Curve{Name: "gateway CPU, a million deliveries", Unit: "s", Axis: report.Connections}
	delay := report.Curve{Name: "pong meanwhile, max", Unit: "ms", Axis: report.Connections}
	machine := report.Curve{Name: "an idle server's echo meanwhile, max", Unit: "ms", Axis: report.Connections}
	limited := load.Result{}
	for _, one := range all {
		n, x := count(one.targets), float64(one.targets)
		cpuGoal, lastGoal := f.goals(one.targets)
		median, each := milliseconds(one.alone.Last, 50), one.used.perMillion(one.alone.Messages)
		pong, idle := one.delay.pong.Percentile(100), one.delay.idle.Percentile(100)
		o.addWithGoal(n+" targets: to the last, median", "ms", median, lastGoal)
		o.add(n+" targets: to the last, max", "ms", milliseconds(one.alone.Last, 100))
		o.addWithGoal(n+" targets: gateway CPU, a million deliveries", "s", each, cpuGoal)
		o.add(n+" targets: pong meanwhile p99", "ms", one.delay.pong.Percentile(99))
		o.add(n+" targets: pong meanwhile, max", "ms", pong)
		o.add(n+" targets: idle server's echo, max", "ms", idle)
		o.addWithGoal(n+" targets: pong later than that", "ms", max(0, pong-idle), longestDelay)
		last.Points = append(last.Points, [2]float64{x, median})
		cpu.Points = append(cpu.Points, [2]float64{x, each})
		delay.Points = append(delay.Points, [2]float64{x, pong})
		machine.Points = append(machine.Points, [2]float64{x, idle})
		if one.alone.Load > limited.Load {
			limited = one.alone.Result
		}
	}
	o.add("without calls: pong p99", "ms", quiet.pong.Percentile(99))
	o.add("without calls: pong, max", "ms", quiet.pong.Percentile(100))
	o.curves = append(o.curves, last, cpu, delay, machine)
	o.addLimit(limited, s.Busy)
	return o
}
