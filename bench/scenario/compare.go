package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
	"ws-gateway/bench/report"
)

// Peer is a server that ours is compared with: a program that takes the options
// --listen, --procs and --broadcast and prints its address.
type Peer struct {
	Name string
	Path string
}

// Compare says what a comparison does with every server.
//
// Procs is best what the load client leaves of the processors, as EchoLoops says: a
// loop more would only contend with the client. It holds no peer back. With 2
// instead of 1 on two processors, CPU for a million echoes of 1,000 connections
// changes by no more than a tenth against the server in C, up for four of the Go
// peers and down for three, and not at all for ours (ws-bench compare --procs 2).
type Compare struct {
	Traffic
	Work   []string      `enum:"echo,idle,broadcast" default:"echo,idle,broadcast" placeholder:"KIND" help:"What they do: echo, idle (connections are opened and held), broadcast."`
	Conns  []int         `default:"1000,10000" placeholder:"N" help:"Connections. Several numbers are several cases of echo; idle and broadcast take the largest."`
	Procs  int           `default:"0" placeholder:"N" help:"GOMAXPROCS and event loops of every server, ours too; the one in C has one thread always. 0: what the load threads leave of the processors. --loops has no say here."`
	Settle time.Duration `default:"2s" placeholder:"DUR" help:"Idle: time between the last handshake, or the last message, and reading the figures."`

	Compression bool `help:"All agree on permessage-deflate (RFC 7692) without context takeover. Messages are JSON documents, each another one; idle connections have had some before. Only peers that know compression."`
	Document    int  `default:"1024" placeholder:"BYTES" help:"With --compression: a document's size before it is compressed; --size has no say then."`

	Against []Peer `kong:"-"`
}

// starter starts the server of a round.
type starter func(*stage) *child.Process

// Cases are what ours does and then each peer, one kind of work after the other.
func (cfg Compare) Cases(o Options) (cases []Case, err error) {
	if cfg.Compression {
		return cfg.compressed(o)
	}
	m, err := load.Bare(load.Binary, cfg.Size)
	if err := firstOf(cfg.possible(), possible("--conns", cfg.Conns...), err); err != nil {
		return nil, err
	}
	cfg.Procs = EchoLoops(cfg.Procs, o.Threads)
	add := func(work string, args []string, do func(*stage, starter), most limits) {
		cases = append(cases, cfg.turns(work, args, do, most)...)
	}
	largest := slices.Max(cfg.Conns)
	if slices.Contains(cfg.Work, "echo") {
		for _, conns := range cfg.Conns {
			add("echo, "+cfg.describe(conns), nil, func(s *stage, start starter) { s.echo(start(s), conns, cfg.Traffic, m) },
				limits{"server CPU, a million": 0, "messages": 0, "latency p99": 0})
		}
	}
	if slices.Contains(cfg.Work, "idle") {
		add(count(largest)+" idle connections", nil, func(s *stage, start starter) {
			idle{server: idleNetpoll, peer: start, conns: largest, settle: cfg.Settle}.round(s)
		}, limits{"resident, each": 0, "server CPU, 1,000 handshakes": 0})
	}
	if slices.Contains(cfg.Work, "broadcast") {
		add("broadcast to "+count(largest)+" connections", []string{"--broadcast"}, func(s *stage, start starter) {
			s.broadcast(start(s), largest, cfg.Window, must(load.Bare(load.Text, 16)), load.Broadcast())
		},
			limits{"server CPU, a million deliveries": 0, "last target p50": 0})
	}
	return cases, nil
}

// turns are one kind of work done by ours and then by each peer, all started with args.
func (cfg Compare) turns(work string, args []string, do func(*stage, starter), most limits) (cases []Case) {
	for _, p := range append([]Peer{{Name: report.Ours}}, cfg.Against...) {
		start := func(s *stage) *child.Process { return s.peer(p, cfg.Procs, args) }
		cases = append(cases, Case{Scenario: "compare", Name: work + ": " + p.Name, round: func(s *stage) {
			do(s, start)
			s.compared(p.Name, most)
		}})
	}
	return cases
}

// peer starts a server of the comparison.
func (s *stage) peer(p Peer, procs int, args []string) *child.Process {
	n := strconv.Itoa(procs)
	spec := child.Spec{Name: p.Name, Path: p.Path, Args: []string{"--listen", "127.0.0.1:0", "--procs", n}, Ready: addressAlone}
	if p.Name == report.Ours {
		spec.Path = s.Self
		spec.Args = append([]string{"echo-server", "--loops", n}, spec.Args...)
	}
	spec.Args = append(spec.Args, args...)
	return s.start(spec)
}

// broadcast measures one message after the other to all of conns connections, each
// sent when the last has arrived everywhere. echo is a message that does not go to all.
func (s *stage) broadcast(server *child.Process, conns int, w Window, echo, m *load.Message) {
	c := s.connect(load.Config{Target: server.Addr(), Threads: 1, Deflate: m.Deflated()}, conns) // one thread sees all deliveries
	// An echo shows that the server has taken a connection in, and not only its handshake.
	check(c.Start(load.Traffic{Message: echo, Drain: drain}).End().Err())
	x := must(c.Push(load.Calls{Message: m, Groups: []load.Group{{Count: conns}}}))
	s.show("warming up")
	r, used := window(s, x, w, server)
	if r.Messages == 0 {
		check(fmt.Errorf("no broadcast arrived in %v", w.Duration))
	}
	s.broadcastFigures(r, used[0])
}

func (s *stage) broadcastFigures(r load.PushResult, used cost) {
	s.add("deliveries", "1/s", r.Rate())
	s.add("server CPU, a million deliveries", "s", used.perMillion(r.Messages))
	s.percentiles("last target", milliseconds(r.Last), 50, 100)
	s.add("broadcasts", "", float64(r.Calls))
	s.add("load client CPU, a million deliveries", "s", cost{cpu: r.CPU}.perMillion(r.Messages))
}
