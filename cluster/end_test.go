package cluster

import (
	"testing"

	"ws-gateway/cluster/bus/localbus"
	"ws-gateway/hub"
)

// A client has just connected at another instance, which has not told of it yet, when a
// message for it is sent by one that ends.
func TestAnInstanceThatEndsSendsToThoseOfWhomItHasNotHeardYet(t *testing.T) {
	x, all := together(t, 2, func(cfg *Config) { cfg.lastWords = patience })
	a, b := all[0], all[1]
	informed(t, all)
	x.SetFate(func(from, to localbus.Instance, data []byte) localbus.Fate {
		if from == b.hub.Instance() && isOrdered(data) {
			return localbus.Waits
		}
		return localbus.Arrives
	})
	bob := b.dial("bob")
	skipped, executed := a.Stats().Skipped, b.Stats().Executed
	a.mustSend(hub.Targets{Users: []string{"bob"}}, "last")
	a.await("the message", func() bool { return a.Stats().Skipped > skipped })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.Stop()
	}()
	b.await("the end, or that it is put off", func() bool {
		select {
		case <-ended:
			return true
		default:
			return b.Stats().Executed > executed
		}
	})
	x.SetFate(nil)
	x.Release()
	<-ended
	b.await("the goodbye", func() bool { return len(b.view.Load().live) == 0 })
	b.mustSend(hub.Targets{Users: []string{"bob"}}, "after that")
	bob.expect("last", "after that")
}
