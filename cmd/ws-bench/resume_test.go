package main

import (
	"testing"
)

func TestSessionsAreMeasuredWithAllTheirFigures(t *testing.T) {
	path := gatewayOfAll(t)
	all, figures := summaries(t, "resume", "--gateway", path, "--rounds", "1", "--conns", "300", "--sessions", "50", "--echo", "10", "--turns", "3", "--duration", "600ms", "--warmup", "60ms", "--settle", "100ms")
	if len(all) != 6 {
		t.Fatalf("%d cases", len(all))
	}
	above(t, figures[0], "resident, each, plain", "resident, each, resumable")
	for _, f := range figures[1:4] {
		above(t, f, "gateway CPU, a million, option off", "option on, plain, against option off", "resumable, against plain in the same gateway")
	}
	above(t, figures[5], "start with sessions", "plain start", "file, each session")
	above(t, figures[4], "until all are back and have what they missed", "cut: others' pong p99", "plain cut: others' pong p99", "others' p99, against the idle server's", "others' p99, against that while plain ones come back")
}
