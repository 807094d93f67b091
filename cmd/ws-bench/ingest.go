package main

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"

	"ws-gateway/bench/load"
	"ws-gateway/bench/scenario"
	"ws-gateway/bench/sink"
)

type ingestCommand struct {
	runOptions
	trafficOptions
	Conns       []int `default:"1000" placeholder:"N" help:"Connections; several numbers are several cases."`
	Batch       []int `default:"1,100" placeholder:"N" help:"Events in a POST at most (--callback-batch); several numbers are several cases."`
	Depth       int   `default:"0" placeholder:"N" help:"Messages of a connection under way in the closed loop. 0: 1 for one POST each, 16 for batches."`
	Concurrency int   `default:"64" placeholder:"N" help:"POSTs under way at one time (--callback-concurrency), also of the bare client."`
}

// Run measures ingest.
func (c *ingestCommand) Run(ctx context.Context, io *streams) error {
	traffic, err := c.traffic()
	if err != nil {
		return err
	}
	if slices.Min(c.Batch) < 1 || c.Concurrency < 1 || c.Depth < 0 {
		return fmt.Errorf("--batch and --concurrency must be at least 1, --depth must not be below 0")
	}
	var cases []scenario.Case
	for _, conns := range c.Conns {
		for _, batch := range c.Batch {
			t := traffic
			if t.Depth = c.Depth; t.Depth == 0 && batch > 1 {
				t.Depth = 16
			}
			one, err := scenario.Ingest(conns, batch, c.Concurrency, t)
			if err != nil {
				return err
			}
			cases = append(cases, one)
		}
	}
	return c.measure(ctx, io, c.Conns, true, cases)
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
	fmt.Fprintln(io.out, c.Target) // it is ready
	return sink.Poster{Target: c.Target, Message: m, Conns: c.Conns, Concurrency: c.Concurrency}.Run(ctx)
}
