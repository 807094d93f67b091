package scenario

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
	"ws-gateway/bench/report"
)

// Ours is how the echo server on netpoll is called among its peers.
const Ours = "ours"

// Peer is a server that ours is compared with: a program that takes the options
// --listen, --procs and --broadcast and prints its address.
type Peer struct {
	Name        string
	Path        string
	Descriptors int // that it needs for each connection; 0 is 1
}

// CompareConfig says what a comparison does with every server.
//
// Procs is best what the load client leaves of the processors, as EchoLoops says: a
// loop more would only contend with the client. It holds no peer back. With 2
// instead of 1 on two processors, CPU for a million echoes of 1,000 connections
// changes by no more than a tenth against the server in C, up for four of the Go
// peers and down for three, and not at all for ours (ws-bench compare --procs 2).
type CompareConfig struct {
	Peers   []Peer
	Procs   int   // GOMAXPROCS and event loops of every server, ours too
	Conns   []int // connections of echo; 0 of them: no echo
	Idle    int   // connections that are opened and held; 0: none
	Targets int   // connections that a broadcast goes to; 0: no broadcast
	Traffic       // of echo; Warmup and Duration are the broadcast's too
	Settle  time.Duration
}

// Comparison is one kind of work, done by ours and by each peer.
type Comparison struct {
	Name    string
	Figures []string // which are compared
	Cases   []Case   // of ours, then of the peers in their order
	Peers   []string
}

// starter starts the server of a round.
type starter func(context.Context) (*child.Process, error)

// Compare plans comparisons.
func Compare(cfg CompareConfig, servers Servers) ([]Comparison, error) {
	m, err := load.Bare(load.Binary, cfg.Size)
	if err != nil {
		return nil, err
	}
	var all []Comparison
	for _, conns := range cfg.Conns {
		all = append(all, cfg.comparison("echo, "+cfg.describe(conns), []string{"server CPU, a million", "messages", "latency p99"}, conns, servers.peer(cfg, false),
			func(ctx context.Context, s stage, start starter, conns int) (outcome, error) {
				return s.echoOf(ctx, start, conns, cfg.Traffic, m, 0)
			}))
	}
	if cfg.Idle > 0 {
		all = append(all, cfg.comparison(count(cfg.Idle)+" idle connections", []string{"resident, each", "server CPU, 1,000 handshakes"}, cfg.Idle, servers.peer(cfg, false),
			func(ctx context.Context, s stage, start starter, conns int) (outcome, error) {
				i := idle{server: IdleNetpoll, peer: start, conns: conns, settle: cfg.Settle}
				return i.round(ctx, s)
			}))
	}
	if cfg.Targets > 0 {
		all = append(all, cfg.comparison("broadcast to "+count(cfg.Targets)+" connections", []string{"server CPU, a million deliveries", "last target p50"}, cfg.Targets, servers.peer(cfg, true),
			func(ctx context.Context, s stage, start starter, conns int) (outcome, error) {
				return s.broadcast(ctx, start, conns, cfg.Warmup, cfg.Duration)
			}))
	}
	return all, nil
}

// comparison makes a Case of the work for every server.
func (cfg CompareConfig) comparison(name string, figures []string, conns int, start func(Peer) starter,
	work func(context.Context, stage, starter, int) (outcome, error),
) Comparison {
	c := Comparison{Name: name, Figures: figures}
	for _, p := range append([]Peer{{Name: Ours}}, cfg.Peers...) {
		fits := min(conns, mostFor(max(1, p.Descriptors)))
		c.Cases = append(c.Cases, Case{Scenario: "compare", Name: name + ": " + p.Name, round: func(ctx context.Context, s stage) (outcome, error) {
			o, err := work(ctx, s, start(p), fits)
			if err != nil {
				return o, err
			}
			// Goals are for the gateway, and for runs of a kind of their own.
			for i := range o.figures {
				o.figures[i].Goal = 0
			}
			if fits < conns {
				o.notes = append(o.notes, fmt.Sprintf("%s had only %s connections: it needs %d descriptors for each", p.Name, count(fits), p.Descriptors))
			}
			return o, nil
		}})
		if p.Name != Ours {
			c.Peers = append(c.Peers, p.Name)
		}
	}
	return c
}

// spareDescriptors is what a server needs besides those of its connections.
const spareDescriptors = 200

// mostFor is how many connections fit under the limit of a process that needs
// several descriptors for each.
func mostFor(descriptors int) int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return MostConnections
	}
	return max(1, int(min(limit.Max, 1<<30)-spareDescriptors)/descriptors)
}

// peer returns what starts a server of the comparison.
func (s Servers) peer(cfg CompareConfig, broadcast bool) func(Peer) starter {
	return func(p Peer) starter {
		procs := strconv.Itoa(cfg.Procs)
		spec := child.Spec{Name: p.Name, Path: p.Path, Args: []string{"--listen", "127.0.0.1:0", "--procs", procs}, Ready: addressAlone}
		if p.Name == Ours {
			spec.Path = s.Self
			spec.Args = append([]string{"echo-server", "--loops", procs}, spec.Args...)
		}
		if broadcast {
			spec.Args = append(spec.Args, "--broadcast")
		}
		return func(ctx context.Context) (*child.Process, error) { return start(ctx, spec) }
	}
}

// Ratios compares the figures of the rounds, which are by name of the case.
func (c Comparison) Ratios(rounds map[string][]report.Round) []report.Ratio {
	var all []report.Ratio
	for _, figure := range c.Figures {
		for i, peer := range c.Peers {
			r, ok := report.NewRatio("compare", c.Name, peer, figure, rounds[c.Cases[0].Name], rounds[c.Cases[1+i].Name])
			if ok {
				all = append(all, r)
			}
		}
	}
	return all
}
