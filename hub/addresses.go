package hub

import (
	"hash/maphash"
	"math"
	"net/netip"
	"sync"
)

// addressCounts counts connections by client address. Like the directory it is
// shared by the loops, and striped: a stripe's lock is held for map work only.
type addressCounts struct {
	seed    maphash.Seed
	stripes [addressStripes]addressStripe
}

const (
	addressStripes = 64
	keptAddresses  = 64 // a stripe keeps memory for so many, however few it counts
)

type addressStripe struct {
	mu     sync.Mutex
	counts map[Block]uint32
	most   int // largest size of counts since that was made
}

// Block is what counts as one address: an IPv4 address, or the first 64 bits of an
// IPv6 address, since no subscriber is given less than a /64.
type Block struct {
	bits uint64
	ipv4 bool
}

// BlockOf is the Block of an address.
func BlockOf(addr netip.Addr) Block {
	addr = addr.Unmap()
	raw := addr.As16()
	b := Block{ipv4: addr.Is4()}
	from := raw[:8]
	if b.ipv4 {
		from = raw[8:]
	}
	for _, octet := range from {
		b.bits = b.bits<<8 | uint64(octet)
	}
	return b
}

func newAddressCounts() *addressCounts { return &addressCounts{seed: maphash.MakeSeed()} }

func (a *addressCounts) stripe(b Block) *addressStripe {
	return &a.stripes[maphash.Comparable(a.seed, b)%addressStripes]
}

// join counts a connection in, unless its address already has limit connections.
func (a *addressCounts) join(addr netip.Addr, limit int) bool {
	b := BlockOf(addr)
	st := a.stripe(b)
	st.mu.Lock()
	defer st.mu.Unlock()
	if int64(st.counts[b]) >= int64(limit) {
		return false
	}
	if st.counts == nil {
		st.counts = make(map[Block]uint32)
	}
	st.counts[b]++
	st.most = max(st.most, len(st.counts))
	return true
}

// pass counts a connection in, whatever the limit.
func (a *addressCounts) pass(addr netip.Addr) { a.join(addr, math.MaxInt) }

// count is how many connections of an address are counted.
func (a *addressCounts) count(b Block) int {
	st := a.stripe(b)
	st.mu.Lock()
	defer st.mu.Unlock()
	return int(st.counts[b])
}

// leave undoes join.
func (a *addressCounts) leave(addr netip.Addr) {
	b := BlockOf(addr)
	st := a.stripe(b)
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.counts[b]--; st.counts[b] > 0 {
		return
	}
	delete(st.counts, b)
	st.shrink()
}

// shrink frees the memory for addresses that are gone, which a map never does.
func (st *addressStripe) shrink() {
	if st.most <= keptAddresses || len(st.counts) > st.most/4 {
		return
	}
	fewer := make(map[Block]uint32, len(st.counts))
	for b, n := range st.counts {
		fewer[b] = n
	}
	st.counts, st.most = fewer, len(fewer)
}
