package main

import (
	"context"
	"time"

	"ws-gateway/bench/scenario"
)

type stuckCommand struct {
	runOptions
	Conns    []int         `default:"1000" placeholder:"N" help:"Connections that are measured; several numbers are several cases."`
	Hang     []float64     `default:"0,1" placeholder:"PERCENT" help:"Share of the callbacks that hang; several numbers are several cases."`
	HangFor  time.Duration `default:"2s" placeholder:"DUR" help:"How long they do."`
	Rate     float64       `default:"2000" placeholder:"N" help:"Messages a second, those that hang included."`
	Size     int           `default:"64" placeholder:"BYTES" help:"Payload of a message."`
	Warmup   time.Duration `default:"500ms" placeholder:"DUR" help:"Time before the part of a round that is measured."`
	Duration time.Duration `default:"3s" placeholder:"DUR" help:"Time that is measured in a round."`
}

// Run measures stuck.
func (c *stuckCommand) Run(ctx context.Context, io *streams) error {
	traffic, err := trafficOptions{Size: c.Size, Rate: c.Rate, Warmup: c.Warmup, Duration: c.Duration}.traffic()
	if err != nil {
		return err
	}
	var cases []scenario.Case
	for _, conns := range c.Conns {
		for _, percent := range c.Hang {
			one, err := scenario.Stuck(conns, percent/100, c.HangFor, traffic)
			if err != nil {
				return err
			}
			cases = append(cases, one)
		}
	}
	return c.measure(ctx, io, c.Conns, true, cases)
}
