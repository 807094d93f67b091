package cluster

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"ws-gateway/hub"
)

// The groups of several instances come in any order, some of them several times.
func TestTheFirstGroupsAreThoseOfAllInstancesTogether(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 7))
	for turn := range 300 {
		all := map[string]int{}
		f := firstGroups{sizes: map[string]int{}, most: 1 + random.IntN(20), begun: random.IntN(2) == 0}
		if f.begun {
			f.from = fmt.Sprint("group-", random.IntN(100))
		}
		kept := 0
		for range random.IntN(400) {
			g := hub.Group{Name: fmt.Sprint("group-", random.IntN(100)), Connections: 1 + random.IntN(5)}
			if !f.begun || g.Name > f.from {
				all[g.Name] += g.Connections
			}
			if err := f.add([]hub.Group{g}); err != nil {
				t.Fatal(err)
			}
			kept = max(kept, len(f.sizes))
		}
		want := slices.Sorted(maps.Keys(all))
		want = want[:min(len(want), f.most+1)]
		got := f.names()
		if !slices.Equal(got, want) || kept > 2*f.most+1 {
			t.Fatalf("turn %d: %q, want %q; %d were kept for a page of %d", turn, got, want, kept, f.most)
		}
		for _, name := range got {
			if f.sizes[name] != all[name] {
				t.Fatalf("turn %d: %s has %d connections, want %d", turn, name, f.sizes[name], all[name])
			}
		}
	}
	f := firstGroups{sizes: map[string]int{}, most: 2, whole: true}
	if err := f.add([]hub.Group{{Name: "a"}, {Name: "b"}, {Name: "a"}}); err != nil {
		t.Error(err)
	}
	if err := f.add([]hub.Group{{Name: "c"}}); !errors.Is(err, ErrTooMany) {
		t.Errorf("a third group is %v", err)
	}
}
