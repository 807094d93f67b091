package interest

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// flushed is what the next Flush tells.
func (l *Local) flushed() (come, gone []Hash) {
	m, ok, _ := l.Flush(0, 1000)
	if !ok {
		return nil, nil
	}
	return slices.Sorted(m.Come.All), slices.Sorted(m.Gone.All)
}

func TestOnlyWhatIsDifferentInTheEndIsTold(t *testing.T) {
	l := NewLocal(1)
	l.Come(1)
	l.Come(2)
	l.Come(3)
	l.Gone(2)
	if come, gone := l.flushed(); !slices.Equal(come, []Hash{1, 3}) || gone != nil {
		t.Errorf("come %v, gone %v", come, gone)
	}
	l.Gone(1)
	l.Come(1)
	l.Gone(3)
	l.Come(4)
	if come, gone := l.flushed(); !slices.Equal(come, []Hash{4}) || !slices.Equal(gone, []Hash{3}) {
		t.Errorf("come %v, gone %v", come, gone)
	}
	before := l.Digest()
	l.Gone(1)
	l.Come(1)
	if m, ok, more := l.Flush(0, 1000); ok || more || l.Digest() != before {
		t.Errorf("for nothing it told %+v, %v, and has digest %+v, before %+v", m, more, l.Digest(), before)
	}
}

func TestAHashOfTwoNamesGoesWithTheLast(t *testing.T) {
	l := NewLocal(1)
	for range 3 {
		l.Come(1)
	}
	if come, _ := l.flushed(); !slices.Equal(come, []Hash{1}) {
		t.Errorf("come %v", come)
	}
	l.Gone(1)
	l.Gone(1)
	if come, gone := l.flushed(); come != nil || gone != nil {
		t.Errorf("come %v, gone %v before the last has gone", come, gone)
	}
	l.Gone(1)
	if _, gone := l.flushed(); !slices.Equal(gone, []Hash{1}) {
		t.Errorf("gone %v", gone)
	}
}

// A group comes once for each loop that has a member, and there may be 256 loops.
func TestWhatComesHundredsOfTimesGoesWithTheLast(t *testing.T) {
	for _, times := range []int{manyNames - 1, manyNames, manyNames + 1, 300} {
		l := NewLocal(1)
		for range times {
			l.Come(1)
		}
		l.flushed()
		for range times - 1 {
			l.Gone(1)
		}
		if come, gone := l.flushed(); come != nil || gone != nil {
			t.Errorf("%d times: come %v, gone %v before the last has gone", times, come, gone)
		}
		l.Gone(1)
		if _, gone := l.flushed(); !slices.Equal(gone, []Hash{1}) || l.entries() != 0 {
			t.Errorf("%d times: gone %v, %d entries", times, gone, l.entries())
		}
	}
}

func TestWhatNeverCameDoesNotGo(t *testing.T) {
	l := NewLocal(1)
	if l.Gone(1) {
		t.Error("it must be woken for that")
	}
	if come, gone := l.flushed(); come != nil || gone != nil || l.entries() != 0 {
		t.Errorf("come %v, gone %v, %d entries", come, gone, l.entries())
	}
}

// entries is how many entries l keeps, and changes that are queued.
func (l *Local) entries() (n int) {
	for i := range l.shards {
		n += l.shards[i].count + len(l.shards[i].changed) + len(l.shards[i].more)
	}
	return n
}

// Nobody calls Flush, as if the owner hung: memory is for those who are there.
func TestNamesThatComeAndGoUntoldTakeNoMemory(t *testing.T) {
	l := NewLocal(1)
	for h := Hash(1); h <= 10_000; h++ {
		l.Come(h)
		l.Gone(h)
	}
	if n := l.entries(); n != 0 {
		t.Errorf("%d entries", n)
	}
	if come, gone := l.flushed(); come != nil || gone != nil {
		t.Errorf("come %v, gone %v", come, gone)
	}
}

func TestTheOwnerIsWokenOnceUntilItFlushes(t *testing.T) {
	l := NewLocal(1)
	if !l.Come(1) || l.Come(2) || l.Gone(1) {
		t.Error("it is not woken for the first change, or for another")
	}
	l.Flush(0, 1000)
	if l.Gone(7) {
		t.Error("it is woken for nothing")
	}
	if !l.Gone(2) {
		t.Error("it is not woken after a flush")
	}
}

func TestAChangeIsToldAtOnceAndTheNextAfterTheInterval(t *testing.T) {
	l := NewLocal(1)
	now := time.Hour
	if got := l.Wait(now, Interval); got != 0 {
		t.Errorf("the first waits for %v", got)
	}
	l.Come(1)
	l.Flush(now, 10)
	if got := l.Wait(now+Interval/4, Interval); got != Interval*3/4 {
		t.Errorf("the next waits for %v", got)
	}
	l.Flush(now+Interval/4, 10) // with nothing to tell, which does not count
	if got := l.Wait(now+Interval, Interval); got != 0 {
		t.Errorf("after the interval it waits for %v", got)
	}
}

func TestAFlushEndsAtItsLimitAndSaysThatThereIsMore(t *testing.T) {
	l := NewLocal(1)
	for n := range 20_000 {
		l.Come(mixHash(n))
	}
	table, messages := NewTable(2, 100_000), 0
	table.mustApply(t, 0, l.Begin())
	for more := true; more; messages++ {
		var m Message
		m, _, more = l.Flush(0, 1000)
		if m.Come.Len() > 1100 {
			t.Errorf("%d in a message", m.Come.Len())
		}
		table.mustApply(t, 0, m)
		if l.Come(mixHash(1)) && more {
			t.Error("it is woken although there is more to flush")
		}
	}
	table.mustApply(t, 0, l.End())
	if table.Entries() != 20_000 || messages < 18 || l.Digest() != table.Digest(0) {
		t.Errorf("%d entries in %d messages, digests %+v and %+v", table.Entries(), messages, l.Digest(), table.Digest(0))
	}
}

func TestPiecesAreBounded(t *testing.T) {
	l := NewLocal(1)
	for n := range 20_000 {
		l.Come(mixHash(n))
	}
	l.Flush(0, 1<<20)
	all := 0
	for next := 0; next >= 0; {
		var m Message
		m, next = l.Piece(next, 1000)
		all += m.Come.Len()
		if m.Come.Len() > 1100 {
			t.Errorf("%d in a piece", m.Come.Len())
		}
	}
	if all != 20_000 {
		t.Errorf("%d in all", all)
	}
}

// Each goroutine has names of its own, which come and go in order, while the owner
// flushes and somebody is told everything, piece by piece.
func TestWhatComesAndGoesOnManyGoroutinesIsToldAsItIsInTheEnd(t *testing.T) {
	const goroutines, turns, names = 4, 3000, 50
	l, table := NewLocal(1), NewTable(2, 100_000)
	var hub sync.WaitGroup
	wake, done := make(chan struct{}, 1), make(chan struct{})
	model := make([]map[Hash]bool, goroutines)
	for g := range goroutines {
		model[g] = map[Hash]bool{}
		hub.Go(func() {
			for turn := range turns {
				h := Hash(1 + g*names + turn*7919%names)
				change := l.Come
				if model[g][h] {
					change = l.Gone
					delete(model[g], h)
				} else {
					model[g][h] = true
				}
				if change(h) {
					select {
					case wake <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	go func() { hub.Wait(); close(done) }()
	flush := func() {
		for more := true; more; {
			var m Message
			var ok bool
			if m, ok, more = l.Flush(0, 10); ok {
				table.mustApply(t, 0, m)
			}
		}
	}
	table.mustApply(t, 0, l.Begin())
	for running, piece := true, 0; running; {
		select {
		case <-wake:
		case <-done:
			running = false
		}
		flush()
		if piece >= 0 {
			var m Message
			m, piece = l.Piece(piece, 1)
			table.mustApply(t, 0, m)
			if piece < 0 {
				table.mustApply(t, 0, l.End())
			}
		}
	}
	flush()
	all := map[Hash]bool{}
	for _, of := range model {
		for h := range of {
			all[h] = true
		}
	}
	if got := table.told(0); !slices.Equal(got, sorted(all)) {
		t.Errorf("told %v, want %v", got, sorted(all))
	}
	if l.Digest() != table.Digest(0) {
		t.Errorf("digests %+v and %+v", l.Digest(), table.Digest(0))
	}
}

func BenchmarkComeAndGo(b *testing.B) {
	l := NewLocal(12345)
	for n := range 100_000 {
		l.Come(mixHash(n))
	}
	l.Flush(0, 1<<20)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		l.Come(mixHash(1_000_000 + i))
		l.Gone(mixHash(1_000_000 + i))
	}
}
