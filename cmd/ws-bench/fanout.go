package main

import (
	"context"
	"fmt"
	"slices"

	"ws-gateway/bench/scenario"
)

type fanoutCommand struct {
	runOptions
	Targets []int    `default:"10,100,1000,10000,15000" placeholder:"N" help:"Connections that one call reaches; all of these numbers are one case, and ascend."`
	To      []string `default:"users,all" enum:"users,all" placeholder:"WHOM" help:"How a call names them: users (a list), all; several are several cases."`
	Calls   int      `default:"10" placeholder:"N" help:"Calls for each number of targets, at least: to few targets there are more."`
	Size    int      `default:"64" placeholder:"BYTES" help:"Payload of a message."`
}

// Run measures fanout.
func (c *fanoutCommand) Run(ctx context.Context, io *streams) error {
	if c.Calls < 1 {
		return fmt.Errorf("--calls must be at least 1")
	}
	if slices.Min(c.Targets) < 2 || slices.Max(c.Targets) > scenario.MostConnections {
		return fmt.Errorf("--targets must be 2 to %d", scenario.MostConnections)
	}
	if c.Threads != 1 {
		return errOneThread
	}
	var cases []scenario.Case
	for _, to := range c.To {
		one, err := scenario.Fanout(scenario.FanoutTarget(to), c.Targets, c.Size, c.Calls)
		if err != nil {
			return fmt.Errorf("--targets, --size: %w", err)
		}
		cases = append(cases, one)
	}
	return c.measure(ctx, io, c.Targets, true, cases)
}
