package cluster

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"ws-gateway/cluster/interest"
	"ws-gateway/cluster/stream"
)

// told is what an instance tells of these names.
func told(t *testing.T, hashes ...interest.Hash) interest.Hashes {
	t.Helper()
	l := interest.NewLocal(1)
	for _, h := range hashes {
		l.Come(h)
	}
	m, _, _ := l.Flush(0, 1000)
	return m.Come
}

// A list of all messages, in which everything is looked for from end to end, says what
// is right.
func TestRecentMessagesAreFoundByTheirNamesUntilTheyExpire(t *testing.T) {
	type sent struct {
		number  uint64
		at      time.Duration
		hashes  []interest.Hash
		skipped interest.Set
	}
	random := rand.New(rand.NewPCG(1, 5))
	var r recents
	var model []sent
	found := 0
	content := stream.NewContent(nil, nil)
	for turn := range 5000 {
		now := time.Duration(turn) * time.Millisecond
		var s sent
		for range 1 + random.IntN(4) {
			s.hashes = append(s.hashes, interest.Hash(1+random.IntN(20)))
		}
		for i := range uint8(4) {
			if random.IntN(2) == 0 {
				s.skipped.Add(i)
			}
		}
		s.at, s.number = now, uint64(turn)
		r.add(s.hashes, content, 10, s.skipped, now)
		model = append(model, s)
		if random.IntN(10) == 0 {
			before := now - time.Duration(random.IntN(50))*time.Millisecond
			over := 0
			model = slices.DeleteFunc(model, func(s sent) bool {
				if s.at < before {
					over += s.skipped.Len()
				}
				return s.at < before
			})
			if past := r.expire(before); past != over {
				t.Fatalf("turn %d: %d skips are over, want %d", turn, past, over)
			}
		}
		if random.IntN(100) == 0 {
			r.leaves(3)
			for i := range model {
				model[i].skipped.Remove(3)
			}
		}
		index, names := uint8(random.IntN(4)), []interest.Hash{interest.Hash(1 + random.IntN(20)), interest.Hash(1 + random.IntN(20))}
		var want []uint64
		for i, s := range slices.Backward(model) { // names are those of what is wanted and was sent later, too
			if s.skipped.Has(index) && slices.ContainsFunc(s.hashes, func(h interest.Hash) bool {
				return slices.Contains(names, h) || slices.ContainsFunc(model[i+1:], func(later sent) bool {
					return slices.Contains(want, later.number) && slices.Contains(later.hashes, h)
				})
			}) {
				want = append(want, s.number)
			}
		}
		slices.Reverse(want)
		if got := r.of(index, told(t, names...).All); !slices.Equal(got, want) {
			t.Fatalf("turn %d: %v, want %v", turn, got, want)
		}
		found += len(want)
	}
	r.expire(time.Hour)
	if found < 1000 || len(r.sends)+len(r.names)+len(r.last) != 0 || r.bytes != 0 {
		t.Errorf("%d were found; in the end %d, %d, %d, and %d bytes are left", found, len(r.sends), len(r.names), len(r.last), r.bytes)
	}
}
