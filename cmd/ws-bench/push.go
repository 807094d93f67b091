package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ws-gateway/bench/scenario"
)

type pushCommand struct {
	runOptions
	Conns    []int         `default:"1000" placeholder:"N" help:"Connections; several numbers are several cases."`
	To       []string      `default:"conn,user,users" enum:"conn,user,users" placeholder:"WHOM" help:"What a call names: conn (one connection, by its id), user (one user with several), users (several users of one each); several are several cases."`
	Per      int           `default:"10" placeholder:"N" help:"Connections that a call to user or users reaches."`
	Callers  int           `default:"16" placeholder:"N" help:"Connections to the management API, each with one call under way."`
	Size     int           `default:"64" placeholder:"BYTES" help:"Payload of a message."`
	Rate     float64       `default:"0" placeholder:"N" help:"Calls a second, timed from when they are due (open loop). 0: closed loop."`
	Warmup   time.Duration `default:"500ms" placeholder:"DUR" help:"Time before the part of a round that is measured."`
	Duration time.Duration `default:"3s" placeholder:"DUR" help:"Time that is measured in a round."`
}

// errOneThread refuses further threads where one must see all deliveries.
var errOneThread = errors.New("--threads must be 1 here: one thread makes the calls and sees all deliveries")

// Run measures push.
func (c *pushCommand) Run(ctx context.Context, io *streams) error {
	traffic, err := trafficOptions{Size: c.Size, Rate: c.Rate, Warmup: c.Warmup, Duration: c.Duration}.traffic()
	if err != nil {
		return err
	}
	if c.Callers < 1 {
		return fmt.Errorf("--callers must be at least 1")
	}
	if c.Threads != 1 {
		return errOneThread
	}
	var cases []scenario.Case
	for _, conns := range c.Conns {
		for _, to := range c.To {
			one, err := scenario.Push(scenario.PushTarget(to), conns, c.Per, c.Callers, traffic)
			if err != nil {
				return fmt.Errorf("--per: %w", err)
			}
			cases = append(cases, one)
		}
	}
	return c.measure(ctx, io, c.Conns, true, cases)
}
