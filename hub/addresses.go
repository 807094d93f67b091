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

const addressStripes = 64

type addressStripe struct {
	mu     sync.Mutex
	counts table[Block, uint32]
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
	n := st.counts.of(b)
	if int64(n) >= int64(limit) {
		return false
	}
	st.counts.put(b, n+1)
	return true
}

// pass counts a connection in, whatever the limit.
func (a *addressCounts) pass(addr netip.Addr) { a.join(addr, math.MaxInt) }

// count is how many connections of an address are counted.
func (a *addressCounts) count(b Block) int {
	st := a.stripe(b)
	st.mu.Lock()
	defer st.mu.Unlock()
	return int(st.counts.of(b))
}

// leave undoes join.
func (a *addressCounts) leave(addr netip.Addr) {
	b := BlockOf(addr)
	st := a.stripe(b)
	st.mu.Lock()
	defer st.mu.Unlock()
	if n := st.counts.of(b) - 1; n > 0 {
		st.counts.put(b, n)
	} else {
		st.counts.drop(b)
	}
}
