package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"time"

	"ws-gateway/bench/abuse"
	"ws-gateway/bench/hubsim"
	"ws-gateway/bench/load"
	"ws-gateway/bench/sink"
)

// The commands here are what scenarios start as processes of their own. Each prints
// its address when it serves, or its target when it is ready.

// sinkCommand serves bench/sink's App.
type sinkCommand struct {
	Listen string        `default:"127.0.0.1:0" placeholder:"ADDR" help:"Address to serve at; port 0 takes a free one. The bound address is printed on a line of its own."`
	Mute   string        `placeholder:"PREFIX" help:"Do not answer users whose names begin with this."`
	Hang   time.Duration `placeholder:"DUR" help:"Take so long for each of their messages."`
	Reply  bool          `help:"Answer in the callback's answer, not through the send API; the gateway needs --callback-reply."`
	Audit  bool          `help:"Hold each connection's events against the contract: one open, messages in order, one close."`
}

// Run serves until ctx is done.
func (c *sinkCommand) Run(ctx context.Context, io *streams) error {
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	app, ended := sink.New(sink.Config{Mute: c.Mute, Hang: c.Hang, Audit: c.Audit, Reply: c.Reply}), make(chan error, 1)
	go func() { ended <- app.Serve(l) }()
	fmt.Fprintln(io.out, l.Addr())
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		err := app.Shutdown()
		<-ended
		return err
	}
}

// counterCommand is ingest's app.
type counterCommand struct {
	Size int `required:"" help:"Bytes of a message."`
}

// Run serves until ctx is done.
func (c *counterCommand) Run(ctx context.Context, io *streams) error {
	m, err := load.Event(c.Size)
	if err != nil {
		return err
	}
	counter, err := sink.NewCounter(m)
	if err != nil {
		return err
	}
	fmt.Fprintln(io.out, counter.Addr())
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return counter.Serve(ctx)
}

// posterCommand is what ingest compares the gateway with.
type posterCommand struct {
	Target      netip.AddrPort `required:"" help:"A counter."`
	Size        int            `required:"" help:"Bytes of a message."`
	Conns       int            `required:"" help:"Connections that the messages pretend to be from."`
	Concurrency int            `required:"" help:"POSTs under way at one time."`
}

// Run POSTs until ctx is done.
func (c *posterCommand) Run(ctx context.Context, io *streams) error {
	m, err := load.Event(c.Size)
	if err != nil {
		return err
	}
	fmt.Fprintln(io.out, c.Target)
	return sink.Poster{Target: c.Target, Message: m, Conns: c.Conns, Concurrency: c.Concurrency}.Run(ctx)
}

// attackerCommand is one kind of harm.
type attackerCommand struct {
	Target netip.AddrPort `required:"" placeholder:"ADDR" help:"Gateway to attack."`
	Kind   string         `required:"" placeholder:"NAME" help:"Kind of harm."`
	Conns  int            `default:"1000" placeholder:"N" help:"Connections."`
	Rate   float64        `default:"1000" placeholder:"N" help:"Turns a second, of all connections together."`
	Seed   uint64         `default:"1" placeholder:"N" help:"Seed of what is random."`
}

// Run attacks until ctx is done, and prints what it has done as JSON.
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

// hubSimulationCommand is one round of hub.
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

// groupSimulationCommand is one simulated round of group.
type groupSimulationCommand struct {
	Sessions int `required:"" placeholder:"N" help:"Simulated sessions."`
	Per      int `required:"" placeholder:"N" help:"Sessions in a group."`
}

// Run prints what it found as JSON.
func (c *groupSimulationCommand) Run(ctx context.Context, io *streams) error {
	result, err := hubsim.RunGroups(ctx, c.Sessions, c.Per)
	if err != nil {
		return err
	}
	return json.NewEncoder(io.out).Encode(result)
}
