package cluster

import (
	"fmt"
	"sync/atomic"
	"testing"

	"ws-gateway/cluster/bus/localbus"
	"ws-gateway/cluster/packet"
	"ws-gateway/hub"
)

// TestWhatArrivesAfterTheLinkIsLostIsTakenAndNotAnsweredUntilItIsBack is about a process
// that stood still: the link's loss is known before what was under way is taken.
func TestWhatArrivesAfterTheLinkIsLostIsTakenAndNotAnsweredUntilItIsBack(t *testing.T) {
	x, all := together(t, 2)
	a, b := all[0], all[1]
	target := b.dial("target")
	a.mustSend(hub.Targets{Users: []string{"target"}}, "before")
	target.expect("before")
	var heartbeats, others atomic.Int64
	x.SetFate(func(_, to localbus.Instance, data []byte) localbus.Fate {
		if p, err := packet.Parse(data); to != localbus.Instance(b.cfg.Instance) || err != nil {
			return localbus.Arrives
		} else if p.Kind == packet.Heartbeat {
			heartbeats.Add(1)
		} else {
			others.Add(1)
		}
		return localbus.Waits
	})
	sent := make(chan error, 1)
	go func() { sent <- a.send(hub.Targets{Users: []string{"target"}}, "under way") }()
	a.await("what is under way", func() bool { return heartbeats.Load() > 0 && others.Load() > 0 })
	b.bus.SetUp(false)
	b.await("the other's silence", func() bool { return len(b.view.Load().live) == 0 })
	refused := b.bus.Stats().Refused
	x.SetFate(nil)
	x.Release()
	target.expect("under way")
	if v := b.view.Load(); len(v.live) != 0 || b.bus.Stats().Refused != refused {
		t.Errorf("%d instances are heard over a link that is down, %d packets were tried", len(v.live), b.bus.Stats().Refused-refused)
	}
	b.bus.SetUp(true)
	if err := <-sent; err != nil {
		t.Log(err) // it may have been told that b is away
	}
	b.await("the other", func() bool { return len(b.view.Load().live) == 1 })
	a.mustSend(hub.Targets{Users: []string{"target"}}, "after")
	target.expect("after")
}

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
