package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"ws-gateway/bench/report"
	"ws-gateway/bench/scenario"
)

type chaosCommand struct {
	serverOptions
	Only     []string      `placeholder:"NAME" sep:";" help:"Variants to hold, such as 'replies' or 'outages'; several are separated by semicolons. Default: all."`
	Duration time.Duration `default:"2m" placeholder:"DUR" help:"Time in which clients come and the app misbehaves, of all variants together. Each takes some seconds more until all is quiet."`
	Conns    int           `default:"60" placeholder:"N" help:"Clients at a time; each that leaves is followed by another."`
	Seed     uint64        `default:"0" placeholder:"N" help:"Seed of what the app and the clients do. 0: a random one, which the table names."`
}

// Run lets chaos pass. Without --gateway the gateway is built with the race
// detector. It fails when an invariant is broken.
func (c *chaosCommand) Run(ctx context.Context, io *streams) error {
	if c.Seed == 0 {
		c.Seed = rand.Uint64N(1_000_000) + 1
	}
	chaos, err := scenario.NewChaos(scenario.ChaosConfig{Duration: c.Duration, Seed: c.Seed, Conns: c.Conns, Only: c.Only})
	if err != nil {
		return err
	}
	if c.Gateway == "" {
		fmt.Fprintln(io.err, "building the gateway with the race detector")
		path, remove, err := buildRace(ctx)
		if err != nil {
			return err
		}
		defer remove()
		c.Gateway = path
	}
	return c.with(ctx, io, true, func(about report.Run, env *scenario.Env, out *output) error {
		return out.chaos(ctx, about, env, chaos, c.Seed)
	})
}

// chaos writes each row as it comes and the table of what there is at the end,
// also when the chaos could not be held to its end.
func (o *output) chaos(ctx context.Context, about report.Run, env *scenario.Env, s *scenario.Chaos, seed uint64) error {
	if err := o.record(about); err != nil {
		return err
	}
	var rows []report.Round
	failed := s.Run(ctx, env, func(r report.Round) error {
		r.Notes = append(r.Notes, fmt.Sprintf("seed %d", seed))
		rows = append(rows, r)
		return errors.Join(o.record(r), o.record(report.Summarise([]report.Round{r})))
	})
	o.progress.Clear()
	if err := report.WriteHead(o.table, about); err != nil {
		return err
	}
	if err := report.WriteRows(o.table, "chaos", scenario.ChaosColumns(), rows); err != nil {
		return err
	}
	return errors.Join(failed, verdict(rows))
}
