package interest

import (
	"slices"
	"testing"
)

func TestASetHasWhatWasAddedAndNotRemoved(t *testing.T) {
	var s Set
	if !s.Empty() {
		t.Error("a new set is not empty")
	}
	for _, i := range []uint8{0, 63, 64, 200, 255} {
		s.Add(i)
	}
	s.Remove(64)
	if got := slices.Collect(s.All); !slices.Equal(got, []uint8{0, 63, 200, 255}) || s.Len() != 4 {
		t.Errorf("%v, %d of them", got, s.Len())
	}
	for i := range s.All {
		if i == 63 {
			break
		}
	}
	var o Set
	o.Add(1)
	o.Add(200)
	both, all := s, s
	both.Intersect(&o)
	all.Union(&o)
	if got := slices.Collect(both.All); !slices.Equal(got, []uint8{200}) {
		t.Errorf("in both: %v", got)
	}
	if got := slices.Collect(all.All); !slices.Equal(got, []uint8{0, 1, 63, 200, 255}) {
		t.Errorf("in any: %v", got)
	}
	if s.Has(64) || !s.Has(63) || s.Empty() {
		t.Error("the set has 64, or not 63, or is empty")
	}
}
