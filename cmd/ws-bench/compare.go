package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ws-gateway/bench/report"
	"ws-gateway/bench/scenario"
)

type compareCommand struct {
	runOptions
	trafficOptions
	Peers  []string      `placeholder:"NAME" help:"Servers that the echo server on netpoll is compared with. Default: all of bench/peers, the one in C if there is a C compiler."`
	Work   []string      `enum:"echo,idle,broadcast" default:"echo,idle,broadcast" placeholder:"KIND" help:"What they do: echo, idle (connections are opened and held), broadcast."`
	Conns  []int         `default:"1000,10000" placeholder:"N" help:"Connections. Several numbers are several cases of echo; idle and broadcast take the largest."`
	Procs  int           `default:"0" placeholder:"N" help:"GOMAXPROCS and event loops of every server, ours too; the one in C has one thread always. 0: what the load threads leave of the processors. --loops has no say here."`
	Settle time.Duration `default:"2s" placeholder:"DUR" help:"Idle: time between the last handshake and reading the figures."`
}

// Run measures compare.
func (c *compareCommand) Run(ctx context.Context, io *streams) error {
	traffic, err := c.traffic()
	if err != nil {
		return err
	}
	if err := c.check(c.Conns); err != nil {
		return err
	}
	cfg := scenario.CompareConfig{Procs: scenario.EchoLoops(c.Procs, c.Threads), Traffic: traffic, Settle: c.Settle}
	if slices.Contains(c.Work, "echo") {
		cfg.Conns = c.Conns
	}
	if slices.Contains(c.Work, "idle") {
		cfg.Idle = slices.Max(c.Conns)
	}
	if slices.Contains(c.Work, "broadcast") {
		cfg.Targets = slices.Max(c.Conns)
	}
	return c.with(ctx, io, false, func(about report.Run, env *scenario.Env, out *output) error {
		peers, remove, err := buildPeers(ctx, c.Peers, out.progress)
		if err != nil {
			return err
		}
		defer remove()
		cfg.Peers = peers
		all, err := scenario.Compare(cfg, env.Servers)
		if err != nil {
			return err
		}
		about.Rounds = c.Rounds
		return out.compare(ctx, about, env, all, cfg.Procs)
	})
}

// compare measures, writing each round as it comes, and the ratios of what there is
// at the end, also when a round failed.
func (o *output) compare(ctx context.Context, about report.Run, env *scenario.Env, all []scenario.Comparison, procs int) error {
	if err := o.record(about); err != nil {
		return err
	}
	var cases []scenario.Case
	for _, c := range all {
		cases = append(cases, c.Cases...)
	}
	rounds := make(map[string][]report.Round, len(cases))
	failed := scenario.Run(ctx, env, cases, about.Rounds, func(r report.Round) error {
		rounds[r.Case] = append(rounds[r.Case], r)
		return o.record(r)
	})
	o.progress.Clear()
	if err := report.WriteHead(o.table, about); err != nil {
		return err
	}
	_, err := fmt.Fprintf(o.table, "Medians, and the rounds' ratios to ours: 2 is twice as much. GOMAXPROCS and loops of each server: %d.\n\n", procs)
	if err != nil {
		return err
	}
	for _, c := range all {
		if err := o.comparison(c, rounds); err != nil {
			return err
		}
	}
	return failed
}

// comparison writes what came out of one.
func (o *output) comparison(c scenario.Comparison, rounds map[string][]report.Round) error {
	var all []report.Round
	for _, one := range c.Cases {
		if len(rounds[one.Name]) == 0 {
			continue
		}
		if err := o.record(report.Summarise(rounds[one.Name])); err != nil {
			return err
		}
		all = append(all, rounds[one.Name]...)
	}
	if len(all) == 0 {
		return nil
	}
	ratios := c.Ratios(rounds)
	for _, r := range ratios {
		if err := o.record(r); err != nil {
			return err
		}
	}
	together := report.Summarise(all) // of all servers: what was remarked, and in how many rounds
	var notes []string
	for _, n := range together.Notes {
		notes = append(notes, fmt.Sprintf("%s (%d of %d rounds)", n.Text, n.Rounds, together.Rounds))
	}
	return report.WriteRatios(o.table, c.Name, ratios, notes)
}
