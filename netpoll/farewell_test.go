package netpoll

import "testing"

func TestTheOldestFarewellIsForgottenAndCountedIfThereAreTooMany(t *testing.T) {
	var s farewells
	forgotten := uint64(0)
	for id := range ID(maxFarewells + 10) {
		forgotten += s.put(id, new(farewell))
	}
	if forgotten != 10 || s.find(9) != nil || s.find(10) == nil || len(s.byID) != maxFarewells {
		t.Errorf("%d forgotten, %d left", forgotten, len(s.byID))
	}
}

// Most clients answer the close frame at once: they take no place from those who do not.
func TestFarewellsThatAreAnsweredTakeNoPlace(t *testing.T) {
	var s farewells
	s.put(0, new(farewell))
	for id := range ID(5 * maxFarewells) {
		if s.put(id+1, new(farewell)) != 0 || len(s.queue) > 2*maxFarewells {
			t.Fatalf("after %d: %d are queued", id, len(s.queue))
		}
		s.forget(id + 1)
	}
	if s.find(0) == nil || len(s.byID) != 1 {
		t.Errorf("%d are left", len(s.byID))
	}
}

func TestThousandsWhoAreAwayAreClosedAndEachLearnsTheCode(t *testing.T) {
	const many = 3000 // of one loop
	w := newRoams(t)
	crowd := make([]*roam, many)
	for i := range crowd {
		c := &roam{w: w, number: i, fd: -1}
		crowd[i] = c
		c.connect(0)
		w.work()
		c.read(1 << 20)
		c.cut()
	}
	w.turn()
	for _, c := range crowd {
		w.close(c.of, AppClosed)
	}
	for _, c := range crowd {
		c.connect(0)
		w.work()
		if c.read(1 << 20); !c.closing {
			t.Fatalf("client %d: no close frame", c.number)
		}
		c.cut()
	}
	w.turn()
	if n := w.srv.loops[0].stats; n.Farewells != many || n.FarewellsForgotten != 0 {
		t.Errorf("%d farewells, %d forgotten", n.Farewells, n.FarewellsForgotten)
	}
}

// losesAfter has a client come, acknowledge so many messages, and lose its connection.
func (w *roams) losesAfter(c *roam, messages int) {
	c.connect(0)
	w.turn()
	c.read(1 << 20)
	for i := range messages {
		w.send(c.of, i, 10)
	}
	w.turn()
	c.read(1 << 20)
	c.acknowledge()
	c.write(1 << 20)
	w.turn()
	c.cut()
	w.turn()
}

func TestAClientThatWasClosedGetsWhatItHasMissedThenTheCode(t *testing.T) {
	w := newRoams(t)
	c := w.clients[0]
	w.losesAfter(c, 3)
	for i := range 4 {
		w.send(c.of, i, 2000) // more than MaxPendingBytes together
	}
	w.close(c.of, AppClosed)
	was := c.of
	for range 2 {
		c.connect(4) // the answer is lost
		w.turn()
	}
	for len(was.sent) > c.got || !c.closing {
		if c.fd < 0 {
			c.connect(0)
		}
		w.turn()
		if c.read(1 << 20); t.Failed() || c.of != was {
			t.Fatal("not told")
		}
	}
	if !c.greeted {
		t.Error("no greeting")
	}
	c.connect(0)
	w.turn()
	if c.read(1 << 20); !c.closing || c.greeted || c.got != len(was.sent) {
		t.Errorf("it has everything, and comes back: greeted %v, %d messages", c.greeted, c.got)
	}
	if n := w.srv.Stats().Budgets[ResumeBudget]; n.Used != 0 {
		t.Errorf("%d bytes are kept, though the client has all", n.Used)
	}
}

// One that was held up may say less than the client has said by now, and one that lies more.
func TestAHandshakeWithAnotherCountTakesNothingFromAFarewell(t *testing.T) {
	w := newRoams(t)
	c := w.clients[0]
	w.losesAfter(c, 1)
	w.send(c.of, 0, 10)
	w.close(c.of, AppClosed)
	was, token, has := c.of, c.token, c.got
	for _, c.got = range []int{0, 9} {
		c.connect(0)
		w.turn()
		if c.read(1 << 20); !c.closing || c.greeted {
			t.Fatalf("with %d messages: closing %v, greeted %v", c.got, c.closing, c.greeted)
		}
		c.cut()
		c.token = token
	}
	c.got = has
	c.connect(0)
	w.turn()
	if c.read(1 << 20); !c.closing || c.got != len(was.sent) {
		t.Errorf("it has %d of %d messages, closing %v", c.got, len(was.sent), c.closing)
	}
}

// Sessions that go on need the memory more.
func TestMessagesOfFarewellsGiveWayFirstOldestFirst(t *testing.T) {
	w := newRoams(t)
	const each = 7000 // three of them fit
	for i, c := range w.clients {
		c.connect(0)
		w.turn()
		c.read(1 << 20)
		c.cut()
		w.turn()
		for range each / 2000 {
			w.send(c.of, 0, 2000)
		}
		if i < 3 {
			w.close(c.of, AppClosed)
		}
		w.turn()
	}
	if w.clients[3].of.closed != 0 {
		t.Error("the session that goes on gave way")
	}
	for i, missed := range []bool{true, false, false, false} {
		c := w.clients[i]
		was := c.of
		c.connect(0)
		for range 20 { // the socket's buffer is small
			w.turn()
			c.read(1 << 20)
		}
		if c.of != was || c.closing != (i < 3) || (c.got == 0) != missed {
			t.Errorf("client %d: closed %v, %d of %d messages", i, c.closing, c.got, len(was.sent))
		}
	}
	if n := w.srv.Stats().Budgets[ResumeBudget].GaveWay; n != 1 {
		t.Errorf("%d gave way", n)
	}
}
