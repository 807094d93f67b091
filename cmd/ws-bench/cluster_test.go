package main

import (
	"testing"

	"ws-gateway/bench/report"
)

func TestAClusterIsMeasuredWithAllItsFigures(t *testing.T) {
	path, remove, err := serverOptions{}.gateway(t.Context(), report.Progress{})
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	all, figures := summaries(t, "cluster", "--gateway", path, "--rounds", "1", "--conns", "10", "--rate", "200", "--duration", "300ms", "--warmup", "50ms", "--instances", "4", "--users", "2000")
	if len(all) != 2 {
		t.Fatalf("%d cases", len(all))
	}
	above(t, figures[0], "gateway CPU, a million local calls", "CPU of both, against a local call", "delivery, remote, p99")
	above(t, figures[1], "memory, a name", "looking for a user", "a restart of all: time of each", "heartbeats of all others: bytes")
	if n := figures[1]["names of others"]; n != 3*2000 {
		t.Errorf("%v names", n)
	}
}
