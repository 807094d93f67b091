package cluster

import (
	"testing"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"

	"ws-gateway/cluster/bus/localbus"
	"ws-gateway/cluster/packet"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
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

// A call of another kind, too, comes behind a message to the same name that has to be sent
// again first, and so does one that names nobody.
func TestNoCallOvertakesAMessageForWhoHasJustConnected(t *testing.T) {
	user := func(*client) hub.Targets { return hub.Targets{Users: []string{"young"}} }
	for name, to := range map[string]func(*client) hub.Targets{
		"the user": user, "all": func(*client) hub.Targets { return hub.Targets{All: true} },
		"the id": func(c *client) hub.Targets { return hub.Targets{Conn: c.id} },
	} {
		for kind, do := range map[string]func(a *instance, to hub.Targets) error{
			"close": func(a *instance, to hub.Targets) error {
				_, err := a.Close(t.Context(), to, 4000, "")
				return err
			},
			"send with a report": func(a *instance, to hub.Targets) error {
				_, err := a.SendThen(t.Context(), to, netpoll.NewFrame(ws.OpText, []byte("last")), true, nil)
				return err
			},
		} {
			t.Run(kind+" to "+name, func(t *testing.T) {
				_, a, b, tellAgain := unaware(t)
				young := b.dial("young")
				a.mustSend(user(young), "1")
				a.mustSend(user(young), "2")
				done := make(chan error, 1)
				go func() { done <- do(a, to(young)) }()
				young.expect("1", "2")
				if kind == "close" {
					if _, _, err := young.Read(t.Context()); websocket.CloseStatus(err) != 4000 {
						t.Errorf("instead of the close frame: %v", err)
					}
				} else {
					young.expect("last")
				}
				tellAgain()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// What two messages name is all that the sender can see. If the first is for a group of
// which it does not know yet that somebody is in it there, it is sent again behind the second
// if that is for the user: it comes all the same, and once. docs/protocol.md says so. A
// message with a report is done when it is answered.
func TestAMessageToAGroupThatHasJustBeenJoinedMayComeBehindOneToTheUser(t *testing.T) {
	x, a, b, tellAgain := unaware(t)
	old := b.dial("old")
	tellAgain()
	b.await("a's table", func() bool { s := a.Stats(); return s.Known == 1 && s.Names == 1 })
	join := func(group string) hub.Targets {
		if _, err := b.hub.Join(t.Context(), hub.Targets{Users: []string{"old"}}, []string{group}); err != nil {
			t.Fatal(err)
		}
		return hub.Targets{Groups: []string{group}}
	}
	user := hub.Targets{Users: []string{"old"}}
	if _, err := a.SendThen(t.Context(), join("g"), netpoll.NewFrame(ws.OpText, []byte("1")), true, nil); err != nil {
		t.Fatal(err)
	}
	a.mustSend(user, "2")
	old.expect("1", "2")

	tellAgain = deaf(x, b)
	a.mustSend(join("h"), "3")
	a.mustSend(user, "4")
	old.expect("4")
	tellAgain()
	old.expect("3")
	a.mustSend(user, "5")
	old.expect("5")
}

// unaware starts two instances of which a does not learn who is at b until tellAgain.
func unaware(t *testing.T) (x *localbus.Exchange, a, b *instance, tellAgain func()) {
	t.Helper()
	x, all := together(t, 2)
	a, b = all[0], all[1]
	b.await("a's table", func() bool { return a.Stats().Known == 1 })
	return x, a, b, deaf(x, b)
}

// deaf keeps from the others what b tells them, until tellAgain.
func deaf(x *localbus.Exchange, b *instance) (tellAgain func()) {
	x.SetFate(func(from, to localbus.Instance, data []byte) localbus.Fate {
		if from == b.hub.Instance() && isOrdered(data) {
			return localbus.IsLost
		}
		return localbus.Arrives
	})
	return func() { x.SetFate(nil) }
}

func isOrdered(data []byte) bool {
	p, err := packet.Parse(data)
	return err == nil && p.Kind.Ordered()
}
