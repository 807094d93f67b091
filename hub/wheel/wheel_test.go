package wheel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const plenty = 1 << 30

// budget is the hub's for one call of Advance.
const budget = 4096

func TestADeadlineFiresAtItsTickAndOnce(t *testing.T) {
	for _, due := range []uint32{1, 2, 75, span - 1, span, span + 1, 3*span + 7} {
		t.Run(fmt.Sprint(due), func(t *testing.T) {
			var w Wheel
			w.Set(5, due)
			var fired []uint32
			for now := uint32(1); now <= due+2*span; now++ {
				w.Advance(now, plenty, func(slot uint32) { fired = append(fired, slot, now) })
			}
			if !slices.Equal(fired, []uint32{5, due}) {
				t.Errorf("fired (slot, tick): %v", fired)
			}
		})
	}
}

func TestTicksThatWereMissedAreMadeUpFor(t *testing.T) {
	var w Wheel
	for slot := range uint32(100) {
		w.Set(slot, 1+slot*17)
	}
	count := 0
	w.Advance(5000, plenty, func(uint32) { count++ })
	if count != 100 || w.now != 5000 {
		t.Errorf("%d fired by tick %d", count, w.now)
	}
}

func TestADeadlineInThePastFiresAtTheNextTick(t *testing.T) {
	var w Wheel
	w.Advance(50, plenty, nil)
	w.Set(0, 7)
	fired := uint32(0)
	for now := uint32(50); fired == 0 && now < 60; now++ {
		w.Advance(now, plenty, func(uint32) { fired = now })
	}
	if fired != 51 {
		t.Errorf("fired at tick %d", fired)
	}
}

func TestClearWhileItsTickIsAtWork(t *testing.T) {
	var w Wheel
	for slot := range uint32(10) {
		w.Set(slot, 1)
	}
	var fired []uint32
	fire := func(slot uint32) {
		fired = append(fired, slot)
		for other := range uint32(10) {
			if other != slot {
				w.Clear(other)
			}
		}
		w.Set(slot, 1) // in the past: not again in this tick
	}
	w.Advance(1, plenty, fire)
	if len(fired) != 1 {
		t.Errorf("fired: %v", fired)
	}
}

func TestABudgetCutsATickIntoSlices(t *testing.T) {
	var w Wheel
	for slot := range uint32(1000) {
		w.Set(slot, 1)
	}
	fired, slices := 0, 1
	for w.Advance(1, 10*FireCost, func(uint32) { fired++ }) {
		slices++
		if want := 10 * (slices - 1); fired != want {
			t.Fatalf("%d fired after %d slices", fired, slices-1)
		}
	}
	if fired != 1000 || slices < 100 {
		t.Errorf("%d fired in %d slices", fired, slices)
	}
}

func TestTheWheelsLagIsWhatIsNotWorkedThrough(t *testing.T) {
	var w Wheel
	for slot := range uint32(1000) {
		w.Set(slot, 3)
	}
	fired := 0
	fire := func(uint32) { fired++ }
	for now, want := range []int64{0: 0, 1: 0, 2: 0} {
		if got := w.Lag(uint32(now)); got != want {
			t.Errorf("at %d: %d, want %d", now, got, want)
		}
		w.Advance(uint32(now), budget, fire)
	}
	if !w.Advance(3, FireCost, fire) {
		t.Fatal("a thousand were worked through at once")
	}
	if got := w.Lag(5); got != 2 {
		t.Errorf("in the middle of tick 3, at 5: %d behind, want 2", got)
	}
	for w.Advance(5, budget, fire) {
	}
	if got := w.Lag(5); got != 0 || fired != 1000 {
		t.Errorf("%d behind after %d were fired", got, fired)
	}
}

// naiveWheel does what a wheel should, at the cost of looking at everything.
type naiveWheel struct {
	now  uint32
	due  map[uint32]uint32
	done bool // what fires is not armed again
}

func (n *naiveWheel) set(slot, due uint32) { n.due[slot] = max(due, n.now+1) }

// checkAgainstNaive plays ops on a wheel and on the naive one.
func checkAgainstNaive(t *testing.T, ops []byte) {
	var w Wheel
	naive := naiveWheel{due: map[uint32]uint32{}}
	for len(ops) >= 4 {
		op, slot, arg := ops[0]%4, uint32(ops[1]), uint32(ops[2])<<8|uint32(ops[3])
		ops = ops[4:]
		switch op {
		case 0, 1:
			due := naive.now + arg%1200
			w.Set(slot, due)
			naive.set(slot, due)
		case 2:
			w.Clear(slot)
			delete(naive.due, slot)
		case 3:
			now := naive.now + arg%700
			advanceBoth(t, &w, &naive, now, 1+int(slot))
		}
	}
	naive.done = true
	advanceBoth(t, &w, &naive, naive.now+2000, 1+7*FireCost)
	if len(naive.due) != 0 || w.buckets != [span]bag{} || w.atWork.first != 0 {
		t.Fatalf("left over: %v", naive.due)
	}
}

func advanceBoth(t *testing.T, w *Wheel, naive *naiveWheel, now uint32, budget int) {
	t.Helper()
	fire := func(slot uint32) {
		due, ok := naive.due[slot]
		if !ok || due != w.now {
			t.Fatalf("slot %d fired at %d, due (armed %v) at %d", slot, w.now, ok, due)
		}
		delete(naive.due, slot)
		if slot%8 == 0 && !naive.done { // as a session that is paused, and put off
			w.Set(slot, now+5)
			naive.due[slot] = now + 5
		}
	}
	for w.Advance(now, budget, fire) {
	}
	naive.now = now
	for slot, due := range naive.due {
		if due <= now {
			t.Fatalf("slot %d, due at %d, has not fired by %d", slot, due, now)
		}
	}
}

func TestTheWheelDoesWhatANaiveOneDoes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		ops := make([]byte, 4*400)
		for i := range ops {
			ops[i] = byte(random.Uint32())
		}
		checkAgainstNaive(t, ops)
	}
}

func FuzzWheel(f *testing.F) {
	f.Add([]byte{0, 1, 0, 5, 3, 9, 0, 4, 2, 1, 0, 0, 3, 9, 2, 0})
	f.Fuzz(checkAgainstNaive)
}

func TestATickAllocatesNothing(t *testing.T) {
	w := armed(10_000, 75)
	fire := func(slot uint32) { w.Set(slot, w.now+75) }
	now := uint32(0)
	n := testing.AllocsPerRun(500, func() {
		now++
		w.Set(now%10_000, now+80)
		for w.Advance(now, budget, fire) {
		}
	})
	if n != 0 {
		t.Errorf("%v allocations a tick", n)
	}
}

// armed is a wheel whose slots came over the last timeout seconds.
func armed(slots, timeout uint32) *Wheel {
	w := new(Wheel)
	random := rand.New(rand.NewPCG(3, 4))
	for slot := range slots {
		w.Set(slot, 1+random.Uint32N(timeout))
	}
	return w
}

// BenchmarkWheelSet is a ping among 100,000 sessions.
func BenchmarkWheelSet(b *testing.B) {
	const sessions = 100_000
	w := armed(sessions, 75)
	slot := uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		slot = (slot + 7919) % sessions
		w.Set(slot, 75)
	}
}

// BenchmarkWheelSecond is a second of 10,000 sessions, of which a 75th is looked
// at and put forward.
func BenchmarkWheelSecond(b *testing.B) {
	w := armed(10_000, 75)
	fire := func(slot uint32) { w.Set(slot, w.now+75) }
	b.ReportAllocs()
	for b.Loop() {
		for now := w.now + 1; w.Advance(now, budget, fire); {
		}
	}
}

// BenchmarkWheelTick is a second in the life of a wheel with a million sessions
// that ping every 30 s and have 75 s to do so: the 33,333 pings and, timed, the
// tick. "slice" is one call of Advance.
//
//	go test -run '^$' -bench WheelTick -benchtime 300x ./hub/wheel/
func BenchmarkWheelTick(b *testing.B) {
	const sessions, timeout, interval = 1_000_000, 75, 30
	w := armed(sessions, timeout)
	random := rand.New(rand.NewPCG(5, 6))
	phase := make([]uint32, sessions)
	for i := range phase {
		phase[i] = random.Uint32N(interval)
	}
	fire := func(slot uint32) { w.Set(slot, w.now+timeout) }
	var m stopwatch
	now := uint32(0)
	second := func() {
		now++
		for slot := range uint32(sessions) {
			if phase[slot] == now%interval {
				w.Set(slot, now+timeout)
			}
		}
	}
	for range 2 * timeout { // into the steady state
		second()
		for w.Advance(now, budget, fire) {
		}
	}
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		second()
		b.StartTimer()
		m.tick(func() bool { return w.Advance(now, budget, fire) })
	}
	m.report(b)
}

// BenchmarkWheelTickAllAtOnce is the tick that a million sessions which came in
// the same second are looked at in, having pinged since.
func BenchmarkWheelTickAllAtOnce(b *testing.B) {
	const sessions = 1_000_000
	var w Wheel
	var m stopwatch
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		for slot := range uint32(sessions) {
			w.Set(slot, w.now+1)
			w.Set(slot, w.now+75)
		}
		now := w.now + 1
		b.StartTimer()
		m.tick(func() bool { return w.Advance(now, budget, nil) })
	}
	m.report(b)
}

// stopwatch times ticks and their slices.
type stopwatch struct {
	ticks, slices []time.Duration
}

func (m *stopwatch) tick(slice func() (more bool)) {
	start := time.Now()
	for more := true; more; {
		began := time.Now()
		more = slice()
		m.slices = append(m.slices, time.Since(began))
	}
	m.ticks = append(m.ticks, time.Since(start))
}

func (m *stopwatch) report(b *testing.B) {
	slices.Sort(m.ticks)
	slices.Sort(m.slices)
	b.ReportMetric(float64(m.ticks[len(m.ticks)/2].Microseconds()), "median-tick-µs")
	b.ReportMetric(float64(m.ticks[len(m.ticks)-1].Microseconds()), "worst-tick-µs")
	b.ReportMetric(float64(m.slices[len(m.slices)-1].Microseconds()), "worst-slice-µs")
	b.ReportMetric(0, "ns/op")
}
