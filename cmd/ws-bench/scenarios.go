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

// runOptions are what scenarios of rounds share.
type runOptions struct {
	Rounds int `default:"${rounds}" placeholder:"N" help:"Rounds, each with servers started afresh. The table has medians, smallest and largest."`
	serverOptions
}

// measured is the command of a scenario that is measured in rounds.
type measured[S scenario.Scenario] struct {
	runOptions
	Scenario S `embed:""`
}

// Run measures, and prints a table for each case.
func (c *measured[S]) Run(ctx context.Context, io *streams) error {
	return c.run(ctx, io, (*output).tables)
}

func (c *measured[S]) run(ctx context.Context, io *streams, show func(*output, []report.Round) error) error {
	if c.Rounds < 1 {
		return errors.New("--rounds must be at least 1")
	}
	cases, err := c.Scenario.Cases(c.Options)
	if err != nil {
		return err
	}
	gateway := slices.ContainsFunc(cases, func(one scenario.Case) bool { return one.Gateway })
	return c.with(ctx, io, gateway, func(about report.Run, env *scenario.Env, out *output) error {
		about.Rounds = c.Rounds
		return out.hold(about, func(record func(report.Round) error) error {
			return scenario.Run(ctx, env, cases, c.Rounds, record)
		}, show)
	})
}

// hold writes each round as it comes, and then shows those that there are, also when
// one failed.
func (o *output) hold(about report.Run, measure func(record func(report.Round) error) error, show func(*output, []report.Round) error) error {
	if err := o.record(about); err != nil {
		return err
	}
	var rounds []report.Round
	failed := measure(func(r report.Round) error {
		rounds = append(rounds, r)
		return o.record(r)
	})
	o.progress.Clear()
	fmt.Fprint(o.table, report.Head(about))
	return errors.Join(failed, show(o, rounds))
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
	if c.Scenario.Seed == 0 {
		c.Scenario.Seed = rand.Uint64N(1_000_000) + 1
	}
	if _, err := c.Scenario.Cases(c.Options); err != nil {
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
	return c.inRows.Run(ctx, io)
}

type compareCommand struct {
	runOptions
	Peers []string `placeholder:"NAME" help:"Servers that the echo server on netpoll is compared with. Default: all of bench/peers, the one in C if there is a C compiler."`
	scenario.Compare
}

// Run measures compare.
func (c *compareCommand) Run(ctx context.Context, io *streams) error {
	if c.Rounds < 1 {
		return errors.New("--rounds must be at least 1")
	}
	if err := c.Possible(); err != nil {
		return err
	}
	c.Procs = scenario.EchoLoops(c.Procs, c.Threads)
	return c.with(ctx, io, false, func(about report.Run, env *scenario.Env, out *output) error {
		peers, remove, err := buildPeers(ctx, c.Peers, out.progress)
		if err != nil {
			return err
		}
		defer remove()
		cases := c.With(peers)
		about.Rounds = c.Rounds
		return out.hold(about, func(record func(report.Round) error) error {
			return scenario.Run(ctx, env, cases, c.Rounds, record)
		}, func(out *output, rounds []report.Round) error {
			summaries, err := out.summarise(rounds)
			fmt.Fprintf(out.table, "Medians, and the rounds' ratios to ours: 2 is twice as much. GOMAXPROCS and loops of each server: %d.\n\n", c.Procs)
			for _, one := range report.Compare(rounds) {
				fmt.Fprintf(out.table, "%s\n%s\n", one.Work, one)
			}
			out.notes(summaries)
			return err
		})
	})
}
