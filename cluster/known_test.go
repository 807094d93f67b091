package cluster

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/rs/zerolog"

	"ws-gateway/cluster/bus/localbus"
	"ws-gateway/cluster/members"
	"ws-gateway/cluster/packet"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

// driven is an instance without a router: the test does what that would, at times of its own.
type driven struct {
	*Cluster
	t   *testing.T
	now time.Duration
}

func drive(t *testing.T) *driven {
	t.Helper()
	h, err := hub.New(hub.Config{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	d := &driven{t: t, now: clockStart}
	d.Cluster, err = New(Config{
		Hub: h, Bus: localbus.NewExchange().Join([8]byte{1}), Instance: packet.Instance{1}, App: "chat", Name: "a", Log: zerolog.Nop(),
		clock: func() time.Duration { return d.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.leave()
		d.Stop()
	})
	return d
}

// pass lets time pass.
func (d *driven) pass(time time.Duration) {
	for until := d.now + time; d.now < until; {
		d.now = min(d.now+lookEvery, until)
		d.tick(d.now)
	}
}

func (d *driven) link(up bool) {
	d.linked(up, d.now)
	d.tick(d.now)
}

// hears takes a heartbeat of another instance, which knows these if they are all.
func (d *driven) hears(id byte, knows ...byte) {
	h := members.Heartbeat{ID: packet.Instance{id}, Makes: packet.Instance{id}, Name: string(rune('a' - 1 + id)), Up: time.Hour}
	for _, other := range knows {
		h.Knows += binary.BigEndian.Uint64([]byte{other, 0, 0, 0, 0, 0, 0, 0})
	}
	p := packet.Packet{Sender: h.ID, Body: h.AppendFields(nil)}
	p.FieldsLength = uint32(len(p.Body))
	d.heartbeat(&p, d.now)
	d.tick(d.now)
}

// claims expects that the instance claims to know all others, or not.
func (d *driven) claims(whole bool, when string) {
	d.t.Helper()
	if got := d.Whole(); got != whole {
		d.t.Errorf("%s: it claims to know all others: %v", when, got)
	}
	if unknown := len(d.view.Load().missing) > 0 && d.view.Load().missing[len(d.view.Load().missing)-1] == Unknown; unknown == whole {
		d.t.Errorf("%s: %q are missing", when, d.view.Load().missing)
	}
}

func TestAnInstanceThatHasJustStartedDoesNotClaimToBeAlone(t *testing.T) {
	a := drive(t)
	a.pass(time.Minute)
	a.claims(false, "without a link")
	a.link(true)
	a.pass(listenFor - 1)
	a.claims(false, "a moment after that")
	a.pass(lookEvery)
	a.claims(true, "when it has heard nobody for long enough")
}

func TestTimeInWhichAnInstanceDidNotRunDoesNotTellItWhoIsThere(t *testing.T) {
	a := drive(t)
	a.link(true)
	a.now += time.Hour
	a.tick(a.now)
	a.claims(false, "after an hour in one step")
}

func TestAnInstanceThatJoinsOthersKnowsAllWhenItHasHeardThoseThatTheyKnow(t *testing.T) {
	a := drive(t)
	a.link(true)
	a.hears(2, 2, 3) // as it knew them when its heartbeat was under way
	a.claims(false, "b is heard, c is not")
	a.hears(2, 1, 2, 3)
	a.claims(false, "b has heard it too, c is not heard")
	a.pass(listenFor)
	a.hears(2, 1, 2, 3)
	a.claims(false, "c is not heard for long")
	a.hears(3)
	a.claims(true, "c is heard, and cannot say whom it knows")
}

func TestAnInstanceThatWaitsForOneThatIsNotHeardWaitsNoLongerThanTheOthers(t *testing.T) {
	a := drive(t)
	a.link(true)
	beats := func(d time.Duration) {
		for until := a.now + d; a.now < until; {
			a.hears(2, 1, 2, 9)
			a.pass(time.Second)
		}
	}
	beats(defaultDeadAfter - time.Second)
	a.claims(false, "somebody knows one that is not heard")
	beats(time.Second)
	a.claims(true, "that is as good as dead")
}

func TestInstancesThatHaveAllJustStartedKnowEachOtherAfterAWhile(t *testing.T) {
	a := drive(t)
	a.link(true)
	a.hears(2)
	a.pass(listenFor - 1)
	a.claims(false, "b does not know whom else there is")
	a.hears(2)
	a.pass(lookEvery)
	a.claims(true, "after a while")
	a.hears(3, 2, 3)
	a.claims(true, "and one that is new changes that no more")
}

func TestAnInstanceWhoseLinkWasAwayKnowsAllWhenItHearsThemAgainUnlessTheyKnowMore(t *testing.T) {
	for more, knows := range map[bool][]byte{false: nil, true: {1, 2, 3}} {
		a := drive(t)
		a.link(true)
		a.hears(2, 1, 2)
		a.claims(true, "b is heard")
		a.link(false)
		if v := a.view.Load(); len(v.missing) != 1 || v.missing[0] != "b" || a.Whole() {
			t.Errorf("without a link: %q are missing", v.missing)
		}
		a.link(true)
		a.claims(false, "the link is there again, b is not heard")
		a.hears(2, knows...)
		a.claims(!more, "b is heard again")
		a.hears(3)
		a.claims(true, "c is heard")
	}
}

// Whoever knows nobody, or not yet all, does not say that a connection of another is not there.
func TestACallByIDNamesThatOthersAreMissingWhileItIsNotKnownWhoHasMadeIt(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		x := localbus.NewExchange()
		other := begin(t, x, "b")
		id := other.dial("bob").id
		a := begin(t, localbus.NewExchange(), "a", func(cfg *Config) { cfg.Refuse, cfg.listenFor = refuse, patience })
		alice := a.dial("alice")
		frame := func(text string) *netpoll.Frame { return netpoll.NewFrame(ws.OpText, []byte(text)) }
		unknown := func(what string, err error) {
			t.Helper()
			var m *MissingError
			if !errors.As(err, &m) || len(m.Names) != 1 || m.Names[0] != Unknown || m.Refused != refuse || m.Late {
				t.Errorf("%s, with refuse %v: %v", what, refuse, err)
			}
		}
		for what, to := range map[string]hub.Targets{
			"one": {Conn: id}, "several": {Conns: []string{alice.id, id}}, "one of a user": {Conns: []string{id}, Users: []string{"bob"}, Owned: true},
		} {
			unknown("send to "+what, a.send(to, "1"))
			_, err := a.SendThen(t.Context(), to, frame("2"), true, nil)
			unknown("send with report to "+what, err)
			_, err = a.Join(t.Context(), to, []string{"g"})
			unknown("join of "+what, err)
			_, err = a.Leave(t.Context(), to, []string{"g"})
			unknown("leave of "+what, err)
		}
		_, err := a.Close(t.Context(), hub.Targets{Conn: id}, 4000, "")
		unknown("close", err)
		_, err = a.SetMeta(t.Context(), hub.Targets{Conn: id}, nil)
		if err != nil && !errors.Is(err, hub.ErrNoMeta) {
			unknown("meta", err)
		}
		_, _, found, err := a.Describe(t.Context(), id)
		if lost(t, err, false, Unknown); found {
			t.Error("found")
		}
		if err := a.send(hub.Targets{Conn: alice.id}, "here"); err != nil {
			t.Errorf("to a connection that is here: %v", err)
		}
		if refuse {
			alice.expect("here")
		} else {
			alice.expect("1", "2", "here")
		}
	}
}

func TestACallThatOthersAnswerNamesThatMoreMayBeMissing(t *testing.T) {
	x := localbus.NewExchange()
	third := begin(t, localbus.NewExchange(), "c").dial("carol").id
	starting := func(cfg *Config) { cfg.listenFor = patience }
	a, b := begin(t, x, "a", starting), begin(t, x, "b", starting)
	bob := b.dial("bob")
	a.await("b", func() bool { return len(a.view.Load().live) == 1 })
	for _, to := range []hub.Targets{{All: true}, {Users: []string{"bob"}}, {Conns: []string{bob.id, third}}} {
		r, err := a.SendThen(t.Context(), to, netpoll.NewFrame(ws.OpText, []byte("1")), true, nil)
		if lost(t, err, false, Unknown); r.Matched != 1 {
			t.Errorf("%+v: %+v", to, r)
		}
		n, err := a.Join(t.Context(), to, []string{"g"})
		if lost(t, err, false, Unknown); n != 1 {
			t.Errorf("%+v: %d have joined", to, n)
		}
	}
	bob.expect("1", "1", "1")
}

func TestACallByAnIDThatNobodyHasMadeIsOfNobodyOnceAllAreKnown(t *testing.T) {
	_, all := together(t, 2)
	const stranger = "zzzzzzzzzzzzzzzz"
	id := all[1].dial("bob").id
	gone := stranger[:4] + id[4:]
	a := all[0]
	if err := a.send(hub.Targets{Conn: gone}, "1"); err != nil {
		t.Error(err)
	}
	if _, _, ok, err := a.Describe(t.Context(), gone); ok || err != nil {
		t.Error(ok, err)
	}
	a.bus.SetUp(false)
	a.await("the link to be down", func() bool { return !a.Up() })
	lost(t, a.send(hub.Targets{Conn: gone}, "2"), false, Unknown) // others may have started
	_, _, _, err := a.Describe(t.Context(), gone)
	lost(t, err, false, Unknown)
}
