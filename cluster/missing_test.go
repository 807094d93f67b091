package cluster

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"ws-gateway/cluster/bus/localbus"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

// lost fails unless err says that these instances are missing.
func lost(t *testing.T, err error, late bool, want ...string) {
	t.Helper()
	var m *MissingError
	if !errors.As(err, &m) || strings.Join(m.Names, " ") != strings.Join(want, " ") || m.Late != late {
		t.Errorf("%v, want that %q are missing, late: %v", err, want, late)
	}
}

func TestWhileTheLinkIsDownCallsAreAboutWhatIsHereAndNameTheOthers(t *testing.T) {
	_, all := together(t, 3)
	a, b := all[0], all[1]
	here, there := a.dial("alice"), b.dial("alice")
	a.bus.SetUp(false)
	a.await("the link to be down", func() bool { return !a.Up() })
	lost(t, a.send(hub.Targets{All: true}, "1"), false, "b", "c")
	here.expect("1")
	r, err := a.SendThen(t.Context(), hub.Targets{Users: []string{"alice"}}, netpoll.NewFrame(ws.OpText, []byte("2")), true, nil)
	if lost(t, err, false, "b", "c"); r.Matched != 1 {
		t.Errorf("%+v", r)
	}
	here.expect("2")
	if err := a.send(hub.Targets{Conn: here.id}, "3"); err != nil {
		t.Errorf("to a connection that is here: %v", err)
	}
	lost(t, a.send(hub.Targets{Conn: there.id}, "3b"), false, "b")
	here.expect("3")
	pages, err := a.listed(all, nil, hub.Query{})
	if lost(t, err, false, "b", "c"); pages[0] != "alice@a" {
		t.Errorf("%q", pages)
	}
	conns, users, err := a.CountMembers(t.Context(), nil, hub.Query{})
	if lost(t, err, false, "b", "c"); conns != 1 || users != 1 {
		t.Error(conns, users)
	}
	_, _, _, err = a.Describe(t.Context(), there.id)
	lost(t, err, false, "b")
	n, err := a.Join(t.Context(), hub.Targets{Users: []string{"alice"}}, []string{"g"})
	if lost(t, err, false, "b", "c"); n != 1 {
		t.Error(n)
	}
	a.bus.SetUp(true)
	there.expect("1", "2", "3b") // what was held
	a.await("the others", func() bool { return len(a.view.Load().live) == 2 })
	if conns, users, err := a.CountMembers(t.Context(), nil, hub.Query{}); conns != 2 || users != 1 || err != nil {
		t.Error(conns, users, err)
	}
}

// What changes something is held as sends are, and done late, without an answer.
func TestACloseOrJoinForAnInstanceThatIsNotReachedIsHeldAndDoneLate(t *testing.T) {
	_, all := together(t, 2)
	a, b := all[0], all[1]
	b.dial("leaves")
	b.dial("joins")
	a.bus.SetUp(false)
	a.await("the link to be down", func() bool { return !a.Up() })
	_, err := a.Close(t.Context(), hub.Targets{Users: []string{"leaves"}}, 4001, "late")
	lost(t, err, false, "b")
	_, err = a.Join(t.Context(), hub.Targets{Users: []string{"joins"}}, []string{"room"})
	lost(t, err, false, "b")
	a.bus.SetUp(true)
	b.await("the close and the join", func() bool {
		n, _, _ := b.hub.CountMembers(t.Context(), []string{"room"}, hub.Query{})
		return n == 1 && len(b.ids("leaves")) == 0
	})
}

func TestWithRefuseACallThatCannotReachEverybodyDoesNothing(t *testing.T) {
	_, all := together(t, 2, func(cfg *Config) { cfg.Refuse = true })
	a := all[0]
	alice := a.dial("alice")
	a.bus.SetUp(false)
	a.await("the link to be down", func() bool { return !a.Up() })
	lost(t, a.send(hub.Targets{All: true}, "1"), false, "b")
	_, err := a.Close(t.Context(), hub.Targets{All: true}, 4000, "")
	lost(t, err, false, "b")
	_, err = a.Join(t.Context(), hub.Targets{All: true}, []string{"g"})
	lost(t, err, false, "b")
	if err := a.send(hub.Targets{Conn: alice.id}, "2"); err != nil {
		t.Errorf("to a connection that is here: %v", err)
	}
	alice.expect("2")
}

func TestAnInstanceThatNeverMetTheBusSaysThatOthersAreNotKnown(t *testing.T) {
	_, all := together(t, 1)
	a := begin(t, localbus.NewExchange(), "a2") // the other one is elsewhere
	a.bus.SetUp(false)
	a.await("the link to be down", func() bool { return !a.Up() && len(a.view.Load().missing) > 0 })
	lost(t, a.send(hub.Targets{All: true}, "1"), false, Unknown)
	elsewhere, here := all[0].dial("alice"), a.dial("bob")
	lost(t, a.send(hub.Targets{Conn: elsewhere.id}, "2"), false, Unknown)
	_, err := a.Close(t.Context(), hub.Targets{Conns: []string{elsewhere.id, elsewhere.id}}, 4001, "")
	lost(t, err, false, Unknown)
	_, err = a.Join(t.Context(), hub.Targets{Conns: []string{elsewhere.id, here.id}}, []string{"room"})
	lost(t, err, false, Unknown)
	if err := a.send(hub.Targets{Conn: here.id}, "3"); err != nil {
		t.Errorf("to a connection that is here: %v", err)
	}
	here.expect("3")
}

func TestAnInstanceThatDoesNotAnswerInTimeIsMissing(t *testing.T) {
	x, all := together(t, 2, func(cfg *Config) { cfg.Timeout = 50 * time.Millisecond })
	a, b := all[0], all[1]
	b.dial("bob")
	a.await("the streams", func() bool { // without an answer nothing is sent to begin with
		_, _, err := a.CountMembers(t.Context(), nil, hub.Query{})
		return err == nil
	})
	x.SetFate(func(from, _ [8]byte, packet []byte) localbus.Fate {
		if from == b.hub.Instance() && packet[4] != 1 { // what is no heartbeat
			return localbus.IsLost
		}
		return localbus.Arrives
	})
	r, err := a.Close(t.Context(), hub.Targets{All: true}, 4000, "")
	if lost(t, err, true, "b"); r.Matched != 0 {
		t.Errorf("%+v", r)
	}
	b.await("the close", func() bool { return len(b.ids("bob")) == 0 })
}

func TestAnInstanceThatHasLeftIsNotMissing(t *testing.T) {
	x, all := together(t, 1)
	a := all[0]
	t.Run("the other", func(t *testing.T) {
		b := begin(t, x, "b")
		a.await("the other", func() bool { return len(a.view.Load().live) == 1 })
		bob := b.dial("bob")
		if err := a.send(hub.Targets{All: true}, "last"); err != nil {
			t.Error(err)
		}
		bob.expect("last")
		informed(t, []*instance{a, b}) // nothing is under way that would be in doubt
	})
	a.await("its end, and to know that nobody else is there", func() bool { // for which a must have been there long enough
		v := a.view.Load()
		return len(v.live) == 0 && len(v.missing) == 0
	})
	if err := a.send(hub.Targets{All: true}, "1"); err != nil {
		t.Error(err)
	}
	if _, _, err := a.CountMembers(t.Context(), nil, hub.Query{}); err != nil {
		t.Error(err)
	}
	if s := a.Stats(); s.Doubt != 0 || s.Lost != 0 {
		t.Errorf("%+v", s)
	}
}

func TestWhatIsLostOnTheWayIsSentAgainInOrder(t *testing.T) {
	x, all := together(t, 2)
	a, b := all[0], all[1]
	bob := b.dial("bob")
	random := rand.New(rand.NewPCG(1, 2)) // asked with the exchange's lock held
	x.SetFate(func(_, _ [8]byte, packet []byte) localbus.Fate {
		switch n := random.IntN(10); {
		case packet[4] == 1: // a heartbeat
			return localbus.Arrives
		case n < 2:
			return localbus.IsLost
		case n == 2:
			return localbus.ComesTwice
		}
		return localbus.Arrives
	})
	for i := range 200 {
		a.mustSend(hub.Targets{All: true}, string(rune('0'+i%10)))
	}
	for i := range 200 {
		bob.expect(string(rune('0' + i%10)))
	}
}

func TestWhatIsNoPacketOfTheClusterIsIgnoredAndCounted(t *testing.T) {
	x, all := together(t, 2)
	stranger := x.Join([8]byte{9})
	for _, packet := range []string{"", "x", "wsg\x01", "wsg\x07 and more", strings.Repeat("wsg\x01", 100)} {
		stranger.Publish([8]byte{}, []byte(packet))
	}
	a := all[0]
	a.await("the packets", func() bool { return a.Stats().Malformed == 5 })
	if err := a.send(hub.Targets{All: true}, "1"); err != nil {
		t.Error(err)
	}
}
