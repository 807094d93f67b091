package host

import "testing"

const mib = 1 << 20

func TestMemoryIsGivenBackOnceThereIsNothingToDo(t *testing.T) {
	var tr trimmer
	for _, busy := range []heap{{10 * mib, 8 * mib, 0}, {20 * mib, 16 * mib, 0}} {
		if tr.due(busy) {
			t.Errorf("due at %+v: connections are still coming", busy)
		}
	}
	if !tr.due(heap{20*mib + 1000, 16 * mib, 0}) {
		t.Error("not due after a quiet second")
	}
}

func TestMemoryIsGivenBackOnlyWhereItPays(t *testing.T) {
	const allocated = 20 * mib
	for name, c := range map[string]struct {
		next heap
		want bool
	}{
		"nothing has happened": {heap{allocated, 16 * mib, 0}, false},
		"a few allocations":    {heap{allocated + mib/8, 16 * mib, 0}, false},
		"much was freed":       {heap{allocated, 16 * mib, 2 * mib}, true},
	} {
		var tr trimmer
		tr.done(heap{allocated, 16 * mib, 0})
		if got := tr.due(c.next); got != c.want {
			t.Errorf("%s: due %v", name, got)
		}
	}
}

func TestSlowAllocationsAddUp(t *testing.T) {
	var tr trimmer
	tr.done(heap{20 * mib, 16 * mib, 0})
	seconds := 0
	for now := tr.last; ; seconds++ {
		if now.allocated += mib / 10; tr.due(now) {
			break
		}
	}
	if seconds != 10 { // more than a sixteenth of 16 MiB at a tenth of one each
		t.Errorf("due after %d seconds", seconds)
	}
}
