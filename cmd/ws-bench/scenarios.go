package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"ws-gateway/bench/report"
	"ws-gateway/bench/scenario"
)

// measured is the command of a scenario.
type measured[S scenario.Scenario] struct {
	Rounds int `default:"${rounds}" placeholder:"N" help:"Rounds, each with servers started afresh. The table has medians, smallest and largest."`
	serverOptions
	Scenario S `embed:""`
}

// Run measures, and prints a table for each case.
func (c *measured[S]) Run(ctx context.Context, io *streams) error {
	return c.run(ctx, io, (*output).tables)
}

// cases checks the options.
func (c *measured[S]) cases() ([]scenario.Case, error) {
	if c.Rounds < 1 {
		return nil, errors.New("--rounds must be at least 1")
	}
	return c.Scenario.Cases(c.Options)
}

func (c *measured[S]) run(ctx context.Context, io *streams, show func(*output, []report.Round) error) error {
	cases, err := c.cases()
	if err != nil {
		return err
	}
	gateway := slices.ContainsFunc(cases, func(one scenario.Case) bool { return one.Gateway })
	return c.with(ctx, io, gateway, func(about report.Run, env *scenario.Env, out *output) error {
		about.Rounds = c.Rounds
		if err := out.record(about); err != nil {
			return err
		}
		var rounds []report.Round // those that there are are shown, also when one failed
		failed := scenario.Run(ctx, env, cases, c.Rounds, func(r report.Round) error {
			rounds = append(rounds, r)
			return out.record(r)
		})
		out.progress.Clear()
		fmt.Fprint(out.table, report.Head(about))
		return errors.Join(failed, show(out, rounds))
	})
}

// summarise records the summary of each case, and returns them.
func (o *output) summarise(rounds []report.Round) (all []report.Summary, err error) {
	for _, r := range report.Results([]report.Recording{{Rounds: rounds}}) {
		all = append(all, r.Summary)
		err = errors.Join(err, o.record(r.Summary))
	}
	return all, err
}

// tables shows a table for each case.
func (o *output) tables(rounds []report.Round) error {
	summaries, err := o.summarise(rounds)
	for _, s := range summaries {
		fmt.Fprint(o.table, report.Table(s))
	}
	return errors.Join(err, verdict(rounds))
}

var errBroken = errors.New("what must hold did not")

// verdict names the rounds in which something is broken.
func verdict(rounds []report.Round) error {
	var names []string
	for _, r := range rounds {
		if len(r.Broken) > 0 {
			names = append(names, r.Case)
		}
	}
	if names == nil {
		return nil
	}
	return fmt.Errorf("%w: %s", errBroken, strings.Join(names, ", "))
}

// checkCommand counts, and fails if a promise is broken by more than its margin.
// The best of its rounds counts, since others on the machine make figures worse and
// never better.
type checkCommand struct{ measured[scenario.Check] }

// Run measures check.
func (c *checkCommand) Run(ctx context.Context, io *streams) error {
	return c.run(ctx, io, (*output).promises)
}

var errPromise = errors.New("what is promised does not hold")

// promises shows them, and names those that are broken.
func (o *output) promises(rounds []report.Round) error {
	summaries, err := o.summarise(rounds)
	all := scenario.Promised(summaries)
	fmt.Fprint(o.table, report.Promises(all))
	o.notes(summaries)
	var broken []string
	for _, p := range all {
		if !p.Held() {
			broken = append(broken, fmt.Sprintf("%s is %s, at most %s", p.What, report.Number(p.Min), report.Number(p.Most)))
		}
	}
	if broken != nil {
		err = errors.Join(err, fmt.Errorf("%w: %s", errPromise, strings.Join(broken, "; ")))
	}
	return err
}

// notes shows what was remarked in each case.
func (o *output) notes(summaries []report.Summary) {
	for _, s := range summaries {
		for _, n := range s.Notes {
			fmt.Fprintf(o.table, "  %s: %s (%d of %d rounds)\n", s.Case, n.Text, n.Rounds, s.Rounds)
		}
	}
}

// inRows is the command of a scenario whose table has a row for each of its parts.
type inRows[S scenario.Scenario] struct{ measured[S] }

// Run measures, and prints the table.
func (c *inRows[S]) Run(ctx context.Context, io *streams) error {
	return c.run(ctx, io, (*output).rows)
}

// rows fails when an invariant is broken; latency is reported, and never a failure,
// since others use the machine too.
func (o *output) rows(rows []report.Round) error {
	if rows == nil {
		return nil
	}
	_, err := o.summarise(rows)
	fmt.Fprint(o.table, report.Rows(rows[0].Scenario, rows))
	return errors.Join(err, verdict(rows))
}

// chaosCommand builds the gateway with the race detector if none is named.
type chaosCommand struct{ inRows[scenario.Chaos] }

// Run measures chaos.
func (c *chaosCommand) Run(ctx context.Context, io *streams) error {
	return c.raced(ctx, io, &c.Scenario.Seed)
}

// chaosClusterCommand does the same.
type chaosClusterCommand struct {
	inRows[scenario.ChaosCluster]
}

// Run measures chaos-cluster.
func (c *chaosClusterCommand) Run(ctx context.Context, io *streams) error {
	return c.raced(ctx, io, &c.Scenario.Seed)
}

// raced measures with a seed, a random one if it is 0, and with a gateway that is built
// with the race detector if none is named.
func (c *inRows[S]) raced(ctx context.Context, io *streams, seed *uint64) error {
	if *seed == 0 {
		*seed = rand.Uint64N(1_000_000) + 1
	}
	if _, err := c.cases(); err != nil {
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
	return c.Run(ctx, io)
}
