package cluster

import (
	"ws-gateway/cluster/relay"
	"ws-gateway/hub"
)

// One address must not keep the others from being relayed. As long as there is room it may
// have all relays; when there is none, one of the address that has most gives way to one that
// has fewer: its transport ends, and its client comes back. That happens only once the session
// has answered, or whoever makes up tokens could have others' relays end. So a few more may
// wait for their answers than there may be relays. So may a client that comes back before
// its connection is known to be lost: its own relay is over then.

// mostDisplacing is how many may wait for their answers beside all relays that there may be.
const mostDisplacing = 16

// shares say which relays are whose. Those that wait for their answers do not count.
type shares struct {
	by    map[hub.Block][]*share
	sized []map[hub.Block]struct{} // the addresses that have so many; the last is not empty
	last  map[string]*share        // of each session
}

// share is one relay, or room for it.
type share struct {
	role    relayRole
	of      hub.Block
	session string
	end     *relay.End // nil: the session has not answered yet
	at      int        // its place among those of its address
	gaveUp  bool       // its place is another one's
}

func newShares() shares { return shares{by: map[hub.Block][]*share{}, last: map[string]*share{}} }

// mayDisplace reports whether one more for an address would still leave the one that has most
// as many, if that gave one up. So two of them never take each other's in turn.
func (s *shares) mayDisplace(of hub.Block) bool { return len(s.by[of])+1 < len(s.sized)-1 }

// ofMost is a relay of an address that has most. There must be one.
func (s *shares) ofMost() *share {
	for of := range s.sized[len(s.sized)-1] {
		all := s.by[of]
		return all[len(all)-1]
	}
	return nil
}

func (s *shares) add(one *share) {
	one.at = len(s.by[one.of])
	s.by[one.of] = append(s.by[one.of], one)
	s.last[one.session] = one
	s.resized(one.of, one.at)
}

func (s *shares) remove(one *share) {
	all := s.by[one.of]
	last := all[len(all)-1]
	all[one.at], last.at = last, one.at
	all[len(all)-1] = nil
	if s.by[one.of] = all[:len(all)-1]; len(all) == 1 {
		delete(s.by, one.of)
	}
	if s.last[one.session] == one {
		delete(s.last, one.session)
	}
	s.resized(one.of, len(all))
}

// resized notes that an address had before so many.
func (s *shares) resized(of hub.Block, before int) {
	now := len(s.by[of])
	if before > 0 {
		delete(s.sized[before], of)
	}
	for len(s.sized) <= now {
		s.sized = append(s.sized, map[hub.Block]struct{}{})
	}
	if now > 0 {
		s.sized[now][of] = struct{}{}
	}
	for n := len(s.sized) - 1; n >= 0 && len(s.sized[n]) == 0; n-- {
		s.sized = s.sized[:n]
	}
}
