package main

import (
	"context"
	"encoding/json"
	"fmt"

	"ws-gateway/bench/hubsim"
	"ws-gateway/bench/report"
	"ws-gateway/bench/scenario"
)

type hubCommand struct {
	runOptions
	Sessions []int `default:"100000,1000000,10000000" placeholder:"N" help:"Simulated sessions; several numbers are several cases. 10,000,000 take 4 GB and two minutes for each round."`
}

// Run measures the hub without sockets.
func (c *hubCommand) Run(ctx context.Context, io *streams) error {
	if c.Rounds < 1 {
		return fmt.Errorf("--rounds must be at least 1")
	}
	var cases []scenario.Case
	for _, n := range c.Sessions {
		cases = append(cases, scenario.Hub(n))
	}
	return c.with(ctx, io, false, func(about report.Run, env *scenario.Env, out *output) error {
		about.Rounds = c.Rounds
		return out.rounds(ctx, about, env, cases)
	})
}

// hubSimulationCommand is one round of hub, in a process of its own.
type hubSimulationCommand struct {
	Sessions int `required:"" placeholder:"N" help:"Simulated sessions."`
}

// Run prints what it found as JSON.
func (c *hubSimulationCommand) Run(ctx context.Context, io *streams) error {
	result, err := hubsim.Run(ctx, c.Sessions)
	if err != nil {
		return err
	}
	return json.NewEncoder(io.out).Encode(result)
}
