package netpoll

import "testing"

func TestASecondCountsOnceEverythingThatWasReadyHasBeenServed(t *testing.T) {
	for _, c := range []struct {
		name        string
		passed      []uint32
		connections int64
		served      []int // by each wait, the last one completing the second
		missed      uint32
	}{
		{"nothing to read", []uint32{1}, 1000, []int{1}, 0},
		{"less than a wait returns", []uint32{1}, 1000, []int{maxEvents - 1}, 0},
		{"as many as there are connections", []uint32{1}, 2 * maxEvents, []int{maxEvents, maxEvents}, 0},
		{"more than that, all the time", []uint32{1}, maxEvents + 1, []int{maxEvents, maxEvents}, 0},
		{"until there are no more", []uint32{1}, 100 * maxEvents, []int{maxEvents, maxEvents, maxEvents, 3}, 0},
		{"after a stop", []uint32{61}, 1000, []int{maxEvents, 17}, 60},
		{"seconds that pass meanwhile", []uint32{3, 1, 2}, 10 * maxEvents, []int{maxEvents, maxEvents, 0}, 5},
	} {
		var s seconds
		for _, n := range c.passed {
			s.passed(n, c.connections)
		}
		for i, served := range c.served {
			if got, last := s.caughtUp([2]int{served, 0}), i == len(c.served)-1; got != last || s.due == last {
				t.Errorf("%s: caught up after %v: %v", c.name, c.served[:i+1], got)
			}
		}
		if s.missed != c.missed {
			t.Errorf("%s: %d seconds were missed, want %d", c.name, s.missed, c.missed)
		}
	}
}
