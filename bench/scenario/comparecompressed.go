package scenario

import (
	"slices"
	"time"

	"ws-gateway/bench/load"
)

// afterTraffic is the time in which servers can give back what only traffic needs.
const afterTraffic = 5 * time.Second

// compressed are the cases with compression. Ours being behind any peer is a fault: the
// limit is 1.
func (cfg Compare) compressed(o Options) (cases []Case, err error) {
	cfg.Size = cfg.Document
	_, err = load.Packed("", cfg.Size)
	if err := firstOf(cfg.possible(), possible("--conns", cfg.Conns...), err); err != nil {
		return nil, err
	}
	cfg.Procs = EchoLoops(cfg.Procs, o.Threads)
	largest := slices.Max(cfg.Conns)
	const on = "--compression"
	if slices.Contains(cfg.Work, "echo") {
		for _, conns := range cfg.Conns {
			cases = append(cases, cfg.turns("compressed echo, "+cfg.describe(conns), []string{on}, func(s *stage, start starter) {
				m := must(load.Packed("", cfg.Size)) // its count of replies begins anew
				s.echo(start(s), conns, cfg.Traffic, m)
				s.add("bytes of a reply", "B", m.ReplySize())
			}, limits{"server CPU, a million": 1, "latency p99": 0, "bytes of a reply": 0})...)
		}
	}
	if slices.Contains(cfg.Work, "idle") {
		cases = append(cases, cfg.turns(count(largest)+" idle connections after compressed echoes", []string{on}, func(s *stage, start starter) {
			idle{server: idleNetpoll, peer: start, conns: largest, settle: max(cfg.Settle, afterTraffic), before: must(load.Packed("", cfg.Size))}.round(s)
		}, limits{"resident, each": 1})...)
	}
	if slices.Contains(cfg.Work, "broadcast") {
		cases = append(cases, cfg.turns("compressed broadcast to "+count(largest)+" connections", []string{on, "--broadcast"}, func(s *stage, start starter) {
			echo, m := must(load.Packed("", cfg.Size)), must(load.Packed(load.BroadcastPrefix, cfg.Size))
			s.broadcast(start(s), largest, cfg.Window, echo, m)
		}, limits{"server CPU, a million deliveries": 1, "last target p50": 1})...)
	}
	return cases, nil
}
