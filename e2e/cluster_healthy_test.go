package e2e_test

import (
	"testing"
)

// A gateway that starts, and one that ends in good order, is no reason to count anything that
// operators have to look after.
func TestHealthyStartsAndEndsOfGatewaysIgnoreNoPackets(t *testing.T) {
	t.Parallel()
	s := startNATS(t)
	c := &together{nats: s}
	for i := range 4 {
		c.gateways = append(c.gateways, startMember(t, s.URL(), i))
	}
	c.whole(t)
	alice := c.gateways[0].Dial(t, "alice")
	for _, g := range c.gateways {
		g.reaches(`"`+g.Addr+`"`, "alice")
		if _, text, err := alice.Read(); err != nil {
			t.Fatal(text, err)
		}
	}
	for len(c.gateways) > 1 {
		last := c.gateways[len(c.gateways)-1]
		c.gateways = c.gateways[:len(c.gateways)-1]
		last.stop(t)
		c.whole(t)
		for _, g := range c.gateways {
			for _, reason := range []string{"link", "unread", "busy", "stranger", "astray", "malformed"} {
				if n := g.metricNow(t, `ws_gateway_cluster_packets_ignored_total{reason="`+reason+`"}`); n > 0 {
					t.Errorf("with %d gateways left one has ignored %v packets: %s", len(c.gateways), n, reason)
				}
			}
		}
	}
}
