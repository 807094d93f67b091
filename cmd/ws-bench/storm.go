package main

import (
	"context"
	"slices"
	"time"

	"ws-gateway/bench/scenario"
)

type stormCommand struct {
	runOptions
	Conns  []int           `default:"10000" placeholder:"N" help:"Connections that leave and come back; several numbers are several cases."`
	Leave  []string        `default:"reset,close" enum:"reset,close" help:"How they leave: reset, as when the network goes away, or close, with close frames. Both are several cases."`
	Spread []time.Duration `default:"0s,5s" placeholder:"DUR" help:"Clients come back at random times within this, 0s: all at once. Several are several cases."`
	Good   int             `default:"100" placeholder:"N" help:"Clients that stay and send."`
	Rate   float64         `default:"500" placeholder:"N" help:"Their messages a second."`
	Size   int             `default:"64" placeholder:"BYTES" help:"Payload of a message."`
}

// Run measures storms. It fails when an invariant is broken.
func (c *stormCommand) Run(ctx context.Context, io *streams) error {
	var cases []scenario.Case
	for _, conns := range c.Conns {
		for _, leave := range slices.Compact(c.Leave) {
			for _, spread := range c.Spread {
				one, err := scenario.Storm(scenario.StormConfig{
					Conns: conns, Good: c.Good, Rate: c.Rate, Size: c.Size, Polite: leave == "close", Spread: spread,
				})
				if err != nil {
					return err
				}
				cases = append(cases, one)
			}
		}
	}
	return c.measure(ctx, io, c.Conns, true, cases)
}
