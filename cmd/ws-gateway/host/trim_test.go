package host

import "testing"

const mib = 1 << 20

// sized is a heap without a limit.
func sized(allocated, live, free uint64) heap {
	return heap{allocated: allocated, live: live, free: free}
}

// look is what Trim does at a tick, without giving back: whether it would.
func look(t *trimmer, now heap) bool { return t.due(now, t.quiet(now)) }

func TestMemoryIsGivenBackOnceThereIsNothingToDo(t *testing.T) {
	var tr trimmer
	for _, busy := range []heap{sized(10*mib, 8*mib, 0), sized(20*mib, 16*mib, 0)} {
		if look(&tr, busy) {
			t.Errorf("due at %+v: connections are still coming", busy)
		}
	}
	if !look(&tr, sized(20*mib+1000, 16*mib, 0)) {
		t.Error("not due after a quiet second")
	}
}

func TestMemoryIsGivenBackOnlyWhereItPays(t *testing.T) {
	const allocated = 20 * mib
	for name, c := range map[string]struct {
		next heap
		want bool
	}{
		"nothing has happened": {sized(allocated, 16*mib, 0), false},
		"a few allocations":    {sized(allocated+mib/8, 16*mib, 0), false},
		"much was freed":       {sized(allocated, 16*mib, 2*mib), true},
	} {
		var tr trimmer
		tr.done(sized(allocated, 16*mib, 0))
		if got := look(&tr, c.next); got != c.want {
			t.Errorf("%s: due %v", name, got)
		}
	}
}

func TestSlowAllocationsAddUp(t *testing.T) {
	var tr trimmer
	tr.done(sized(20*mib, 16*mib, 0))
	seconds := 0
	for now := tr.last; ; seconds++ {
		if now.allocated += mib / 10; look(&tr, now) {
			break
		}
	}
	if seconds != 10 { // more than a sixteenth of 16 MiB at a tenth of one each
		t.Errorf("due after %d seconds", seconds)
	}
}
