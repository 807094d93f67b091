package scenario

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
	"ws-gateway/bench/proc"
	"ws-gateway/bench/report"
)

// Traffic says how messages are sent.
type Traffic struct {
	Size   int     `default:"64" placeholder:"BYTES" help:"Payload of a message."`
	Active int     `default:"0" placeholder:"N" help:"Connections that send; the others are idle. 0: all."`
	Rate   float64 `default:"0" placeholder:"N" help:"Messages a second, sent when they are due and not when the last reply came (open loop). 0: closed loop."`
	Window

	depth  int  // messages of a connection under way in the closed loop; 0: 1
	oneWay bool // no replies are due; needs a Rate
}

// Window is the part of a round that is measured.
type Window struct {
	Warmup   time.Duration `default:"500ms" placeholder:"DUR" help:"Time before the part of a round that is measured."`
	Duration time.Duration `default:"3s" placeholder:"DUR" help:"Time that is measured in a round."`
}

// possible checks the options.
func (t Traffic) possible() error {
	if t.Active < 0 || t.Rate < 0 || t.Warmup < 0 || t.Duration <= 0 {
		return errors.New("--active, --rate and --warmup must not be below 0, --duration above it")
	}
	return nil
}

// drain is how long replies that are outstanding at the end are waited for: 10,000
// connections have as many, and the machine may be busy.
const drain = 30 * time.Second

// describe names the traffic for a case's name.
func (t Traffic) describe(conns int) string {
	text := fmt.Sprintf("%s connections", count(conns))
	if t.Active > 0 && t.Active < conns {
		text += fmt.Sprintf(" of which %s send", count(t.Active))
	}
	return text + fmt.Sprintf(", %s B", count(t.Size)) + t.loop()
}

func (t Traffic) loop() string {
	switch {
	case t.Rate > 0:
		return fmt.Sprintf(", open loop at %s/s", count(int(t.Rate)))
	case t.depth > 1:
		return fmt.Sprintf(", closed loop %s deep", count(t.depth))
	default:
		return ", closed loop"
	}
}

// cost is what a process used in the window.
type cost struct {
	cpu      time.Duration
	switches uint64 // voluntary: it slept and was woken
}

// since is what was used after before.
func (c cost) since(before cost) cost {
	return cost{cpu: c.cpu - before.cpu, switches: c.switches - min(c.switches, before.switches)}
}

// perMillion is processor seconds for a million messages.
func (c cost) perMillion(messages uint64) float64 {
	return c.cpu.Seconds() / float64(messages) * 1e6
}

// busy is the share of one processor in per cent.
func (c cost) busy(of time.Duration) float64 { return 100 * c.cpu.Seconds() / of.Seconds() }

// sleeps are context switches for a thousand messages.
func (c cost) sleeps(messages uint64) float64 { return float64(c.switches) / float64(messages) * 1e3 }

func costs(watched []*child.Process) []cost {
	all := make([]cost, len(watched))
	for i, p := range watched {
		all[i] = cost{cpu: must(proc.CPU(p.PID())), switches: must(proc.Sleeps(p.PID()))}
	}
	return all
}

// costing does f and returns what the processes used meanwhile, in their order.
func costing(watched []*child.Process, f func()) []cost {
	before := costs(watched)
	f()
	after := costs(watched)
	for i := range after {
		after[i] = after[i].since(before[i])
	}
	return after
}

// traffic sends messages and measures what they cost the processes, in their order.
func (s *stage) traffic(c *load.Client, t Traffic, m *load.Message, watched ...*child.Process) (load.Result, []cost) {
	s.show("warming up")
	x := c.Start(load.Traffic{Message: m, Active: t.Active, Rate: t.Rate, Depth: t.depth, OneWay: t.oneWay, Drain: drain})
	return window(s, x, t.Window, watched...)
}

// window measures what a flow of messages costs the processes, in their order, and
// ends it. Figures of a server that errs are worth nothing: then the round ends.
func window[R interface{ Err() error }](s *stage, flow interface {
	Begin()
	End() R
}, w Window, watched ...*child.Process) (result R, used []cost) {
	err := attempt(func() {
		s.pause(w.Warmup, watched...)
		s.show("measuring")
		flow.Begin()
		used = costing(watched, func() {
			s.profiled(watched[0], w.Duration, func() { s.pause(w.Duration, watched...) })
		})
	})
	result = flow.End()
	check(errors.Join(err, result.Err()))
	return result, used
}

// addTraffic reports what the load client saw.
func (s *stage) addTraffic(r load.Result) {
	s.percentiles("latency", r.Percentile, 50, 90, 99, 99.9, 100)
	s.curves = append(s.curves, report.Curve{Name: "latency", Unit: "ms", Axis: report.Percentile, Points: r.Curve()})
	s.add("load client CPU, a million", "s", cost{cpu: r.CPU}.perMillion(r.Messages))
	s.addLimit(r)
}

// addServer reports what a server used for the messages of a result.
func (s *stage) addServer(name string, used cost, r load.Result) {
	s.add(name+" busy, of one processor", "%", used.busy(r.Elapsed))
	s.add(name+" sleeps, a thousand", "", used.sleeps(r.Messages))
}

// addLimit says whether the load client was the limit.
func (s *stage) addLimit(r load.Result) {
	s.add("load client, busiest thread", "%", 100*r.Load)
	switch {
	case r.Saturated() && r.Waited > 0.2:
		s.note("the load client waited for a processor: latency and rate are the machine's")
	case r.Saturated():
		s.note("the load client was the limit: latency and rate are its own, server CPU still counts")
	}
	if s.Busy && runtime.NumCPU() < 2 {
		s.note("a load client that spins took the server's only processor")
	}
}
