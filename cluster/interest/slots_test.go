package interest

import (
	"math/rand/v2"
	"testing"
)

// Few hashes, so that there are long runs, also round the end, and many sizes.
func TestSlotsHaveWhatWasInsertedAndNotRemoved(t *testing.T) {
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 1))
		k := newSpread(random.Uint64())
		most := 1 + random.IntN(200)
		var s slots
		model := map[entry]bool{}
		for turn := range 3000 {
			e := makeEntry(Hash(1+random.IntN(most)), uint8(random.IntN(4)))
			i, found := s.find(k, e)
			switch {
			case found != model[e]:
				t.Fatalf("seed %d, turn %d: %x was found: %v", seed, turn, e, found)
			case !found && turn%1000 < 600:
				if at := s.insert(k, e); s.at[at] != e {
					t.Fatalf("seed %d, turn %d: %x is not where insert says", seed, turn, e)
				}
				model[e] = true
			case found && turn%1000 >= 400:
				s.removeAt(k, i)
				delete(model, e)
			}
			if turn%500 == 499 {
				gone := uint8(random.IntN(4))
				s.keep(k, func(e entry) bool { return e.low() != gone })
				for e := range model {
					if e.low() == gone {
						delete(model, e)
					}
				}
			}
			if s.count != len(model) || s.count > 0 && 10*s.count < 3*len(s.at) && len(s.at) > smallestSlots || 5*s.count > 4*len(s.at) {
				t.Fatalf("seed %d, turn %d: %d entries and %d in the model, room for %d", seed, turn, s.count, len(model), len(s.at))
			}
		}
		for e := range model {
			if _, found := s.find(k, e); !found {
				t.Fatalf("seed %d: %x is missing at the end", seed, e)
			}
			if i, found := s.findHash(k, e.hash()); !found || s.at[i].hash() != e.hash() {
				t.Fatalf("seed %d: hash of %x is missing at the end", seed, e)
			}
		}
	}
}
