package hub

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"ws-gateway/netpoll"
)

// counted is how many addresses are counted, and how much room they have.
func (a *addressCounts) counted() (addresses, room int) {
	for i := range a.stripes {
		addresses += len(a.stripes[i].counts.entries)
		room += a.stripes[i].counts.most
	}
	return addresses, room
}

func TestAnAddressIsWhatOneSubscriberHas(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"203.0.113.7", "203.0.113.7", true},
		{"203.0.113.7", "::ffff:203.0.113.7", true},
		{"203.0.113.7", "203.0.113.8", false},
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true},
		{"2001:db8:1:2::1", "2001:db8:1:3::1", false},
		{"::1", "::2", true},
		{"0.0.0.0", "::", false},
		{"0.0.0.1", "0:0:0:1::", false},
	} {
		if got := BlockOf(netip.MustParseAddr(c.a)) == BlockOf(netip.MustParseAddr(c.b)); got != c.same {
			t.Errorf("%s and %s: the same is %v", c.a, c.b, got)
		}
	}
}

func TestAddressesAreCountedExactlyUnderConcurrency(t *testing.T) {
	const limit, workers, addresses = 5, 4, 300
	counts := newAddressCounts()
	var inside [addresses]atomic.Int64
	var refused atomic.Int64
	var all sync.WaitGroup
	for worker := range uint64(workers) {
		all.Go(func() {
			random := rand.New(rand.NewPCG(worker, 1))
			var mine []int
			for range 50_000 {
				if len(mine) > 0 && random.IntN(2) == 0 {
					i := random.IntN(len(mine))
					n := mine[i]
					mine[i] = mine[len(mine)-1]
					mine = mine[:len(mine)-1]
					inside[n].Add(-1)
					counts.leave(numbered(n))
					continue
				}
				n := random.IntN(addresses)
				if !counts.join(numbered(n), limit) {
					refused.Add(1)
					continue
				}
				if in := inside[n].Add(1); in > limit {
					t.Errorf("%d connections of an address", in)
				}
				mine = append(mine, n)
			}
			for _, n := range mine {
				inside[n].Add(-1)
				counts.leave(numbered(n))
			}
		})
	}
	all.Wait()
	if left, _ := counts.counted(); left != 0 || refused.Load() == 0 {
		t.Errorf("%d addresses are left, %d joins were refused", left, refused.Load())
	}
}

// numbered is an address of its own for each n.
func numbered(n int) netip.Addr {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:], 0x2001_0db8_0000_0000+uint64(n))
	return netip.AddrFrom16(raw)
}

func TestTheMemoryOfACrowdOfAddressesIsGivenBack(t *testing.T) {
	const crowd = 100_000
	counts := newAddressCounts()
	for n := range crowd {
		counts.join(numbered(n), 1)
	}
	for n := range crowd {
		if n%100 != 0 {
			counts.leave(numbered(n))
		}
	}
	addresses, room := counts.counted()
	if addresses != crowd/100 || room > addressStripes*keptEntries*4 {
		t.Errorf("%d addresses have room for %d", addresses, room)
	}
	for n := 0; n < crowd; n += 100 {
		if counts.join(numbered(n), 1) {
			t.Fatalf("address %d was forgotten", n)
		}
		counts.leave(numbered(n))
	}
	if addresses, _ := counts.counted(); addresses != 0 {
		t.Errorf("%d addresses are left", addresses)
	}
}

func TestWhoIsRefusedForAnotherReasonIsNotCountedForItsAddress(t *testing.T) {
	sim := simulate(t, 1, Config{MaxConnectionsPerUser: 1, MaxConnectionsPerAddress: 2})
	id := sim.mustEnter(t, 0, 1, "alice")
	for range 5 {
		if _, got := sim.enter(0, 2, "alice"); got != userFull {
			t.Fatalf("got %d", got)
		}
	}
	if addresses, _ := sim.loops[0].settings.addresses.counted(); addresses != 1 {
		t.Errorf("%d addresses are counted", addresses)
	}
	sim.leave(id)
	if addresses, _ := sim.loops[0].settings.addresses.counted(); addresses != 0 {
		t.Errorf("%d addresses are left", addresses)
	}
}

func TestTheLimitOfAnAddressIsThatOfTheClientNotOfItsProxy(t *testing.T) {
	g := start(t, Config{MaxConnectionsPerAddress: 2, TrustedProxies: prefixes("127.0.0.0/8")}, netpoll.Config{})
	for range 2 {
		for _, client := range []string{"203.0.113.7", "203.0.113.8"} {
			if resp := g.knock(t, "X-Forwarded-For: "+client); resp.StatusCode != 101 {
				t.Fatalf("%s: %s", client, resp.Status)
			}
		}
	}
	for _, client := range []string{"203.0.113.7", "203.0.113.8"} {
		resp := g.knock(t, "X-Forwarded-For: 1.2.3.4, "+client)
		if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s %v", client, resp.Status, resp.Header)
		}
	}
	if n := g.Stats().RefusedAddressLimit; n != 2 {
		t.Errorf("%d refusals are counted", n)
	}
}
