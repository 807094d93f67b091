package cluster

import (
	"sync/atomic"
	"testing"
	"time"

	"ws-gateway/cluster/bus/localbus"
	"ws-gateway/cluster/packet"
	"ws-gateway/cluster/stream"
	"ws-gateway/hub"
)

// skew makes the instances' clocks go on by what is added to it, beside the time that passes.
func skew() (jump *atomic.Int64, change func(*Config)) {
	jump, started := new(atomic.Int64), time.Now().Add(-clockStart)
	return jump, func(cfg *Config) {
		cfg.clock = func() time.Duration { return time.Since(started) + time.Duration(jump.Load()) }
	}
}

// givesUpNames has b give up what it tells of a user who connects while nothing of it
// arrives.
func (i *instance) givesUpNames(user string, jump *atomic.Int64) *client {
	i.t.Helper()
	told := i.Stats().Told
	c := i.dial(user)
	i.await("the name to be told", func() bool { return i.Stats().Told == told+1 })
	jump.Add(int64(i.cfg.Hold + time.Second))
	i.await("the name to be given up", func() bool { return i.Stats().GivenUp[stream.Old] > 0 })
	return c
}

// The bus is away for longer than names are held. Whoever has connected meanwhile is found
// by every send from when its instance is heard again.
func TestAnInstanceThatIsHeardAgainGetsEverythingUntilItsNamesAreKnown(t *testing.T) {
	jump, clocks := skew()
	x, all := together(t, 2, clocks)
	a, b := all[0], all[1]
	informed(t, all)
	for _, i := range all {
		i.bus.SetUp(false)
		i.await("the link to be down", func() bool { return !i.Up() })
	}
	bob := b.givesUpNames("bob", jump)
	x.SetFate(func(from, _ [8]byte, packet []byte) localbus.Fate {
		if from == b.hub.Instance() && packet[4] != 1 { // what is no heartbeat: it would say that something is lost
			return localbus.Waits
		}
		return localbus.Arrives
	})
	for _, i := range all {
		i.bus.SetUp(true)
	}
	a.await("the other", func() bool { return len(a.view.Load().live) == 1 })
	skipped := a.Stats().Skipped
	for _, text := range []string{"1", "2", "3"} {
		a.mustSend(hub.Targets{Users: []string{"bob"}}, text)
	}
	x.SetFate(nil)
	x.Release()
	a.settled()
	if got := a.Stats().Skipped; got != skipped {
		t.Errorf("%d messages were not sent to it", got-skipped)
	}
	bob.expect("1", "2", "3")
	informed(t, all) // and then it gets only what it has a target for
}

// The link of one is away for longer than names are held, and the other does not notice. The
// next heartbeat says so.
func TestWhatAnInstanceWasNotSentIsRepairedWhenItsHeartbeatSaysThatItsLinkWasAway(t *testing.T) {
	jump, clocks := skew()
	x, all := together(t, 2, clocks)
	a, b := all[0], all[1]
	informed(t, all)
	b.bus.SetUp(false)
	b.await("the link to be down", func() bool { return !b.Up() })
	bob := b.givesUpNames("bob", jump)
	skipped := a.Stats().Skipped
	_ = a.send(hub.Targets{Users: []string{"bob"}}, "1") // b may be silent by now
	a.await("the message", func() bool { return a.Stats().Skipped == skipped+1 })
	heartbeats := 0 // counted with the exchange's lock held
	x.SetFate(func(from, _ [8]byte, data []byte) localbus.Fate {
		if from != b.hub.Instance() {
			return localbus.Arrives
		}
		switch packet.Kind(data[4]) {
		case packet.Acknowledge:
			return localbus.Arrives
		case packet.Heartbeat:
			if heartbeats++; heartbeats <= 3 { // a would find out after some more
				return localbus.Arrives
			}
		}
		return localbus.IsLost
	})
	b.bus.SetUp(true)
	bob.expect("1")
}

// The link of one is away for longer than names are held, and the other does not notice.
// Nothing but packets of the stream tells that, as no heartbeat arrives any more.
func TestWhatAnInstanceWasNotSentIsRepairedWhenAChangeOfItsNamesMayBeMissed(t *testing.T) {
	jump, clocks := skew()
	x, all := together(t, 2, clocks)
	a, b := all[0], all[1]
	informed(t, all)
	x.SetFate(func(from, _ [8]byte, _ []byte) localbus.Fate {
		if from == b.hub.Instance() {
			return localbus.IsLost
		}
		return localbus.Arrives
	})
	bob := b.givesUpNames("bob", jump)
	skipped := a.Stats().Skipped
	_ = a.send(hub.Targets{Users: []string{"bob"}}, "1") // it may be silent by now
	a.await("the message", func() bool { return a.Stats().Skipped == skipped+1 })
	x.SetFate(func(from, _ [8]byte, packet []byte) localbus.Fate {
		if from == b.hub.Instance() && packet[4] == 1 { // a heartbeat
			return localbus.IsLost
		}
		return localbus.Arrives
	})
	bob.expect("1")
	if s := a.Stats(); s.Resyncs != 0 {
		t.Errorf("it was asked again %d times", s.Resyncs)
	}
}

// Where no name has changed a heartbeat says so, and nobody is asked again.
func TestAnInstanceWhoseNamesHaveNotChangedIsNotAskedAgain(t *testing.T) {
	_, all := together(t, 2)
	a, b := all[0], all[1]
	b.dial("bob")
	informed(t, all)
	for range 3 {
		for _, i := range all {
			i.bus.SetUp(false)
			i.await("the link to be down", func() bool { return !i.Up() })
		}
		for _, i := range all {
			i.bus.SetUp(true)
		}
		for _, i := range all {
			i.await("the other", func() bool { return len(i.view.Load().live) == 1 })
		}
		informed(t, all) // that it gets only what it has a target for
	}
	if a, b := a.Stats(), b.Stats(); a.Resyncs != 0 || b.Resyncs != 0 {
		t.Errorf("they were asked again %d and %d times", b.Resyncs, a.Resyncs)
	}
}
