package scenario

import (
	"encoding/json"
	"errors"
	"fmt"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
	"ws-gateway/bench/report"
)

// Fanout measures one call to many connections, for each number of targets: how
// long until the last has it, what it costs, and how long unrelated connections
// wait for the gateway's pong meanwhile. Connections to an idle echo server wait
// beside them: what these wait is the machine's doing, not the gateway's. Calls
// follow each other.
type Fanout struct {
	Targets []int    `default:"10,100,1000,10000,15000" placeholder:"N" help:"Connections that one call reaches; all of these numbers are one case, and ascend."`
	To      []string `default:"users,all" enum:"users,all" placeholder:"WHOM" help:"How a call names them: users (a list), all; several are several cases."`
	Calls   int      `default:"10" placeholder:"N" help:"Calls for each number of targets, at least: to few targets there are more."`
	Size    int      `default:"64" placeholder:"BYTES" help:"Payload of a message."`
}

// Cases are one for each way to name the targets.
func (f Fanout) Cases(o Options) (cases []Case, err error) {
	m, err := load.Event(f.Size)
	if err := firstOf(possible("--targets", f.Targets...), err); err != nil {
		return nil, err
	}
	for i := 1; i < len(f.Targets); i++ {
		if f.Targets[i] <= f.Targets[i-1] {
			return nil, errors.New("--targets must ascend")
		}
	}
	if f.Calls < 1 {
		return nil, errors.New("--calls must be at least 1")
	}
	if o.Threads != 1 {
		return nil, errOneThread
	}
	for _, to := range f.To {
		name := "one call naming users"
		if to == "all" {
			name = "one call to all"
		}
		one := fanout{to, f.Targets, f.Calls, m}
		cases = append(cases, Case{Scenario: "fanout", Name: fmt.Sprintf("%s, %s B", name, count(f.Size)), Gateway: true, round: one.round})
	}
	return cases, nil
}

type fanout struct {
	to      string // "all" is everybody, the few that measure the delay excluded
	targets []int
	calls   int
	message *load.Message
}

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

func (f fanout) round(s *stage) {
	gateway, w, who := f.watched(s)
	quiet := w.during(func() { s.pause(calm, gateway) })
	c := s.users(gateway, f.targets[0])
	var all []spread
	for _, n := range f.targets {
		s.show(count(n) + " targets")
		s.grow(c, n)
		within(count(n)+" targets", func() {
			all = append(all, f.spread(s, c, w, gateway, load.Calls{
				API: gateway.Addr(), Message: f.message, Groups: []load.Group{{To: f.member(n, who), First: 0, Count: n}},
			}))
		})
	}
	f.figures(s, quiet, all)
}

// watched runs a gateway and those who measure the delay. who are those of them that
// are connected to it.
func (f fanout) watched(s *stage) (gateway *child.Process, w watchers, who roster) {
	gateway = s.gateway("", patient...)
	return gateway, s.watchers(gateway), must(connected(gateway.Addr()))
}

// member names n targets in a call. who are the ones to be left out.
func (f fanout) member(n int, who roster) string {
	if f.to == "users" {
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
func (f fanout) spread(s *stage, c *load.Client, w watchers, gateway *child.Process, calls load.Calls) spread {
	one := spread{targets: calls.Groups[0].Count}
	calls.Limit = 2 // the server's first are not like the others
	f.push(s, c, gateway, calls)
	calls.Limit = f.repeats(one.targets)
	one.used = costing([]*child.Process{gateway}, func() { one.alone = f.push(s, c, gateway, calls) })[0]
	one.delay = w.during(func() { f.push(s, c, gateway, calls) })
	return one
}

// push makes calls until their limit.
func (f fanout) push(s *stage, c *load.Client, gateway *child.Process, calls load.Calls) load.PushResult {
	x := must(c.Push(calls))
	select {
	case <-x.Done():
	case <-s.ctx.Done():
	case <-gateway.Exited():
	}
	r := x.End()
	check(errors.Join(s.ctx.Err(), gateway.Alive(), r.Err()))
	return r
}

func (f fanout) figures(s *stage, quiet delays, all []spread) {
	curves := []report.Curve{
		{Name: "to the last", Unit: "ms"}, {Name: "gateway CPU, a million deliveries", Unit: "s"},
		{Name: "pong meanwhile, max", Unit: "ms"}, {Name: "an idle server's echo meanwhile, max", Unit: "ms"},
	}
	limited := load.Result{}
	for _, one := range all {
		n := count(one.targets) + " targets: "
		last, each := milliseconds(one.alone.Last), one.used.perMillion(one.alone.Messages)
		pong, idle := one.delay.pong.Percentile(100), one.delay.idle.Percentile(100)
		s.add(n+"to the last, median", "ms", last(50))
		s.add(n+"to the last, max", "ms", last(100))
		s.add(n+"gateway CPU, a million deliveries", "s", each)
		s.add(n+"pong meanwhile p99", "ms", one.delay.pong.Percentile(99))
		s.add(n+"pong meanwhile, max", "ms", pong)
		s.add(n+"idle server's echo, max", "ms", idle)
		s.add(n+"pong later than that", "ms", max(0, pong-idle))
		for i, y := range []float64{last(50), each, pong, idle} {
			curves[i].Axis = report.Connections
			curves[i].Points = append(curves[i].Points, [2]float64{float64(one.targets), y})
		}
		if one.alone.Load > limited.Load {
			limited = one.alone.Result
		}
	}
	s.add("without calls: pong p99", "ms", quiet.pong.Percentile(99))
	s.add("without calls: pong, max", "ms", quiet.pong.Percentile(100))
	s.curves = append(s.curves, curves...)
	s.addLimit(limited)
}
