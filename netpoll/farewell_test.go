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
