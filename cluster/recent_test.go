package cluster

import (
	"maps"
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
	type name struct {
		number uint64
		hash   interest.Hash
		missed interest.Set
	}
	type sent struct {
		at    time.Duration
		joint bool
		names []name
	}
	random := rand.New(rand.NewPCG(1, 5))
	var r recents
	var model []sent
	found, number := 0, uint64(1)
	content := stream.NewContent(nil, nil)
	for turn := range 1500 {
		now := time.Duration(turn) * time.Millisecond
		s := sent{at: now, joint: random.IntN(2) == 0}
		var to addressed
		var missed []interest.Set
		for n := range 1 + random.IntN(4) {
			one := name{number: number, hash: interest.Hash(1 + random.IntN(20))}
			number++
			for i := range uint8(4) {
				if random.IntN(2) == 0 {
					one.missed.Add(i)
				}
			}
			if s.joint && n > 0 {
				one.missed = missed[0]
			}
			s.names = append(s.names, one)
			to.hashes, missed = append(to.hashes, one.hash), append(missed, one.missed)
		}
		to.joint = s.joint
		r.add(to, content, 10, missed, now)
		model = append(model, s)
		if random.IntN(10) == 0 {
			before := now - time.Duration(random.IntN(50))*time.Millisecond
			over := 0
			model = slices.DeleteFunc(model, func(s sent) bool {
				for i := range uint8(4) {
					if s.at < before && !slices.ContainsFunc(s.names, func(n name) bool { return !n.missed.Has(i) }) {
						over++
					}
				}
				return s.at < before
			})
			if past, _ := r.expire(before, 0, nobodyIsSilent); past != over {
				t.Fatalf("turn %d: %d skips are over, want %d", turn, past, over)
			}
		}
		if random.IntN(100) == 0 {
			r.leaves(3)
			for i := range model {
				for j := range model[i].names {
					model[i].names[j].missed.Remove(3)
				}
			}
		}
		index, hashes := uint8(random.IntN(4)), []interest.Hash{interest.Hash(1 + random.IntN(20)), interest.Hash(1 + random.IntN(20))}
		wanted := map[uint64]bool{} // by number
		for before := -1; before < len(wanted); {
			before = len(wanted)
			for i, s := range model {
				for _, n := range s.names {
					if n.missed.Has(index) && (slices.Contains(hashes, n.hash) || // what is asked for, goes together with it, or must come before it
						s.joint && slices.ContainsFunc(s.names, func(other name) bool { return wanted[other.number] }) ||
						slices.ContainsFunc(model[i:], func(later sent) bool {
							return slices.ContainsFunc(later.names, func(l name) bool { return wanted[l.number] && l.hash == n.hash && l.number > n.number })
						})) {
						wanted[n.number] = true
					}
				}
			}
			if len(wanted) == before {
				break
			}
		}
		want := slices.Sorted(maps.Keys(wanted))
		if got := r.of(index, told(t, hashes...).All); !slices.Equal(got, want) {
			t.Fatalf("turn %d: %v, want %v", turn, got, want)
		}
		found += len(want)
	}
	r.expire(time.Hour, 0, nobodyIsSilent)
	if found < 1000 || len(r.sends)+len(r.names)+len(r.last) != 0 || r.bytes != 0 {
		t.Errorf("%d were found; in the end %d, %d, %d, and %d bytes are left", found, len(r.sends), len(r.names), len(r.last), r.bytes)
	}
}

func nobodyIsSilent(uint8, time.Duration, time.Duration) bool { return false }

func TestAMessageThatWasNotSentIsInDoubtIfItsInstanceWasNotHeardInTime(t *testing.T) {
	const hold = 2 * time.Second
	for _, c := range []struct {
		what  string
		heard []time.Duration // after the message was sent
		doubt bool
	}{
		{"each second", []time.Duration{-1000, 10, 1010, 1900, 2010}, false},
		{"once in time", []time.Duration{-500, 500}, false},
		{"at once, and again too late", []time.Duration{0, 5, 2001}, true},
		{"never again", []time.Duration{-10}, true},
		{"in time, and long after", []time.Duration{-10, 1990, 9000}, false},
	} {
		var h hearing
		const at = time.Hour
		for _, ms := range c.heard {
			h.note(at + ms*time.Millisecond)
		}
		var r recents
		missed := []interest.Set{{}}
		missed[0].Add(7)
		r.add(addressed{hashes: make([]interest.Hash, 1)}, stream.NewContent(nil, nil), 0, missed, at)
		past, doubt := r.expire(at, hold, func(index uint8, from, to time.Duration) bool {
			return index == 7 && h.silent(from, to)
		})
		if past != 0 || doubt != 0 {
			t.Errorf("%s: it is past before it is", c.what)
		}
		past, doubt = r.expire(at+1, hold, func(index uint8, from, to time.Duration) bool {
			return index == 7 && h.silent(from, to)
		})
		if past != 1 || doubt == 1 != c.doubt {
			t.Errorf("heard %s: %d past, %d in doubt", c.what, past, doubt)
		}
	}
}
