package scenario

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
	"ws-gateway/bench/proc"
	"ws-gateway/bench/report"
)

// Traffic says how echo and roundtrip send.
type Traffic struct {
	Size     int           // bytes of a message
	Active   int           // connections that send; 0: all
	Rate     float64       // messages a second, open loop; 0: closed loop
	Depth    int           // messages of a connection under way in the closed loop; 0: 1
	OneWay   bool          // no replies are due; needs a Rate
	Warmup   time.Duration // before the window that is measured
	Duration time.Duration // of this window
}

// describe names the traffic for a case's name.
func (t Traffic) describe(conns int) string {
	text := fmt.Sprintf("%s connections", count(conns))
	if t.Active > 0 && t.Active < conns {
		text += fmt.Sprintf(" of which %s send", count(t.Active))
	}
	text += fmt.Sprintf(", %s B", count(t.Size))
	if t.Rate > 0 {
		return text + fmt.Sprintf(", open loop at %s/s", count(int(t.Rate)))
	}
	if t.Depth > 1 {
		return text + fmt.Sprintf(", closed loop %s deep", count(t.Depth))
	}
	return text + ", closed loop"
}

// cost is what a process used in the window.
type cost struct {
	cpu      time.Duration
	switches uint64 // voluntary: it slept and was woken
}

// perMillion is processor seconds for a million messages.
func (c cost) perMillion(messages uint64) float64 {
	return c.cpu.Seconds() / float64(messages) * 1e6
}

// window sends traffic and measures what it costs the processes, in their order.
func (s stage) window(ctx context.Context, c *load.Client, t Traffic, m *load.Message, watched ...*child.Process) (load.Result, []cost, error) {
	s.show("warming up")
	x := c.Start(load.Traffic{Message: m, Active: t.Active, Rate: t.Rate, Depth: t.Depth, OneWay: t.OneWay})
	err := pause(ctx, t.Warmup, watched)
	var before, after []cost
	if err == nil {
		s.show("measuring")
		x.Begin()
		before, err = costs(watched)
	}
	if err == nil {
		profiled := s.profile(ctx, watched[0], t.Duration)
		err = errors.Join(pause(ctx, t.Duration, watched), profiled())
	}
	if err == nil {
		after, err = costs(watched)
	}
	r := x.End()
	if err = errors.Join(err, failures(r)); err != nil {
		return r, nil, err
	}
	for i := range after {
		after[i].cpu -= before[i].cpu
		after[i].switches -= min(after[i].switches, before[i].switches)
	}
	return r, after, nil
}

// failures turns what went wrong on connections into an error: figures of a
// server that errs are worth nothing.
func failures(r load.Result) error {
	if r.Failures == 0 {
		return nil
	}
	return fmt.Errorf("%d failures on connections, such as: %s", r.Failures, strings.Join(r.Details, "; "))
}

func costs(watched []*child.Process) ([]cost, error) {
	all := make([]cost, len(watched))
	for i, p := range watched {
		var err error
		if all[i].cpu, err = proc.CPU(p.PID()); err != nil {
			return nil, err
		}
		if all[i].switches, _, err = proc.Switches(p.PID()); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// pause waits, and reports when ctx or a process has ended meanwhile.
func pause(ctx context.Context, d time.Duration, watched []*child.Process) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return alive(watched)
}

func alive(watched []*child.Process) error {
	var errs []error
	for _, p := range watched {
		errs = append(errs, p.Alive())
	}
	return errors.Join(errs...)
}

// addTraffic reports what the load client saw.
func (o *outcome) addTraffic(r load.Result, busy bool) {
	for _, p := range []struct {
		name string
		at   float64
	}{{"latency p50", 50}, {"latency p90", 90}, {"latency p99", 99}, {"latency p99.9", 99.9}, {"latency max", 100}} {
		o.add(p.name, "ms", r.Percentile(p.at))
	}
	o.curves = append(o.curves, report.Curve{Name: "latency", Unit: "ms", Axis: report.Percentile, Points: r.Curve()})
	o.add("load client CPU, a million", "s", cost{cpu: r.CPU}.perMillion(r.Messages))
	o.addLimit(r, busy)
}

// addLimit says whether the load client was the limit.
func (o *outcome) addLimit(r load.Result, busy bool) {
	o.add("load client, busiest thread", "%", 100*r.Load)
	switch {
	case r.Saturated() && r.Waited > 0.2:
		o.notes = append(o.notes, "the load client waited for a processor: latency and rate are the machine's")
	case r.Saturated():
		o.notes = append(o.notes, "the load client was the limit: latency and rate are its own, server CPU still counts")
	}
	if busy && runtime.NumCPU() < 2 {
		o.notes = append(o.notes, "a load client that spins took the server's only processor")
	}
}

// connect opens connections and closes the client again if that fails.
func (s stage) connect(ctx context.Context, cfg load.Config, conns int) (*load.Client, error) {
	s.show("connecting")
	cfg.Threads, cfg.Busy = s.Threads, s.Busy
	c, err := load.New(cfg)
	if err != nil {
		return nil, err
	}
	if err := s.grow(ctx, c, conns); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

const connectTimeout = 60 * time.Second

func (s stage) grow(ctx context.Context, c *load.Client, conns int) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := c.Connect(ctx, conns); err != nil {
		return fmt.Errorf("connecting (%d of %d are open): %w", c.Open(), conns, err)
	}
	return nil
}
