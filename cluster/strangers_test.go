package cluster

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ws-gateway/cluster/bus/localbus"
	"ws-gateway/cluster/packet"
	"ws-gateway/hub"
)

// What an instance is sent by one that it has not heard of it ignores, and it is sent again only
// after a while.
func TestNobodyIsAStrangerWhenInstancesStartAndEnd(t *testing.T) {
	x, all := together(t, 3)
	informed(t, all)
	for _, name := range []string{"d", "e", "f"} {
		all = append(all, begin(t, x, name))
	}
	for _, i := range all {
		i.await("the others", func() bool { return len(i.view.Load().live) == len(all)-1 })
	}
	informed(t, all)
	target := all[0].dial("target")
	for _, i := range all {
		i.mustSend(hub.Targets{Users: []string{"target"}}, i.cfg.Name)
		target.expect(i.cfg.Name)
	}
	for len(all) > 1 {
		last := all[len(all)-1]
		all = all[:len(all)-1]
		for _, i := range all {
			i.mustSend(hub.Targets{All: true}, "under way")
		}
		last.Stop()
		for _, i := range all {
			i.await("its end", func() bool { return len(i.view.Load().live) == len(all)-1 })
			target.expect("under way")
		}
		for _, i := range append(all, last) {
			if s := i.Stats(); s.Strangers != 0 || s.Retransmitted != 0 {
				t.Errorf("%s: %d packets of strangers, %d were sent again", i.cfg.Name, s.Strangers, s.Retransmitted)
			}
		}
	}
}

// What an instance has sent before the others have its goodbye may arrive after it.
func TestAnInstanceThatHasSaidGoodbyeIsNoStranger(t *testing.T) {
	stop, clock := standing("c") // or c would not wait for longer than a second
	x, all := together(t, 3, clock)
	informed(t, all)
	a, b, last := all[0], all[1], all[2]
	var wait atomic.Int64
	x.SetFate(func(from, to localbus.Instance, data []byte) localbus.Fate {
		p, err := packet.Parse(data)
		if to != localbus.Instance(last.cfg.Instance) || err != nil || p.Kind == packet.Heartbeat || from == localbus.Instance(a.cfg.Instance) && !p.Kind.Ordered() {
			return localbus.Arrives
		}
		wait.Add(1)
		return localbus.Waits // what a has sent, and that b has the goodbye
	})
	a.mustSend(hub.Targets{All: true}, strings.Repeat("x", 1<<20)) // so long that it is acknowledged at once
	a.await("it to be sent", func() bool { return wait.Load() > 0 })
	defer stop()()
	ended := make(chan struct{})
	go func() {
		last.Stop()
		close(ended)
	}()
	for _, i := range []*instance{a, b} {
		i.await("its goodbye", func() bool { return len(i.view.Load().live) == 1 })
	}
	x.SetFate(nil)
	x.Release()
	a.await("the acknowledgement", func() bool { return a.Stats().Late > 0 })
	if n := a.Stats().Strangers; n != 0 {
		t.Errorf("%d packets of strangers", n)
	}
	<-ended
}

// An instance that ends waits until the others have its goodbye. Its clock stands still here:
// it does not end because that takes too long.
func TestAnInstanceThatEndsIsToldThatTheOthersKnow(t *testing.T) {
	stop, clock := standing("c")
	_, all := together(t, 3, clock)
	informed(t, all)
	goOn := stop()
	ended := make(chan struct{})
	go func() {
		all[2].Stop()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("it waits in vain")
		goOn()
		<-ended
	}
}

// standing lets the clock of the instance with the name stop, and go on.
func standing(name string) (stop func() (goOn func()), change func(*Config)) {
	started := time.Now().Add(-clockStart)
	var stopped atomic.Int64
	stop = func() func() {
		stopped.Store(int64(time.Since(started)))
		return func() { stopped.Store(0) }
	}
	return stop, func(cfg *Config) {
		if cfg.Name == name {
			cfg.clock = func() time.Duration {
				if at := stopped.Load(); at > 0 {
					return time.Duration(at)
				}
				return time.Since(started)
			}
		}
	}
}
