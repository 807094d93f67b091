package main

import (
	"context"
	"time"

	"ws-gateway/bench/report"
	"ws-gateway/bench/scenario"
)

type soakCommand struct {
	Rounds int `default:"1" placeholder:"N" help:"Rounds, each with servers started afresh and as long as the first."`
	serverOptions
	Duration time.Duration `default:"10m" placeholder:"DUR" help:"How long; hours, to find a slow leak."`
	Conns    int           `default:"2000" placeholder:"N" help:"Clients that stay and send; each message is a round trip through the app."`
	Rate     float64       `default:"1000" placeholder:"N" help:"Their messages a second."`
	Size     int           `default:"64" placeholder:"BYTES" help:"Payload of a message."`
	Churners int           `default:"500" placeholder:"N" help:"Connections that come and go, half of them with a reset."`
	Churn    float64       `default:"50" placeholder:"N" help:"Of them a second."`
	Pushed   int           `default:"100" placeholder:"N" help:"Connections that the send API pushes messages to."`
	Push     float64       `default:"20" placeholder:"N" help:"Calls of it a second, each to 10 of them."`
}

// Run soaks. It fails when memory or descriptors grow, or an invariant is broken.
func (c *soakCommand) Run(ctx context.Context, io *streams) error {
	if err := (runOptions{Rounds: c.Rounds}).check([]int{c.Conns}); err != nil {
		return err
	}
	soak, err := scenario.Soak(scenario.SoakConfig{
		Duration: c.Duration, Conns: c.Conns, Rate: c.Rate, Size: c.Size,
		Churners: c.Churners, Churn: c.Churn, Pushed: c.Pushed, Push: c.Push,
	})
	if err != nil {
		return err
	}
	return c.with(ctx, io, true, func(about report.Run, env *scenario.Env, out *output) error {
		about.Rounds = c.Rounds
		return out.rounds(ctx, about, env, []scenario.Case{soak})
	})
}
