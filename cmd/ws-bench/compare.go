package main

import (
	"context"
	"fmt"

	"ws-gateway/bench/report"
	"ws-gateway/bench/scenario"
)

// comparisons are what is compared with peers.
type comparisons struct {
	Servers  compareServers  `cmd:"" default:"withargs" help:"The echo server on netpoll and its peers: CPU, memory and latency for echoes, idle connections and broadcasts. This is what compare alone does."`
	Gateways compareGateways `cmd:"" help:"The gateway and a bare one in C: CPU and latency for round trips and sends, with goals."`
}

// compareServers builds the peers first.
type compareServers struct {
	measured[scenario.Compare]
	Peers []string `placeholder:"NAME" help:"Servers that the echo server on netpoll is compared with. Default: all of bench/peers, the one in C if there is a C compiler; with --compression those that know it."`
}

// Run measures compare.
func (c *compareServers) Run(ctx context.Context, io *streams) error {
	known := echoPeers
	if c.Scenario.Compression {
		known = compressingPeers
	}
	return c.against(ctx, io, known, c.Peers, &c.Scenario.Against, fmt.Sprintf("GOMAXPROCS and loops of each server: %d.",
		scenario.EchoLoops(c.Scenario.Procs, c.Threads)))
}

// compareGateways builds the peers first.
type compareGateways struct {
	measured[scenario.CompareGateways]
}

// Run measures compare gateways.
func (c *compareGateways) Run(ctx context.Context, io *streams) error {
	return c.against(ctx, io, gatewayPeers, gatewayPeers, &c.Scenario.Against, "The gateway has its default options.")
}

// against measures ours and peers, and prints the ratios. The peers are those of known
// that are named.
func (c *measured[S]) against(ctx context.Context, io *streams, known, names []string, peers *[]scenario.Peer, about string) error {
	if _, err := c.cases(); err != nil {
		return err
	}
	fmt.Fprintln(io.err, "building the peers")
	built, remove, err := buildPeers(ctx, known, names)
	if err != nil {
		return err
	}
	defer remove()
	*peers = built
	return c.run(ctx, io, func(out *output, rounds []report.Round) error {
		summaries, err := out.summarise(rounds)
		fmt.Fprintf(out.table, "Medians, and the rounds' ratios to ours: 2 is twice as much. %s\n\n", about)
		for _, one := range report.Compare(rounds) {
			fmt.Fprintf(out.table, "%s\n%s\n", one.Work, one)
		}
		out.notes(summaries)
		return err
	})
}
