package scenario

import (
	"errors"
	"slices"

	"ws-gateway/bench/load"
	"ws-gateway/bench/report"
)

// CompareGateways has the gateway and others do the same work in turn.
type CompareGateways struct {
	Work    []string `enum:"roundtrip,answer,paced,send" default:"roundtrip,answer,paced,send" placeholder:"KIND" help:"What they do: roundtrip (client, callback, app, send API, client), answer (the app replies in its answer to the callback), paced (round trips at --rate), send (each call of the API to one connection)."`
	Conns   []int    `default:"100,1000" placeholder:"N" help:"Connections. Several numbers are several cases of roundtrip; the other kinds of work take the largest."`
	Rate    float64  `default:"2000" placeholder:"N" help:"Paced: messages a second, sent when they are due."`
	Callers int      `default:"16" placeholder:"N" help:"Send: connections to the management API, each with one call under way."`
	Size    int      `default:"64" placeholder:"BYTES" help:"Payload of a message."`
	Window

	Against []Peer `kong:"-"`
}

// Limits against a bare gateway in C: it has no timeouts, no bounds for all connections
// together, no metrics and one thread.
var (
	tripLimits  = limits{"gateway CPU, a million": 1.45, "latency p99": 2}
	pacedLimits = limits{"gateway CPU, a million": 2, "latency p99": 0}
	sendLimits  = limits{"gateway CPU, a million calls": 1.4, "answer p99": 2.5}
)

// Cases are what ours does and then each peer, one kind of work after the other.
func (cfg CompareGateways) Cases(o Options) (cases []Case, err error) {
	m, err := load.Event(cfg.Size)
	t := Traffic{Size: cfg.Size, Window: cfg.Window}
	if err := firstOf(t.possible(), possible("--conns", cfg.Conns...), err); err != nil {
		return nil, err
	}
	if cfg.Rate <= 0 || cfg.Callers < 1 {
		return nil, errors.New("--rate must be above 0, --callers at least 1")
	}
	if o.Threads != 1 && slices.Contains(cfg.Work, "send") {
		return nil, errOneThread
	}
	add := func(work string, most limits, do func(*stage)) {
		for _, p := range append([]Peer{{Name: report.Ours}}, cfg.Against...) {
			cases = append(cases, Case{Scenario: "compare", Name: work + ": " + p.Name, Gateway: true, round: func(s *stage) {
				s.rival = p
				do(s)
				s.compared(p.Name, most)
			}})
		}
	}
	largest := slices.Max(cfg.Conns)
	for _, work := range cfg.Work {
		paced := t
		paced.Rate = cfg.Rate
		switch work {
		case "roundtrip":
			for _, conns := range cfg.Conns {
				add("round trips, "+t.describe(conns), tripLimits, func(s *stage) { s.roundTrip(conns, false, t, m) })
			}
		case "answer":
			add("round trips by the callback's answer, "+t.describe(largest), tripLimits, func(s *stage) { s.roundTrip(largest, true, t, m) })
		case "paced":
			add("round trips, "+paced.describe(largest), pacedLimits, func(s *stage) { s.roundTrip(largest, false, paced, m) })
		default:
			one := push{to: "conn", conns: largest, per: 1, callers: cfg.Callers, load: t, message: m}
			add("sends, "+one.name(), sendLimits, one.round)
		}
	}
	return cases, nil
}

// rivalArgs are what a peer is told of the gateway's arguments: it has no limits that
// would have to be lifted.
func rivalArgs(callback string, further []string) []string {
	args := []string{"--listen", "127.0.0.1:0"}
	if callback != "" {
		args = append(args, "--callback-url", callback)
	}
	if slices.Contains(further, "--callback-reply") {
		args = append(args, "--callback-reply")
	}
	return args
}
