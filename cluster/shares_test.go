package cluster

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"testing"

	"ws-gateway/hub"
)

// relayed is a client from an address that has come back at here for its session at home.
func relayed(t *testing.T, home, here *instance, from byte) *traveller {
	t.Helper()
	c := &traveller{t: t, from: net.IPv4(127, 0, 0, from)}
	if err := c.tryTo(home); err != nil {
		t.Fatal(err)
	}
	here.resumes(c)
	return c
}

func (i *instance) displaced(role relayRole) uint64 { return i.relays.snapshot().Displaced[role] }

// An address may have all relays while nobody else wants one.
func TestARelayOfTheAddressThatHasMostGivesWayToAnother(t *testing.T) {
	for _, role := range []relayRole{hasClient, hasSession} {
		t.Run([]string{"with the client", "with the session"}[role], func(t *testing.T) {
			_, all := relaying(t, 3, func(c *Config) { c.Relays = 4 })
			home, here, full := all[0], all[1], all[1]
			through := here
			if role == hasSession {
				full, through = home, all[2]
			}
			var crowd []*traveller
			for range 4 {
				crowd = append(crowd, relayed(t, home, here, 1))
			}
			if n := here.displaced(hasClient) + home.displaced(hasSession); n != 0 {
				t.Fatalf("%d gave way to none", n)
			}
			for n, displaced := range []*traveller{crowd[3], crowd[2], crowd[1]} {
				c := relayed(t, home, through, byte(2+n))
				if _, err := displaced.frame(); err == nil {
					t.Fatal("the connection goes on")
				}
				full.await("that there is room", func() bool { return full.relays.snapshot().Open[role] == 4 })
				if err := displaced.tryTo(through); err == nil || displaced.Token == "" {
					t.Fatalf("who has most displaces another: %v", err)
				}
				home.mustSend(hub.Targets{Conn: c.ID}, "here")
				if err := c.read(1); err != nil {
					t.Fatal(err)
				}
			}
			if n := home.displaced(hasSession); n != 3 {
				t.Errorf("%d gave way at the sessions' instance", n)
			}
			last := &traveller{t: t, from: net.IPv4(127, 0, 0, 9)} // everybody has one
			if err := last.tryTo(home); err != nil {
				t.Fatal(err)
			}
			if err := last.tryTo(through); err == nil {
				t.Fatal("somebody gave way who has no more")
			}
			crowd[0].conn.Close()
			full.await("that there is room", func() bool { return full.relays.snapshot().Open[role] == 3 })
			home.await("that there is room", func() bool { return home.relays.snapshot().Open[hasSession] == 3 })
			through.resumes(crowd[3]) // it has kept its session
		})
	}
}

// A client may come back before anybody knows that its connection is lost.
func TestWhoComesBackNeedsNoMoreRoomThanItHas(t *testing.T) {
	_, all := relaying(t, 3, func(c *Config) { c.Relays = 2 })
	home, here, other := all[0], all[1], all[2]
	c := relayed(t, home, here, 1)
	stays := relayed(t, home, here, 2)
	for n, through := range []*instance{here, other} {
		again := c.again()
		again.from = net.IPv4(127, 0, 0, byte(3+n)) // a mobile network's
		through.resumes(again)
		if _, err := c.frame(); err == nil {
			t.Fatal("its old connection goes on")
		}
		c = again
		home.await("that the old relay is over", func() bool { return home.relays.snapshot().Open[hasSession] == 2 })
	}
	home.mustSend(hub.Targets{Conn: stays.ID}, "here")
	if err := stays.read(1); err != nil {
		t.Fatal(err)
	}
	if n := here.displaced(hasClient) + home.displaced(hasSession); n != 0 {
		t.Errorf("%d gave way", n)
	}
}

// Whoever makes up tokens has nobody's relay end.
func TestWhoIsNotAnsweredDisplacesNobody(t *testing.T) {
	_, all := relaying(t, 2, func(c *Config) { c.Relays = 2 })
	home, here := all[0], all[1]
	for range 2 {
		relayed(t, home, here, 1)
	}
	c := &traveller{t: t, from: net.IPv4(127, 0, 0, 2)}
	if err := c.tryTo(home); err != nil {
		t.Fatal(err)
	}
	c.Token = c.Token[:len(c.Token)-4] + "AAAA"
	here.gives(c, RelayMissed)
	if n := here.displaced(hasClient) + home.displaced(hasSession); n != 0 {
		t.Errorf("%d gave way", n)
	}
}

func TestSharesKnowWhoHasMost(t *testing.T) {
	s := newShares()
	random := rand.New(rand.NewPCG(1, 2))
	var all []*share
	for range 20_000 {
		of := hub.BlockOf(netip.AddrFrom4([4]byte{192, 0, 2, byte(random.IntN(6))}))
		if random.IntN(40) < 20 || len(all) == 0 {
			one := &share{of: of}
			s.add(one)
			all = append(all, one)
		} else {
			n := random.IntN(len(all))
			s.remove(all[n])
			all = slices.Delete(all, n, n+1)
		}
		count := map[hub.Block]int{}
		most := 0
		for _, one := range all {
			count[one.of]++
			most = max(most, count[one.of])
		}
		if got, want := s.mayDisplace(of), count[of]+1 < most; got != want {
			t.Fatalf("%d of %d: %v", count[of], most, got)
		}
		if most > 0 && (count[s.ofMost().of] != most || !slices.Contains(all, s.ofMost())) {
			t.Fatalf("one of %d has most, of %d", count[s.ofMost().of], most)
		}
		if len(s.by) != len(count) {
			t.Fatalf("%d addresses are known, of %d", len(s.by), len(count))
		}
	}
}
