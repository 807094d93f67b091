package interest

import (
	"errors"
	"slices"
	"testing"
	"unsafe"
)

func TestAnInstanceIsCompleteOnceItHasToldEverything(t *testing.T) {
	table, l := NewTable(1, 100), NewLocal(2)
	l.Come(7)
	l.Flush(0, 10)
	if table.State(3) != Unknown || !table.incomplete(3) {
		t.Error("at first it is known")
	}
	table.mustApply(t, 3, l.Begin())
	m, _ := l.Piece(0, 10)
	table.mustApply(t, 3, m)
	if table.State(3) != Syncing || !table.incomplete(3) || !table.has(3, 7) {
		t.Errorf("half told it is %v, complete: %v", table.State(3), !table.incomplete(3))
	}
	table.mustApply(t, 3, l.End())
	if table.State(3) != Known || table.incomplete(3) || !table.has(3, 7) || table.has(4, 7) {
		t.Errorf("told it is %v, complete: %v", table.State(3), !table.incomplete(3))
	}
	table.Forget(3)
	if table.State(3) != Unknown || !table.incomplete(3) || table.has(3, 7) || table.Entries() != 0 {
		t.Errorf("forgotten it is %v, complete: %v, with %d entries", table.State(3), !table.incomplete(3), table.Entries())
	}
}

func (t *Table) incomplete(i uint8) bool { s := t.Incomplete(); return s.Has(i) }

func TestChangesBeforeEverythingAreLeftOut(t *testing.T) {
	table := NewTable(1, 100)
	table.mustApply(t, 3, Message{Kind: Change, Version: 9, Come: hashesOf(7)})
	table.mustApply(t, 3, Message{Kind: Piece, Come: hashesOf(7)})
	table.mustApply(t, 3, Message{Kind: End})
	if table.State(3) != Unknown || table.Entries() != 0 {
		t.Errorf("%v, %d entries", table.State(3), table.Entries())
	}
}

func TestAChangeThatWasMissedMakesAnInstanceUnknown(t *testing.T) {
	table, l := NewTable(1, 100), NewLocal(2)
	everything(t, l, table, 3)
	l.Come(1)
	m, _, _ := l.Flush(0, 10)
	table.mustApply(t, 3, m)
	l.Come(2)
	l.Flush(0, 10) // it is lost
	l.Come(3)
	m, _, _ = l.Flush(0, 10)
	if err := table.Apply(3, &m); !errors.Is(err, ErrMissed) || table.State(3) != Unknown {
		t.Errorf("%v, %v", err, table.State(3))
	}
}

func TestAnInstanceThatStopsTellingEverythingIsAskedAgain(t *testing.T) {
	table := NewTable(1, 100)
	table.mustApply(t, 3, Message{Kind: Begin})
	for piece := range Hash(3) {
		for range patience - 1 {
			if err := table.Check(3, Digest{Count: 4}); err != nil {
				t.Fatal(err)
			}
		}
		table.mustApply(t, 3, Message{Kind: Piece, Come: hashesOf(1 + piece)})
	}
	var err error
	for range patience {
		err = table.Check(3, Digest{Count: 4})
	}
	if !errors.Is(err, ErrMissed) || table.State(3) != Unknown {
		t.Errorf("%v, %v", err, table.State(3))
	}
}

func TestAHeartbeatWithAnotherDigestMakesAnInstanceUnknown(t *testing.T) {
	told := Digest{Version: 4, Count: 1, Sum: mix(7)}
	known := func() *Table {
		table := NewTable(1, 100)
		table.mustApply(t, 3, Message{Kind: Begin, Version: 4})
		table.mustApply(t, 3, Message{Kind: Piece, Come: hashesOf(7)})
		table.mustApply(t, 3, Message{Kind: End, Digest: told})
		return table
	}
	for name, c := range map[string]struct {
		digest Digest
		times  int
		want   error
	}{
		"the same":              {told, 100, nil},
		"an older one":          {Digest{Version: 3, Count: 100}, 100, nil},
		"another sum":           {Digest{Version: 4, Count: 1, Sum: 9}, 1, ErrDiffers},
		"another count":         {Digest{Version: 4, Count: 2, Sum: mix(7)}, 1, ErrDiffers},
		"a newer one":           {Digest{Version: 5, Count: 2}, patience - 1, nil},
		"a newer one for long":  {Digest{Version: 5, Count: 2}, patience, ErrMissed},
		"ever newer ones, long": {Digest{Version: 6, Count: 2}, patience, ErrMissed},
	} {
		table := known()
		var err error
		for range c.times {
			err = table.Check(3, c.digest)
		}
		if !errors.Is(err, c.want) || (table.State(3) == Known) != (c.want == nil) {
			t.Errorf("%s: %v, %v", name, err, table.State(3))
		}
		if err := table.Check(4, c.digest); err != nil {
			t.Errorf("%s, of an instance that is unknown: %v", name, err)
		}
	}
}

func TestAHeartbeatMayBeAheadAgainAfterAChangeHasCome(t *testing.T) {
	table, l := NewTable(1, 100), NewLocal(2)
	everything(t, l, table, 3)
	for h := Hash(1); h <= 3*patience; h++ {
		l.Come(h)
		m, _, _ := l.Flush(0, 10)
		if err := table.Check(3, l.Digest()); err != nil {
			t.Fatal(err)
		}
		table.mustApply(t, 3, m)
	}
}

func TestTheEndOfEverythingThatIsNotEverythingIsAnError(t *testing.T) {
	table := NewTable(1, 100)
	table.mustApply(t, 3, Message{Kind: Begin})
	err := table.Apply(3, &Message{Kind: End, Digest: Digest{Count: 1, Sum: mix(1)}})
	if !errors.Is(err, ErrDiffers) || table.State(3) != Unknown {
		t.Errorf("%v, %v", err, table.State(3))
	}
}

// The bound: the instance that has most gives way, whoever came last.
func TestTheInstanceWithMostNamesGivesWay(t *testing.T) {
	table := NewTable(1, 100)
	large, small := NewLocal(2), NewLocal(3)
	for h := Hash(1); h <= 90; h++ {
		large.Come(h)
	}
	for h := Hash(1); h <= 20; h++ {
		small.Come(h)
	}
	large.Flush(0, 1000)
	small.Flush(0, 1000)
	everything(t, large, table, 3)
	if !table.HasRoom(10) || table.HasRoom(11) {
		t.Error("there is room for more than 10, or not for 10")
	}
	everything(t, small, table, 4)
	if table.State(3) != TooMany || !table.incomplete(3) || table.State(4) != Known || table.Entries() != 20 || table.GaveWay() != 1 {
		t.Errorf("large: %v, small: %v, %d entries, %d gave way", table.State(3), table.State(4), table.Entries(), table.GaveWay())
	}
	large.Come(1000)
	m, _, _ := large.Flush(0, 1000)
	table.mustApply(t, 3, m)
	if table.State(3) != TooMany || table.Entries() != 20 {
		t.Errorf("after a change large is %v, %d entries", table.State(3), table.Entries())
	}
	if alone := NewTable(1, 10); true {
		for from, m := range []Message{large.Begin(), {Kind: Piece, Come: hashesOf(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)}, large.End()} {
			if err := alone.Apply(3, &m); err != nil {
				t.Fatal(from, err)
			}
		}
		if alone.State(3) != TooMany || alone.Entries() != 0 {
			t.Errorf("alone it is %v, %d entries", alone.State(3), alone.Entries())
		}
	}
}

func TestTheMemoryOfWhoIsForgottenIsFreed(t *testing.T) {
	table := NewTable(1, 1<<20)
	fill := func(i uint8, from Hash, n int) {
		table.mustApply(t, i, Message{Kind: Begin})
		for h := from; h < from+Hash(n); h++ {
			table.add(i, h)
		}
	}
	fill(1, 1, 50_000)
	fill(2, 1, 50_000)
	full := table.slots()
	table.Forget(1)
	if got := table.told(2); len(got) != 50_000 || len(table.told(1)) != 0 {
		t.Errorf("%d of 2 are left, and %d of 1", len(got), len(table.told(1)))
	}
	for table.Sweep() {
	}
	if got := table.slots(); got > full*6/10 || len(table.told(2)) != 50_000 {
		t.Errorf("%d slots of %d are left, %d entries of 2", got, full, len(table.told(2)))
	}
	for range 20 { // without Sweep: what comes sweeps
		table.Forget(2)
		fill(2, 1, 50_000)
	}
	if got := table.slots(); got > full {
		t.Errorf("%d slots, at most %d for two instances", got, full)
	}
	table.Forget(2)
	for table.Sweep() {
	}
	if got := table.slots(); got != 0 {
		t.Errorf("%d slots are left of nothing", got)
	}
}

// slots is for how many entries a table has memory.
func (t *Table) slots() (n int) {
	for i := range t.shards {
		n += len(t.shards[i].at)
	}
	return n
}

func TestARemoteNameTakesFifteenBytesAtMost(t *testing.T) {
	const names, perName = 1_000_000, 15
	key := NewKey("chat")
	table := NewTable(12345, 2*names)
	table.mustApply(t, 1, Message{Kind: Begin})
	name := []byte("user-0000000")
	worst := 0.0
	for n := range names {
		table.add(1, key.User(string(countUp(name))))
		if n >= names/2 && n%1000 == 0 {
			worst = max(worst, float64(table.bytes())/float64(n))
		}
	}
	if now := float64(table.bytes()) / names; worst > perName {
		t.Errorf("%.1f bytes for each name at a million, at most %.1f from half a million on; it should be %d at most", now, worst, perName)
	} else {
		t.Logf("%.1f bytes for each name at a million, at most %.1f from half a million on", now, worst)
	}
}

func (t *Table) bytes() int { return int(unsafe.Sizeof(*t)) + 8*t.slots() }

// countUp adds one to the number at the end of name.
func countUp(name []byte) []byte {
	for i := len(name) - 1; ; i-- {
		if name[i]++; name[i] <= '9' {
			return name
		}
		name[i] = '0'
	}
}

func BenchmarkFindAmongAMillion(b *testing.B) {
	key := NewKey("chat")
	table := NewTable(12345, 2_000_000)
	table.mustApply(b, 1, Message{Kind: Begin})
	name, hashes := []byte("user-0000000"), []Hash(nil)
	for range 1_000_000 {
		h := key.User(string(countUp(name)))
		hashes = append(hashes, h)
		table.add(1, h)
	}
	b.Run("there", func(b *testing.B) {
		var found Set
		for i := 0; b.Loop(); i++ {
			table.Find(hashes[i*7919%len(hashes)], &found)
		}
	})
	b.Run("not there", func(b *testing.B) {
		var found Set
		for i := 0; b.Loop(); i++ {
			table.Find(mixHash(i), &found)
		}
	})
}

func mixHash(i int) Hash { return max(1, Hash(mix(Hash(i))>>8)) }

// A tenth of the names are at all of 100 instances.
func BenchmarkFindAmongNamesThatAreEverywhere(b *testing.B) {
	table := NewTable(12345, 20_000_000)
	for i := range uint8(100) {
		for n := range 10_000 {
			table.add(i, mixHash(n))
		}
		for n := range 1000 {
			table.add(i, mixHash(1_000_000*(1+int(i))+n))
		}
	}
	b.Run("of one", func(b *testing.B) {
		var found Set
		for i := 0; b.Loop(); i++ {
			table.Find(mixHash(1_000_000*(1+i%100)+i%1000), &found)
		}
	})
	b.Run("of all", func(b *testing.B) {
		var found Set
		for i := 0; b.Loop(); i++ {
			table.Find(mixHash(i%10_000), &found)
		}
	})
}

func TestFindingAllocatesNothing(t *testing.T) {
	table := NewTable(1, 100)
	table.mustApply(t, 3, Message{Kind: Begin})
	table.add(3, 7)
	var found Set
	if n := testing.AllocsPerRun(100, func() { table.Find(7, &found) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if got := slices.Collect(found.All); !slices.Equal(got, []uint8{3}) {
		t.Errorf("found %v", got)
	}
}

func TestAnInstanceInDoubtCountsAsHavingEveryNameUntilAHeartbeatSaysThatNothingIsMissing(t *testing.T) {
	table, l := NewTable(1, 100), NewLocal(2)
	l.Come(7)
	l.Flush(0, 10)
	if table.Doubt(3) {
		t.Error("an unknown instance is in doubt")
	}
	everything(t, l, table, 3)
	old := l.Digest()
	if !table.Doubt(3) || table.Doubt(3) || table.State(3) != Doubtful || !table.incomplete(3) || !table.has(3, 7) {
		t.Errorf("in doubt it is %v, complete: %v", table.State(3), !table.incomplete(3))
	}
	l.Come(8)
	m, _, _ := l.Flush(0, 10)
	if err := table.Check(3, l.Digest()); err != nil || table.State(3) != Doubtful {
		t.Errorf("while a change is on its way it is %v, %v", table.State(3), err)
	}
	table.mustApply(t, 3, m)
	if err := table.Check(3, old); err != nil || table.State(3) != Doubtful {
		t.Errorf("after a heartbeat from before it is %v, %v", table.State(3), err)
	}
	if err := table.Check(3, l.Digest()); err != nil || table.State(3) != Known || table.incomplete(3) || !table.has(3, 8) {
		t.Errorf("after a heartbeat it is %v, %v", table.State(3), err)
	}
	for name, c := range map[string]struct {
		digest Digest
		times  int
		want   error
	}{
		"another sum": {Digest{Version: 2, Count: 2}, 1, ErrDiffers},
		"a newer one": {Digest{Version: 3, Count: 2}, patience, ErrMissed},
	} {
		everything(t, l, table, 3)
		table.Doubt(3)
		var err error
		for range c.times {
			err = table.Check(3, c.digest)
		}
		if !errors.Is(err, c.want) || table.State(3) != Unknown || table.Entries() != 0 {
			t.Errorf("%s: %v, %v", name, err, table.State(3))
		}
	}
}
