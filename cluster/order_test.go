package cluster

import (
	"sync/atomic"
	"testing"
	"time"

	"ws-gateway/cluster/bus/localbus"
	"ws-gateway/cluster/packet"
	"ws-gateway/hub"
)

// The instance b tells late that somebody has connected there; a knows nothing of that
// when it sends.
func TestAMessageDoesNotOvertakeOneThatIsSentAgainForWhoHasJustConnected(t *testing.T) {
	for name, to := range map[string]hub.Targets{
		"two users": {Users: []string{"young", "old"}}, "all": {All: true},
	} {
		t.Run(name, func(t *testing.T) {
			x, all := together(t, 3) // the third is never sent anything for these users
			a, b := all[0], all[1]
			old := b.dial("old")
			b.await("a's table", func() bool { s := a.Stats(); return s.Known == 2 && s.Names == 1 })
			a.mustSend(hub.Targets{Users: []string{"old"}}, "first")
			old.expect("first")
			x.SetFate(func(from, to localbus.Instance, data []byte) localbus.Fate {
				if from == b.hub.Instance() && isOrdered(data) {
					return localbus.IsLost
				}
				return localbus.Arrives
			})
			young := b.dial("young")
			a.mustSend(hub.Targets{Users: []string{"young"}}, "1")
			a.mustSend(hub.Targets{Users: []string{"young"}}, "2")
			a.mustSend(to, "3")
			old.expect("3")
			x.SetFate(nil)
			a.mustSend(hub.Targets{Users: []string{"young"}}, "4")
			young.expect("1", "2", "3", "4")
		})
	}
}

func isOrdered(data []byte) bool {
	p, err := packet.Parse(data)
	return err == nil && p.Kind.Ordered()
}

func TestAnInstanceThatHasJustStartedDoesNotClaimToBeAlone(t *testing.T) {
	var now atomic.Int64
	now.Store(int64(time.Second))
	a := begin(t, localbus.NewExchange(), "a", func(cfg *Config) {
		cfg.clock = func() time.Duration { return time.Duration(now.Load()) }
	})
	a.await("the link", func() bool {
		v := a.view.Load()
		if len(v.missing) != 1 || v.missing[0] != Unknown {
			t.Fatalf("%+v", v)
		}
		return v.up
	})
	now.Add(int64(knowAfter))
	a.await("being alone", func() bool { return len(a.view.Load().missing) == 0 })
}
