package hub

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"ws-gateway/netpoll"
)

// plainAway is the model: sessions in the order in which they went away.
type plainAway []plainSession

type plainSession struct {
	at    *awaySession
	block Block
	user  string
	ended bool // it has been given up
}

func (p plainAway) first(like func(plainSession) bool) *awaySession {
	for _, s := range p {
		if !s.ended && like(s) {
			return s.at
		}
	}
	return nil
}

func (p plainAway) count(like func(plainSession) bool) (n int) {
	for _, s := range p {
		if like(s) {
			n++
		}
	}
	return n
}

// network is what counts as one holder in the first place.
func network(b Block) Block {
	if !b.ipv4 {
		b.bits &^= 1<<16 - 1
	}
	return b
}

// ofMost is the first session of the block that has most, of the network that has most. Of
// those that have as many, it is the one whose session that would be this one has been away
// for longest.
func (p plainAway) ofMost() *awaySession {
	type candidate struct {
		inNetwork, inBlock int
		at                 int
	}
	var all []candidate
	best := map[Block]candidate{} // by network
	for i, s := range p {
		if s.ended {
			continue
		}
		c := candidate{
			p.count(func(o plainSession) bool { return !o.ended && network(o.block) == network(s.block) }),
			p.count(func(o plainSession) bool { return !o.ended && o.block == s.block }),
			i,
		}
		if b, ok := best[network(s.block)]; !ok || c.inBlock > b.inBlock {
			best[network(s.block)] = c
		}
	}
	for _, c := range best {
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil
	}
	return p[slices.MinFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.inNetwork, a.inNetwork), cmp.Compare(a.at, b.at))
	}).at].at
}

var placesToBe = func() (all []Block) {
	for _, name := range []string{
		"192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8:1:1::1", "2001:db8:1:2::1", "2001:db8:1:3::1",
		"2001:db8:2:1::1", "2001:db8:2:2::1", "2001:db8:3:1::1", "::1",
	} {
		all = append(all, BlockOf(netip.MustParseAddr(name)))
	}
	return all
}()

// play has steps decide what happens, and compares with the model after each.
func play(t *testing.T, steps []byte) {
	var away awaySessions
	var plain plainAway
	clock := time.Duration(0)
	for n, step := range steps {
		arg := int(step / 8)
		switch step % 8 {
		case 0, 1, 2:
			clock++
			s := &awaySession{id: netpoll.MakeID(0, uint32(n), 1), since: clock}
			block, user := placesToBe[arg%len(placesToBe)], fmt.Sprint("user", arg%3)
			away.add(s, block, user)
			plain = append(plain, plainSession{at: s, block: block, user: user})
		case 3, 4:
			if len(plain) > 0 {
				i := arg % len(plain)
				away.remove(plain[i].at)
				plain = slices.Delete(plain, i, i+1)
			}
		default:
			victim := []*awaySession{away.ofMost(), away.ofUser(fmt.Sprint("user", arg%3)), away.ofAddress(placesToBe[arg%len(placesToBe)])}[step%8-5]
			if victim != nil {
				away.giveUp(victim)
				plain[slices.IndexFunc(plain, func(s plainSession) bool { return s.at == victim })].ended = true
			}
		}
		agree(t, n, &away, plain)
	}
	for _, s := range plain {
		away.remove(s.at)
	}
	if n := len(away.addresses.entries) + len(away.networks.entries) + len(away.users.entries) + len(away.ranking) + len(away.endingBlocks) + len(away.endingUsers); n != 0 || away.sessions != 0 || away.ending != 0 {
		t.Errorf("%d entries, %d sessions, %d ending are left of nobody", n, away.sessions, away.ending)
	}
}

func agree(t *testing.T, step int, away *awaySessions, plain plainAway) {
	t.Helper()
	if got, want := away.ofMost(), plain.ofMost(); got != want {
		t.Fatalf("step %d: of most %+v, want %+v", step, got, want)
	}
	for _, b := range placesToBe {
		if got, want := away.ofAddress(b), plain.first(func(s plainSession) bool { return s.block == b }); got != want {
			t.Fatalf("step %d: of address %v %+v, want %+v", step, b, got, want)
		}
		if got, want := away.endingBlocks[b], plain.count(func(s plainSession) bool { return s.ended && s.block == b }); got != want {
			t.Fatalf("step %d: %d of address %v are ending, want %d", step, got, b, want)
		}
	}
	for _, user := range []string{"user0", "user1", "user2"} {
		if got, want := away.ofUser(user), plain.first(func(s plainSession) bool { return s.user == user }); got != want {
			t.Fatalf("step %d: of %s %+v, want %+v", step, user, got, want)
		}
		if got, want := away.endingUsers[user], plain.count(func(s plainSession) bool { return s.ended && s.user == user }); got != want {
			t.Fatalf("step %d: %d of %s are ending, want %d", step, got, user, want)
		}
	}
	ending := plain.count(func(s plainSession) bool { return s.ended })
	if away.ending != ending || away.sessions != len(plain)-ending {
		t.Fatalf("step %d: %d away, %d ending; want %d and %d", step, away.sessions, away.ending, len(plain)-ending, ending)
	}
}

func TestWhoGivesWayIsAsAPlainListSays(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 7))
		steps := make([]byte, 150)
		for i := range steps {
			steps[i] = byte(random.Uint32())
		}
		play(t, steps)
	}
}

func FuzzWhoGivesWay(f *testing.F) {
	f.Add([]byte{0, 8, 16, 24, 5, 6, 7, 3, 4})
	f.Fuzz(func(t *testing.T, steps []byte) { play(t, steps[:min(len(steps), 200)]) })
}

// An attacker has all 65,536 blocks of a network for the price of one.
func TestANetworkOfIPv6GivesWayBeforeOfficesWithTwo(t *testing.T) {
	var away awaySessions
	clock := time.Duration(0)
	add := func(addr string) {
		clock++
		away.add(&awaySession{id: netpoll.MakeID(0, uint32(clock), 1), since: clock}, BlockOf(netip.MustParseAddr(addr)), "")
	}
	for n := range 20 {
		add(fmt.Sprint("192.0.2.", n))
		add(fmt.Sprint("192.0.2.", n))
	}
	for n := range 40 {
		add(fmt.Sprintf("2001:db8:0:%x::1", n))
	}
	for range 38 {
		victim := away.ofMost()
		if victim.address.block.ipv4 {
			t.Fatalf("an office gives way while the network has %d", away.ranking[0].count)
		}
		away.giveUp(victim)
		away.remove(victim)
	}
}

// heapBytes is how much memory is in use.
func heapBytes() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// mostForAway is what docs/operations.md says.
const mostForAway = 512

// What is kept for a session that is away is little, whoever is away, and nothing for those
// who have gone.
func TestMemoryForThoseWhoAreAwayIsBounded(t *testing.T) {
	const many = 20_000
	for name, addr := range map[string]func(n int) netip.Addr{
		"one address": func(int) netip.Addr { return netip.AddrFrom4([4]byte{1, 2, 3, 4}) },
		"IPv4":        func(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}) },
		"IPv6": func(n int) netip.Addr {
			return netip.AddrFrom16([16]byte{0x20, 1, 0, byte(n >> 16), byte(n >> 8), byte(n)})
		},
	} {
		var away awaySessions
		all, users := make([]*awaySession, many), make([]string, many)
		for n := range users {
			if name != "one address" {
				users[n] = fmt.Sprint("user", n)
			}
		}
		before := heapBytes()
		for n := range many {
			all[n] = &awaySession{id: netpoll.MakeID(0, uint32(n), 1), since: time.Duration(n)}
			away.add(all[n], BlockOf(addr(n)), users[n])
		}
		each := (heapBytes() - before) / many
		t.Logf("%s: %d bytes each", name, each)
		if each > mostForAway {
			t.Errorf("%s: %d bytes each", name, each)
		}
		for _, s := range all {
			away.remove(s)
		}
		clear(all)
		clear(users)
		if left := heapBytes() - before; left > 64<<10 {
			t.Errorf("%s: %d bytes are left", name, left)
		}
		if away.sessions != 0 {
			t.Errorf("%s: %d are left", name, away.sessions)
		}
	}
}
