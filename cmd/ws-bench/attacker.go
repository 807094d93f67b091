package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"

	"ws-gateway/bench/abuse"
)

// attackerCommand is one kind of harm; abuse runs it as a process of its own.
type attackerCommand struct {
	Target netip.AddrPort `required:"" placeholder:"ADDR" help:"Gateway to attack."`
	Kind   string         `required:"" placeholder:"NAME" help:"Kind of harm."`
	Conns  int            `default:"1000" placeholder:"N" help:"Connections."`
	Rate   float64        `default:"1000" placeholder:"N" help:"Turns a second, of all connections together."`
	Seed   uint64         `default:"1" placeholder:"N" help:"Seed of what is random."`
}

// Run attacks until ctx is done. It says when it begins, and at the end what it
// has done, as JSON.
func (c *attackerCommand) Run(ctx context.Context, io *streams) error {
	a, err := abuse.New(abuse.Config{Target: c.Target, Kind: c.Kind, Conns: c.Conns, Rate: c.Rate, Seed: c.Seed})
	if err != nil {
		return err
	}
	fmt.Fprintln(io.out, c.Target)
	counts, err := a.Run(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(io.out).Encode(counts)
}
