package main

import (
	"testing"
)

func TestChaosBetweenGatewaysLosesNothingThatIsNotCounted(t *testing.T) {
	path := gatewayOfAll(t)
	all, figures := summaries(t, "chaos-cluster", "--gateway", path, "--duration", "8s", "--conns", "30", "--only", "links and server;kills")
	if len(all) != 2 {
		t.Fatalf("%d variants", len(all))
	}
	for i, f := range figures {
		above(t, f, "connections", "events", "sends", "messages received", "of these, messages sent at other instances")
		if f["received twice"] != 0 || f["received before one that was sent before"] != 0 {
			t.Errorf("%s: %v", all[i].Case, f)
		}
	}
}
