package host

import (
	"slices"
	"testing"
)

// paced gives a pacer looks at a heap of so many live bytes, in each of which so many
// bytes were allocated, and returns the percentage after each.
func paced(p *pacer, h heap, allocations ...uint64) (percents []int) {
	for _, n := range allocations {
		h.allocated = p.last + n
		percents = append(percents, p.next(h, n <= h.live/64))
	}
	return percents
}

func TestTheCollectorHasMoreHeadroomWhileMuchIsAllocated(t *testing.T) {
	h := sized(0, 10*mib, 0)
	for name, c := range map[string]struct {
		allocations []uint64
		want        []int
	}{
		"traffic begins and ends":              {[]uint64{20 * mib, 20 * mib, 20 * mib, 0, 0}, []int{25, 200, 200, 25, 25}},
		"traffic that comes and goes":          {[]uint64{20 * mib, 0, 20 * mib, 0, 20 * mib}, []int{25, 25, 25, 25, 25}},
		"a little is allocated":                {[]uint64{9 * mib, 9 * mib, 9 * mib}, []int{25, 25, 25}},
		"it becomes less for a while":          {[]uint64{20 * mib, 20 * mib, mib, mib, 20 * mib}, []int{25, 200, 200, 200, 200}},
		"it becomes less, though never little": {slices.Concat([]uint64{20 * mib, 20 * mib}, slices.Repeat([]uint64{mib}, 10)), []int{25, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 25}},
	} {
		p := pacer{percent: idlePercent}
		if got := paced(&p, h, c.allocations...); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestHeadroomUnderTrafficIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		heap heap
		want int
	}{
		"next to no connections":            {heap{live: mib}, 200},
		"100,000 connections":               {heap{live: 30 * mib}, 200},
		"headroom for all of them":          {heap{live: 60 * mib}, 100},
		"half of it":                        {heap{live: 100 * mib}, 50},
		"a million connections":             {heap{live: 300 * mib}, 25},
		"far below the limit":               {heap{live: 10 * mib, needed: 30 * mib, limit: 500 * mib}, 200},
		"a small limit":                     {heap{live: 10 * mib, needed: 30 * mib, limit: 120 * mib}, 100},
		"close to the limit":                {heap{live: 10 * mib, needed: 100 * mib, limit: 120 * mib}, 25},
		"past the limit":                    {heap{live: 10 * mib, needed: 130 * mib, limit: 120 * mib}, 25},
		"a small limit, hardly a live byte": {heap{live: mib, needed: 20 * mib, limit: 60 * mib}, 100},
	} {
		p := pacer{percent: idlePercent}
		if got := paced(&p, c.heap, c.heap.live+4*mib, c.heap.live+4*mib); got[1] != c.want {
			t.Errorf("%s: %d %%, want %d", name, got[1], c.want)
		}
	}
}

func TestHeadroomShrinksAsMemoryBecomesScarce(t *testing.T) {
	p := pacer{percent: idlePercent}
	h := heap{live: 10 * mib, needed: 30 * mib, limit: 250 * mib}
	var got []int
	for _, needed := range []uint64{30, 30, 160, 190, 220, 240, 30} {
		h.needed = needed * mib
		got = append(got, paced(&p, h, 20*mib)...)
	}
	if want := []int{25, 200, 200, 100, 50, 25, 200}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTheCollectorIsToldBeforeMemoryIsGivenBackAndOnlyOfChanges(t *testing.T) {
	h := sized(100*mib, 10*mib, 0)
	var done []string
	k := keeper{
		read: func() heap { return h },
		free: func() { done = append(done, "free") },
		set:  func(percent int) { done = append(done, map[int]string{200: "more", 25: "less"}[percent]) },
	}
	k.begin()
	for _, n := range []uint64{20 * mib, 20 * mib, 20 * mib, 20 * mib, 0, 0, 0} {
		h.allocated += n
		k.look()
	}
	if want := []string{"more", "less", "free"}; !slices.Equal(done, want) {
		t.Errorf("got %v, want %v", done, want)
	}
}

func TestMemoryIsGivenBackAlsoWhereTheEnvironmentTellsTheCollector(t *testing.T) {
	h := sized(100*mib, 10*mib, 0)
	freed := 0
	k := keeper{read: func() heap { return h }, free: func() { freed++ }}
	k.begin()
	for _, n := range []uint64{20 * mib, 20 * mib, 20 * mib, 0} {
		h.allocated += n
		k.look()
	}
	if freed != 1 {
		t.Errorf("given back %d times", freed)
	}
}

func TestTheRuntimeSaysWhatIsLookedAt(t *testing.T) {
	if h := reader()(); h.allocated == 0 || h.needed == 0 || h.needed > 1<<40 {
		t.Errorf("%+v", h)
	}
}
