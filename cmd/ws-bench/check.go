package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"ws-gateway/bench/report"
	"ws-gateway/bench/scenario"
)

type checkCommand struct {
	Rounds int `default:"3" placeholder:"N" help:"Rounds; the best one counts, since others on the machine make figures worse and never better."`
	serverOptions
	Conns  int           `default:"15000" placeholder:"N" help:"Idle connections. With fewer, what the process itself takes moves the bytes of each by more than the margin."`
	Window time.Duration `default:"2s" placeholder:"DUR" help:"Time in which messages are counted."`
}

var errPromise = errors.New("what is promised does not hold")

// Run counts, and fails where a promise is broken by more than its margin.
func (c *checkCommand) Run(ctx context.Context, io *streams) error {
	if c.Rounds < 1 || c.Window <= 0 {
		return fmt.Errorf("--rounds must be at least 1, --window above 0")
	}
	if c.Conns < 2 || c.Conns > scenario.MostConnections {
		return fmt.Errorf("--conns must be 2 to %d", scenario.MostConnections)
	}
	cases, err := scenario.Check(c.Conns, c.Window)
	if err != nil {
		return err
	}
	return c.with(ctx, io, true, func(about report.Run, env *scenario.Env, out *output) error {
		about.Rounds = c.Rounds
		return out.check(ctx, about, env, cases)
	})
}

// check writes each round as it comes, and the promises at the end.
func (o *output) check(ctx context.Context, about report.Run, env *scenario.Env, cases []scenario.Case) error {
	if err := o.record(about); err != nil {
		return err
	}
	rounds := make(map[string][]report.Round)
	if err := scenario.Run(ctx, env, cases, about.Rounds, func(r report.Round) error {
		rounds[r.Case] = append(rounds[r.Case], r)
		return o.record(r)
	}); err != nil {
		return err
	}
	o.progress.Clear()
	var summaries []report.Summary
	for _, c := range cases {
		s := report.Summarise(rounds[c.Name])
		summaries = append(summaries, s)
		if err := o.record(s); err != nil {
			return err
		}
	}
	if err := report.WriteHead(o.table, about); err != nil {
		return err
	}
	promises := scenario.Promised(summaries)
	if err := report.WritePromises(o.table, promises); err != nil {
		return err
	}
	for _, s := range summaries {
		for _, n := range s.Notes {
			fmt.Fprintf(o.table, "  %s: %s\n", s.Case, n.Text)
		}
	}
	return kept(promises)
}

// kept names the promises that are broken.
func kept(promises []report.Promise) error {
	var broken []string
	for _, p := range promises {
		if !p.Held() {
			broken = append(broken, fmt.Sprintf("%s is %s, at most %s", p.What, report.Number(p.Min), report.Number(p.Most)))
		}
	}
	if broken == nil {
		return nil
	}
	return fmt.Errorf("%w: %s", errPromise, strings.Join(broken, "; "))
}
