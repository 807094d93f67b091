package main

import (
	"strings"
	"testing"
)

// measureFlows runs the scenarios of events, calls and broadcasts against the
// gateway at path.
func measureFlows(t *testing.T, path string) {
	t.Run("replies in the callback's answer", func(t *testing.T) {
		_, figures := summaries(t, "roundtrip", "--gateway", path, "--rounds", "1", "--conns", "20", "--warmup", "20ms", "--duration", "200ms",
			"--reply", "answer")
		above(t, figures[0], "round trips", "gateway CPU, a million", "latency p99")
	})
	t.Run("callbacks that hang", func(t *testing.T) {
		_, figures := summaries(t, "stuck", "--gateway", path, "--rounds", "1", "--conns", "20", "--warmup", "20ms", "--duration", "300ms",
			"--rate", "400", "--hang", "5", "--hang-for", "200ms")
		above(t, figures[0], "round trips", "latency p99", "callbacks in flight at the end")
	})
	t.Run("events in", func(t *testing.T) {
		all, figures := summaries(t, "ingest", "--gateway", path, "--rounds", "1", "--conns", "20", "--warmup", "20ms", "--duration", "200ms",
			"--batch", "1,10", "--concurrency", "4")
		if len(all) != 2 || !strings.HasSuffix(all[1].Case, "16 deep, batches of 10") {
			t.Fatalf("got %+v", all)
		}
		for _, f := range figures {
			above(t, f, "events", "gateway CPU, a million", "gateway CPU of reading alone, a million", "events in a POST", "latency p50")
		}
		above(t, figures[0], "bare fasthttp client CPU, a million", "gateway CPU, of a bare client's")
		if same := figures[0]["bytes of a POST, of a bare client's"]; same < 0.9 || same > 1.1 {
			t.Errorf("the gateway's POST has %v times the bytes of the bare client's", same)
		}
		if figures[0]["events in a POST"] != 1 || figures[1]["events in a POST"] <= 1 {
			t.Errorf("events in a POST: %v and %v", figures[0]["events in a POST"], figures[1]["events in a POST"])
		}
	})
	t.Run("calls out", func(t *testing.T) {
		_, figures := summaries(t, "push", "--gateway", path, "--rounds", "1", "--conns", "20", "--per", "5", "--callers", "3",
			"--warmup", "20ms", "--duration", "200ms")
		if len(figures) != 3 {
			t.Fatalf("%d cases", len(figures))
		}
		for _, f := range figures {
			above(t, f, "calls", "deliveries", "gateway CPU, a million calls", "gateway CPU, a million deliveries", "answer p50", "latency p50")
		}
		above(t, figures[2], "to the last p50")
	})
	t.Run("calls out when they are due", func(t *testing.T) {
		_, figures := summaries(t, "push", "--gateway", path, "--rounds", "1", "--conns", "20", "--to", "conn", "--rate", "500",
			"--warmup", "20ms", "--duration", "400ms")
		above(t, figures[0], "calls", "deliveries", "answer p99", "latency p99")
	})
	t.Run("one call to many", func(t *testing.T) {
		_, figures := summaries(t, "fanout", "--gateway", path, "--rounds", "1", "--targets", "200,300", "--calls", "2")
		if len(figures) != 2 {
			t.Fatalf("%d cases", len(figures))
		}
		for _, f := range figures {
			above(t, f, "300 targets: to the last, median", "300 targets: gateway CPU, a million deliveries", "300 targets: pong meanwhile, max",
				"300 targets: idle server's echo, max", "200 targets: to the last, median", "without calls: pong, max")
		}
	})
}
