package groups

import (
	"slices"
	"testing"
)

func TestASetHasWhatWasAddedAndNotRemoved(t *testing.T) {
	var s set
	want, rnd := map[uint64]bool{}, random(3)
	for range 50_000 {
		n := (uint64(rnd.IntN(150))<<9 | 1<<8) * (1 + uint64(rnd.IntN(2))<<40) // in few homes
		n |= uint64(rnd.IntN(4))
		if rnd.IntN(2) == 0 {
			if s.add(n) == want[n] {
				t.Fatalf("add %#x: there before: %v", n, want[n])
			}
			want[n] = true
		} else {
			if s.remove(n) != want[n] {
				t.Fatalf("remove %#x: there before: %v", n, want[n])
			}
			delete(want, n)
		}
		if s.count != len(want) {
			t.Fatalf("%d numbers, want %d", s.count, len(want))
		}
		var got, have []uint8
		s.like(n, func(low uint8) { got = append(got, low) })
		for low := range uint64(256) {
			if want[n&^0xff|low] {
				have = append(have, uint8(low))
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, have) {
			t.Fatalf("like %#x: %v, want %v", n, got, have)
		}
	}
}
