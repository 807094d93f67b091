package cluster

import (
	"fmt"
	"sync/atomic"
	"testing"

	"ws-gateway/cluster/bus/localbus"
	"ws-gateway/cluster/packet"
	"ws-gateway/hub"
)

// TestTwentyInstancesThatComeBackAtOnceDoNotSendEachOtherMuch is about a NATS server that
// is restarted: all find each other at the same moment. Nothing has changed meanwhile, so
// none needs to be told everything again. Heartbeats do not count: their number is that of
// seconds.
func TestTwentyInstancesThatComeBackAtOnceDoNotSendEachOtherMuch(t *testing.T) {
	const n = 20
	x, all := together(t, n)
	for i, in := range all {
		in.dial(fmt.Sprint("user-", i))
	}
	target := all[n-1].dial("target")
	var packets, bytes atomic.Int64
	x.SetFate(func(_, _ localbus.Instance, data []byte) localbus.Fate {
		if p, err := packet.Parse(data); err == nil && p.Kind != packet.Heartbeat {
			packets.Add(1)
			bytes.Add(int64(len(data)))
		}
		return localbus.Arrives
	})
	for round := range 2 {
		for _, in := range all {
			in.bus.SetUp(false)
		}
		for _, in := range all {
			in.await("the others' silence", func() bool { return len(in.view.Load().live) == 0 })
		}
		all[0].send(hub.Targets{Users: []string{"target"}}, fmt.Sprint("held ", round)) // the error names who is missing
		packets.Store(0)
		bytes.Store(0)
		for _, in := range all {
			in.bus.SetUp(true)
		}
		for _, in := range all {
			in.await("the others", func() bool { return len(in.view.Load().live) == n-1 })
		}
		target.expect(fmt.Sprint("held ", round))
		const perPair = 10 // packets: what was held, who has taken what, and answers to that
		if got := packets.Load(); got > n*(n-1)*perPair {
			t.Errorf("round %d: %d packets, %d bytes", round, got, bytes.Load())
		}
		t.Logf("round %d: %d packets, %d bytes", round, packets.Load(), bytes.Load())
	}
}
