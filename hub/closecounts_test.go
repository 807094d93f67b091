package hub

import (
	"testing"

	"ws-gateway/forward"
)

func TestClosesAreCountedByInitiatorAndCode(t *testing.T) {
	for _, c := range []struct {
		end             forward.End
		initiator, code string
	}{
		{forward.End{Code: 1000, Initiator: "client"}, "client", "1000"},
		{forward.End{Code: 1015, Initiator: "app"}, "app", "1015"},
		{forward.End{Code: 1006, Initiator: "network"}, "network", "1006"},
		{forward.End{Code: 1008, Initiator: "gateway"}, "gateway", "1008"},
		{forward.End{Code: 3000, Initiator: "client"}, "client", "3xxx"},
		{forward.End{Code: 4999, Initiator: "client"}, "client", "4xxx"},
		{forward.End{Code: 1016, Initiator: "client"}, "client", "other"},
		{forward.End{Code: 5000, Initiator: "client"}, "client", "other"},
		{forward.End{Code: 0, Initiator: "client"}, "client", "other"},
	} {
		var counted closeCounters
		counted.count(c.end)
		var sum Closes
		counted.addTo(&sum)
		counted.addTo(&sum) // another loop with the same
		for i, initiator := range Initiators {
			for code, name := range CloseCodes {
				want := uint64(0)
				if initiator == c.initiator && name == c.code {
					want = 2
				}
				if sum[i][code] != want {
					t.Errorf("%+v: %s %s has %d, want %d", c.end, initiator, name, sum[i][code], want)
				}
			}
		}
	}
}
