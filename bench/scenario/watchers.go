package scenario

import (
	"errors"
	"time"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
)

// The connections that measure the delay: some on each of a server's loops,
// pinging often enough that nothing goes unnoticed.
const (
	probes    = 8
	probeRate = 1_000 // pings a second of all together
	calm      = 500 * time.Millisecond
)

// delays are those of unrelated connections.
type delays struct{ pong, idle load.Result }

// watchers are the connections that measure them: to the gateway, and to an echo server
// that has nothing else to do. What the latter wait is the machine's doing, not the
// gateway's.
type watchers struct{ gateway, idle *load.Client }

// watching is watchers that ping.
type watching struct{ pong, idle *load.Exchange }

func (s *stage) watchers(gateway *child.Process) watchers {
	probe := func(server *child.Process) *load.Client {
		return s.connect(load.Config{Target: server.Addr(), Header: named(probeGroup+"-", 0)}, probes)
	}
	return watchers{probe(gateway), probe(s.echoServer(1))}
}

func (w watchers) start() watching {
	return watching{
		pong: w.gateway.Start(load.Traffic{Message: load.Ping(), Rate: probeRate}),
		idle: w.idle.Start(load.Traffic{Message: load.Echoed(load.Ping()), Rate: probeRate}),
	}
}

func (w watching) begin() {
	w.pong.Begin()
	w.idle.Begin()
}

func (w watching) lap() delays { return delays{pong: w.pong.Lap(), idle: w.idle.Lap()} }
func (w watching) end() delays { return delays{pong: w.pong.End(), idle: w.idle.End()} }

func (d delays) err() error { return errors.Join(d.pong.Err(), d.idle.Err()) }

// during measures the delays while f runs.
func (w watchers) during(f func()) delays {
	at := w.start()
	at.begin()
	err := attempt(f)
	d := at.end()
	check(errors.Join(err, d.err()))
	return d
}
