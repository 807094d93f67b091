package hub

import (
	"container/heap"
	"time"

	"ws-gateway/netpoll"
)

// awaySessions are the sessions that are away, of all loops together. For each address and
// each user the one that has been away for longest comes first, and it is known of which
// address most are away.
//
// A session that gives way for a newcomer is given up: it is in no queue any more, and
// counted as ending, until its loop has ended it or its client has come back.
type awaySessions struct {
	addresses table[Block, *holder]
	networks  table[uint64, *holder] // by the first bits of their addresses
	users     table[string, *awayUser]
	ranking   ranking // IPv4 addresses, and networks of IPv6
	sessions  int     // in the queues

	ending       int // sessions that have been given up
	endingBlocks map[Block]int
	endingUsers  map[string]int
}

// networkBits are the last bits of an IPv6 Block that do not tell networks apart: the first 48
// bits of an address do. Whoever has one of these has 65,536 blocks.
const networkBits = 16

// awaySession is a session that is away.
type awaySession struct {
	id      netpoll.ID
	links   [2]awayLinks // in the queues of its address and its user
	address *holder
	user    *awayUser
	since   time.Duration // when it went away, by Hub.clock; givenUp
}

// givenUp is the time of going away of a session that has given way.
const givenUp = time.Duration(-1 << 63)

type awayLinks struct{ next, prev *awaySession }

const (
	byAddress = iota
	byUser
)

// awayQueue has first who has been away for longest.
type awayQueue struct{ first, last *awaySession }

func (q *awayQueue) push(s *awaySession, by int) {
	s.links[by] = awayLinks{prev: q.last}
	if q.last != nil {
		q.last.links[by].next = s
	} else {
		q.first = s
	}
	q.last = s
}

func (q *awayQueue) remove(s *awaySession, by int) {
	at := &s.links[by]
	if at.prev != nil {
		at.prev.links[by].next = at.next
	} else {
		q.first = at.next
	}
	if at.next != nil {
		at.next.links[by].prev = at.prev
	} else {
		q.last = at.prev
	}
	*at = awayLinks{}
}

// awayUser is a user of whom sessions are away.
type awayUser struct {
	name  string
	queue awayQueue
}

// holder is an address of which sessions are away, or a network of such addresses.
type holder struct {
	block     Block     // of a network: its bits
	queue     awayQueue // of an address
	count     int32     // of its sessions
	place     int32     // in the ranking
	network   *holder   // that an IPv6 address is in
	addresses ranking   // of a network
}

// since is when the session that would give way first went away.
func (h *holder) since() time.Duration { return h.first().since }

// first is the session that would give way first.
func (h *holder) first() *awaySession {
	if len(h.addresses) > 0 {
		h = h.addresses[0]
	}
	return h.queue.first
}

// ranking is a heap: first is who has most; of those who have as many, the one that has a
// session away for longest.
type ranking []*holder

func (r ranking) Len() int { return len(r) }

func (r ranking) Less(i, j int) bool {
	a, b := r[i], r[j]
	return a.count > b.count || a.count == b.count && a.since() < b.since()
}

func (r ranking) Swap(i, j int) {
	r[i], r[j] = r[j], r[i]
	r[i].place, r[j].place = int32(i), int32(j)
}

func (r *ranking) Push(x any) {
	h := x.(*holder)
	h.place = int32(len(*r))
	*r = append(*r, h)
}

func (r *ranking) Pop() any {
	old := *r
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*r = old[:len(old)-1]
	if cap(old) > keptEntries && len(*r) < cap(old)/4 {
		*r = append(make(ranking, 0, 2*len(*r)), *r...)
	}
	return last
}

// add has a session that went away after all others.
func (a *awaySessions) add(s *awaySession, block Block, user string) {
	s.user = a.users.of(user)
	if s.user == nil {
		s.user = &awayUser{name: user}
		a.users.put(user, s.user)
	}
	s.user.queue.push(s, byUser)
	s.address = a.addresses.of(block)
	if s.address == nil {
		s.address = &holder{block: block, network: a.network(block)}
		a.addresses.put(block, s.address)
	}
	s.address.queue.push(s, byAddress)
	a.count(s.address, 1)
	a.sessions++
}

// network is the network that an address is in, nil if it counts by itself.
func (a *awaySessions) network(block Block) *holder {
	if block.ipv4 {
		return nil
	}
	bits := block.bits >> networkBits
	n := a.networks.of(bits)
	if n == nil {
		n = &holder{block: Block{bits: bits}}
		a.networks.put(bits, n)
	}
	return n
}

// count changes how many sessions an address or a network has, and with it its place.
func (a *awaySessions) count(h *holder, by int32) {
	among := &a.ranking
	if h.network != nil {
		among = &h.network.addresses
	}
	before := h.count
	h.count += by
	switch {
	case before == 0:
		heap.Push(among, h)
	case h.count > 0:
		heap.Fix(among, int(h.place))
	default:
		heap.Remove(among, int(h.place))
	}
	if h.network != nil {
		a.count(h.network, by)
	}
}

// giveUp has a session give way.
func (a *awaySessions) giveUp(s *awaySession) {
	a.unlist(s)
	s.since = givenUp
	if a.ending == 0 {
		a.endingBlocks, a.endingUsers = make(map[Block]int), make(map[string]int)
	}
	a.ending++
	a.endingBlocks[s.address.block]++
	a.endingUsers[s.user.name]++
}

// remove forgets a session that has ended, or whose client is back.
func (a *awaySessions) remove(s *awaySession) {
	if s.since != givenUp {
		a.unlist(s)
		return
	}
	a.ending--
	if a.ending == 0 {
		a.endingBlocks, a.endingUsers = nil, nil
		return
	}
	less(a.endingBlocks, s.address.block)
	less(a.endingUsers, s.user.name)
}

func less[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] == 0 {
		delete(counts, key)
	}
}

func (a *awaySessions) unlist(s *awaySession) {
	s.user.queue.remove(s, byUser)
	if s.user.queue.first == nil {
		a.users.drop(s.user.name)
	}
	h := s.address
	h.queue.remove(s, byAddress)
	a.count(h, -1)
	if h.count == 0 {
		a.addresses.drop(h.block)
	}
	if n := h.network; n != nil && n.count == 0 {
		a.networks.drop(n.block.bits)
	}
	a.sessions--
}

// ofUser is the session of a user that has been away for longest; nil: there is none.
func (a *awaySessions) ofUser(name string) *awaySession {
	if u := a.users.of(name); u != nil {
		return u.queue.first
	}
	return nil
}

// ofAddress is the session of an address that has been away for longest; nil: there is none.
func (a *awaySessions) ofAddress(b Block) *awaySession {
	if h := a.addresses.of(b); h != nil {
		return h.queue.first
	}
	return nil
}

// ofMost is, of the address of which most are away, the one that has been for longest; nil:
// there is none.
func (a *awaySessions) ofMost() *awaySession {
	if len(a.ranking) == 0 {
		return nil
	}
	return a.ranking[0].first()
}
