package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"ws-gateway/bench/report"
	"ws-gateway/bench/scenario"
)

type abuseCommand struct {
	serverOptions
	Only      []string `placeholder:"NAME" help:"Phases to hold, such as pings,churn. Default: all."`
	Quick     bool     `help:"A tenth of everything, for tests: half a minute."`
	Good      int      `default:"0" placeholder:"N" help:"Clients that behave. 0: 1000, or 100 with --quick."`
	Rate      float64  `default:"0" placeholder:"N" help:"Their messages a second. 0: two for each of them."`
	Size      int      `default:"64" placeholder:"BYTES" help:"Payload of a message."`
	Intensity float64  `default:"1" placeholder:"FACTOR" help:"Multiplies the attackers' rates. At 1 they leave most of two processors to the others."`
}

var errBroken = errors.New("what must hold did not")

// Run lets the abuse pass. It fails when an invariant is broken; latency is
// reported, and never a failure, since others use the machine too.
func (c *abuseCommand) Run(ctx context.Context, io *streams) error {
	if c.Good == 0 {
		c.Good = 1_000
		if c.Quick {
			c.Good = 100
		}
	}
	if c.Rate == 0 {
		c.Rate = 2 * float64(c.Good)
	}
	abuse, err := scenario.NewAbuse(scenario.AbuseConfig{
		Good: c.Good, Rate: c.Rate, Size: c.Size, Intensity: c.Intensity, Only: c.Only, Quick: c.Quick,
	})
	if err != nil {
		return err
	}
	return c.with(ctx, io, true, func(about report.Run, env *scenario.Env, out *output) error {
		return out.abuse(ctx, about, env, abuse)
	})
}

// abuse writes each row as it comes and the table of what there is at the end,
// also when the abuse could not be held to its end.
func (o *output) abuse(ctx context.Context, about report.Run, env *scenario.Env, s *scenario.Abuse) error {
	if err := o.record(about); err != nil {
		return err
	}
	var rows []report.Round
	failed := s.Run(ctx, env, func(r report.Round) error {
		rows = append(rows, r)
		return errors.Join(o.record(r), o.record(report.Summarise([]report.Round{r})))
	})
	o.progress.Clear()
	if err := report.WriteHead(o.table, about); err != nil {
		return err
	}
	if err := report.WriteRows(o.table, "abuse", scenario.AbuseColumns(), rows); err != nil {
		return err
	}
	return errors.Join(failed, verdict(rows))
}

// verdict names the rows in which something is broken.
func verdict(rows []report.Round) error {
	var names []string
	for _, r := range rows {
		if len(r.Broken) > 0 {
			names = append(names, r.Case)
		}
	}
	if names == nil {
		return nil
	}
	return fmt.Errorf("%w: %s", errBroken, strings.Join(names, ", "))
}
