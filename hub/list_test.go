package hub

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"ws-gateway/netpoll"
)

func TestLimitsHoldWhileSeveralLoopsAdmit(t *testing.T) {
	for name, c := range map[string]struct {
		cfg     Config
		refused admission
	}{
		"of the gateway": {Config{MaxConnections: 10}, full},
		"of a user":      {Config{MaxConnectionsPerUser: 10}, userFull},
	} {
		t.Run(name, func(t *testing.T) {
			const loops = 4
			sim := simulate(t, loops, c.cfg)
			var inside, most, refused atomic.Int64
			var wg sync.WaitGroup
			for loop := range loops {
				wg.Go(func() {
					random := rand.New(rand.NewPCG(9, uint64(loop)))
					ids := map[uint32]netpoll.ID{}
					for range 5_000 {
						slot := random.Uint32N(8)
						if id, ok := ids[slot]; ok {
							inside.Add(-1)
							sim.leave(id)
							delete(ids, slot)
							continue
						}
						switch id, got := sim.enter(loop, slot, "carol"); got {
						case admitted:
							ids[slot] = id
							if n := inside.Add(1); n > most.Load() {
								most.Store(n)
							}
						case c.refused:
							refused.Add(1)
						default:
							t.Errorf("refused with %d", got)
						}
					}
				})
			}
			wg.Wait()
			if most.Load() > 10 || refused.Load() == 0 {
				t.Errorf("%d were inside at a time, %d were refused", most.Load(), refused.Load())
			}
			if connections, _ := sim.Count(); int64(connections) != inside.Load() {
				t.Errorf("%d are counted, %d are inside", connections, inside.Load())
			}
		})
	}
}

func TestGetFindsWhoIsThereAndNobodyElse(t *testing.T) {
	sim := simulate(t, 2, Config{})
	id := sim.mustEnter(t, 1, 9, "dave")
	info, ok := sim.Get(sim.public(id))
	if !ok || info.User != "dave" || info.ID != sim.public(id) || info.UserAgent != agents[1] ||
		info.RemoteAddr != "127.0.0.9:9" || info.ConnectedAt.IsZero() {
		t.Errorf("%+v, %v", info, ok)
	}
	sim.leave(id)
	reused := sim.mustEnter(t, 1, 9, "erin")
	for name, other := range map[string]string{
		"gone, its slot reused": sim.public(id),
		"slot never used":       sim.public(netpoll.MakeID(1, 70_000, 1)),
		"loop that is not":      sim.public(netpoll.MakeID(2, 9, 1)),
		"garbage":               "x",
	} {
		if info, ok := sim.Get(other); ok {
			t.Errorf("%s: %+v", name, info)
		}
	}
	if info, ok := sim.Get(sim.public(reused)); !ok || info.User != "erin" {
		t.Errorf("%+v, %v", info, ok)
	}
}

func TestAListDescribesConnectionsAsGetDoes(t *testing.T) {
	sim := simulate(t, 2, Config{})
	want := map[string]bool{}
	for slot := range uint32(10) {
		want[sim.public(sim.mustEnter(t, int(slot%2), slot, []string{"", "alice"}[slot%2]))] = true
	}
	for cursor, pages := "", 0; cursor != "" || pages == 0; pages++ {
		var err error
		cursor, err = sim.List(Query{Limit: 3, Cursor: cursor}, func(user string, conns []Info) error {
			for _, c := range conns {
				if info, ok := sim.Get(c.ID); !ok || info != c || c.User != user || !want[c.ID] {
					t.Errorf("listed under %q: %+v; by itself: %+v", user, c, info)
				}
				delete(want, c.ID)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(want) != 0 {
		t.Errorf("not listed: %v", want)
	}
	if _, err := sim.List(Query{Cursor: "x"}, nil); !errors.Is(err, ErrCursor) {
		t.Errorf("of a cursor that is none: %v", err)
	}
}
