package main

import (
	"strings"
	"testing"
)

func TestChaosGoesThroughTheGatewayWithoutALossOrAMixUp(t *testing.T) {
	path := gatewayOfAll(t)
	all, figures := summaries(t, "chaos", "--gateway", path, "--duration", "12s", "--conns", "10", "--only", "everything;replies;resume;outages, batches")
	if len(all) != 4 {
		t.Fatalf("%d variants", len(all))
	}
	for i, f := range figures {
		above(t, f, "connections", "events", "attempts", "faults")
		if f["lost"] != 0 || f["reordered"] != 0 || f["attempts"]+f["attempts unseen"] < f["events"]-f["dead letters"] {
			t.Errorf("%s: %v", all[i].Case, f)
		}
		if all[i].Case == "resume" {
			above(t, f, "sessions that went on", "sends", "messages received")
		}
	}
}

// What the audit makes of a gateway that does wrong is package chaos's to test; here
// one that does not even keep its promise to start.
func TestChaosNamesTheVariantThatCouldNotBeHeld(t *testing.T) {
	code, _, message := bench(t, "chaos", "--gateway", "/bin/false", "--only", "replies", "--duration", "1s")
	if code != 1 || !strings.Contains(message, "chaos: replies: round 1: gateway") {
		t.Errorf("exit code %d: %s", code, message)
	}
}
