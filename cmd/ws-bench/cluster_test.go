package main

import (
	"testing"
)

func TestAClusterIsMeasuredWithAllItsFigures(t *testing.T) {
	path := gatewayOfAll(t)
	_, figures := summaries(t, "cluster", "--gateway", path, "--rounds", "1", "--only", "simulation", "--instances", "4", "--users", "4000") // first, as it measures what this process has in memory
	above(t, figures[0], "memory, a name", "looking for a user", "a restart of all: time of each", "heartbeats of all others: bytes")
	if n := figures[0]["names of others"]; n != 3*4000 {
		t.Errorf("%v names", n)
	}
	all, figures := summaries(t, "cluster", "--gateway", path, "--rounds", "1", "--only", "sends,many,lone,away", "--conns", "10", "--rate", "200", "--duration", "300ms", "--warmup", "50ms", "--many", "30", "--calls", "2")
	if len(all) != 4 {
		t.Fatalf("%d cases", len(all))
	}
	above(t, figures[0], "gateway CPU, a million local calls", "CPU of both, against a local call", "delivery, remote, p99", "delivery, remote, p99, against NATS alone")
	above(t, figures[1], "CPU in all, spread against all at one")
	above(t, figures[2], "openings a second, without against with", "CPU of a send, with against without", "CPU of a round trip, with against without")
	if calls, lost := figures[3]["NATS away for a second: calls"], figures[3]["NATS away for a second: lost"]; calls < 1 || lost < 0 {
		t.Errorf("%v of %v calls are lost", lost, calls)
	}
}
