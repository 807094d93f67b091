package forward

import (
	"math/rand/v2"
	"sync"
	"testing"
)

// message of so many bytes in its buffer.
func testMessage(size int) *event {
	return &event{buf: make([]byte, size), body: size, action: actionMessage}
}

func TestALaneExistsOnlyWhileItHasEvents(t *testing.T) {
	tab := table{bounds: bounds{events: 10, bytes: 1000}}
	first, second := testMessage(1), testMessage(1)
	a := tab.add(7, first)
	if a.lane == nil || a.full {
		t.Fatalf("the first event: %+v", a)
	}
	if b := tab.add(7, second); b.lane != nil {
		t.Error("the second event made the lane ready again")
	}
	if c := tab.add(8, testMessage(1)); c.lane == nil || c.lane == a.lane {
		t.Error("another key shares the lane")
	}
	e := a.lane.head
	if r := tab.remove(a.lane); e != first || !r.more || r.cost != first.cost() {
		t.Errorf("the first removal: %+v", r)
	}
	e = a.lane.head
	if r := tab.remove(a.lane); e != second || r.more || r.cost != second.cost()+a.cost {
		t.Errorf("the last removal: %+v", r)
	}
	if d := tab.add(7, testMessage(1)); d.lane == nil {
		t.Error("the lane is still there without events")
	}
}

func TestALaneIsFullAtEitherBoundAndDrainedAtHalfOfBoth(t *testing.T) {
	for _, c := range []struct {
		name    string
		sizes   []int
		fullAt  int // the event that fills it
		drained int // the removal that drains it
	}{
		{"by number", []int{1, 1, 1, 1}, 4, 2},
		{"by bytes", []int{40, 60, 50, 10}, 2, 3},
		{"one event at the bound", []int{100}, 1, 1},
		{"never", []int{10, 10, 10}, 0, 0},
	} {
		tab := table{bounds: bounds{events: 4, bytes: 100}}
		var l *lane
		for i, size := range c.sizes {
			a := tab.add(1, testMessage(size))
			if a.lane != nil {
				l = a.lane
			}
			if want := c.fullAt > 0 && i+1 >= c.fullAt; a.full != want {
				t.Errorf("%s: event %d: full is %v", c.name, i+1, a.full)
			}
		}
		for i := range c.sizes {
			if r := tab.remove(l); r.drained != (i+1 == c.drained) {
				t.Errorf("%s: removal %d: drained is %v", c.name, i+1, r.drained)
			}
		}
	}
}

func TestOpenAndCloseEventsFillNoLane(t *testing.T) {
	tab := table{bounds: bounds{events: 1, bytes: 1}}
	for _, a := range []action{actionOpen, actionClose} {
		if added := tab.add(1, &event{buf: make([]byte, 100), action: a}); added.full {
			t.Errorf("an %v event answers full", a)
		}
	}
}

func TestAFullLaneStaysFullUntilItIsDrained(t *testing.T) {
	tab := table{bounds: bounds{events: 4, bytes: 1 << 20}}
	var l *lane
	for range 4 {
		if a := tab.add(1, testMessage(1)); a.lane != nil {
			l = a.lane
		}
	}
	tab.remove(l) // 3 left: over half
	if !tab.add(1, testMessage(1)).full {
		t.Error("Message answers that there is room, although a Drained call is due")
	}
	tab.remove(l)
	if !tab.remove(l).drained {
		t.Error("not drained at half")
	}
	if tab.add(1, testMessage(1)).full {
		t.Error("full below the bounds")
	}
}

func TestALaneTakenDownWhileItFillsIsAlwaysDrained(t *testing.T) {
	// One goroutine fills, and waits for Drained whenever it was told full; the
	// other empties. A lost Drained would stop both.
	tab := table{bounds: bounds{events: 3, bytes: 1 << 20}}
	ready := make(chan *lane, 1)
	drained := make(chan struct{}, 1)
	const total = 20_000
	var wg sync.WaitGroup
	wg.Go(func() {
		for range total {
			a := tab.add(5, testMessage(1))
			if a.lane != nil {
				ready <- a.lane
			}
			if a.full {
				<-drained
			}
		}
	})
	wg.Go(func() {
		for n := 0; n < total; {
			l := <-ready
			for more := true; more; n++ {
				r := tab.remove(l)
				if r.drained {
					drained <- struct{}{}
				}
				more = r.more
			}
		}
	})
	wg.Wait()
	if len(drained) != 0 {
		t.Error("drained more often than full")
	}
}

func TestALargeMapDoesNotOutliveItsLanes(t *testing.T) {
	tab := table{bounds: bounds{events: 4, bytes: 1 << 20}}
	s := tab.stripe(0)
	var lanes []*lane
	for key := uint64(0); len(lanes) <= largeMap; key++ {
		if tab.stripe(key) == s {
			lanes = append(lanes, tab.add(key, testMessage(1)).lane)
		}
	}
	rand.Shuffle(len(lanes), func(i, j int) { lanes[i], lanes[j] = lanes[j], lanes[i] })
	for _, l := range lanes {
		if s.lanes == nil {
			t.Fatal("the map went while it had lanes")
		}
		tab.remove(l)
	}
	if s.lanes != nil {
		t.Error("the map is kept")
	}
}
