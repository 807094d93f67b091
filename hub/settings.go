package hub

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"ws-gateway/httptoken"
	"ws-gateway/netpoll"
)

// settings are the part of a Config that can change while connections are open.
// They are immutable. Each loop has a pointer of its own to them, so that reading
// them costs nothing; Reload posts the new pointer to the loops as a task.
type settings struct {
	userHeader     string
	requireUser    bool
	origins        originRules
	proxies        proxies
	forwardHeaders []string
	subprotocols   []string

	maxConnections           int
	maxConnectionsPerUser    int
	maxConnectionsPerAddress int
	maxAuthorizing           int
	addresses                *addressCounts // nil if they are not limited

	maxGroups   int // of a connection
	groupMemory int64

	limiter      limiter
	pingTimeout  uint32 // ticks
	serverPing   uint32 // ticks; 0: never
	keepaliveAny bool
}

// newSettings checks cfg, whose zero values have been replaced.
func newSettings(cfg *Config) (s *settings, err error) {
	switch {
	case cfg.MaxPendingAuthorizations < 0:
		return nil, errors.New("hub: a limit of pending authorizations is negative")
	case cfg.MaxGroupsPerConnection < 0:
		return nil, errors.New("hub: a limit of groups is negative")
	case cfg.GroupMemory < 0 || cfg.GroupMemory > mostGroupMemory:
		return nil, fmt.Errorf("hub: memory for groups is %d bytes, and may be up to %d", cfg.GroupMemory, int64(mostGroupMemory))
	case cfg.PingTimeout < 0:
		return nil, fmt.Errorf("hub: ping timeout %v is negative", cfg.PingTimeout)
	case cfg.ServerPing < 0:
		return nil, fmt.Errorf("hub: server ping interval %v is negative", cfg.ServerPing)
	case cfg.MaxConnections < 0 || cfg.MaxConnectionsPerUser < 0 || cfg.MaxConnectionsPerAddress < 0:
		return nil, errors.New("hub: a limit of connections is negative; 0 means none")
	case !httptoken.Is(cfg.UserHeader):
		return nil, fmt.Errorf("hub: %q cannot be the name of a header", cfg.UserHeader)
	}
	for _, p := range cfg.Subprotocols {
		if !httptoken.Is(p) {
			return nil, fmt.Errorf("hub: %q cannot be a subprotocol: RFC 6455 wants a token", p)
		}
	}
	s = &settings{
		userHeader: cfg.UserHeader, requireUser: cfg.RequireUser,
		forwardHeaders: cfg.ForwardHeaders, subprotocols: cfg.Subprotocols,
		maxConnections: cfg.MaxConnections, maxConnectionsPerUser: cfg.MaxConnectionsPerUser,
		maxConnectionsPerAddress: cfg.MaxConnectionsPerAddress, maxAuthorizing: cfg.MaxPendingAuthorizations,
		maxGroups: cfg.MaxGroupsPerConnection, groupMemory: cfg.GroupMemory,
		pingTimeout: ticks(cfg.PingTimeout), serverPing: ticks(cfg.ServerPing), keepaliveAny: cfg.KeepaliveAny,
	}
	if s.origins, err = parseOrigins(cfg.AllowedOrigins); err != nil {
		return nil, err
	}
	if s.proxies, err = newProxies(cfg.TrustedProxies); err != nil {
		return nil, err
	}
	if s.limiter, err = newLimiter(cfg.Rates); err != nil {
		return nil, err
	}
	if s.maxConnectionsPerAddress > 0 {
		s.addresses = newAddressCounts()
	}
	return s, nil
}

// Reload checks cfg as New does. Nothing changes until apply is called, which
// returns when every loop works by the new configuration, or has ended. Calls of
// apply must not overlap, and must not come from a loop.
//
// Forwarder, Settle, Authorize, Meta, Origin, ResumeEvents and Log stay as they are. A reload closes no
// connection: limits keep newcomers out, and a ping timeout counts from a client's
// next ping on. Rates begin again, with a whole burst for every connection.
func (h *Hub) Reload(cfg Config) (apply func(), err error) {
	cfg = cfg.withDefaults()
	s, err := newSettings(&cfg)
	if err != nil {
		return nil, err
	}
	return func() {
		if s.addresses != nil && h.settings.addresses != nil {
			s.addresses = h.settings.addresses // who is connected has been counted there
		}
		h.settings = s
		h.groups.SetLimit(s.groupMemory)
		h.maxGroups.Store(int64(s.maxGroups))
		var loops sync.WaitGroup
		for _, ls := range h.loops {
			loops.Add(1)
			t := &sweep{ls: ls}
			err := ls.loop.Post(func(l *netpoll.Loop) bool {
				defer loops.Done()
				t.rates, t.pings = ls.settings.limiter != s.limiter, ls.settings.serverPing != s.serverPing
				ls.configure(s, l.Slots())
				return false
			})
			if err != nil { // it has ended
				loops.Done()
				continue
			}
			ls.loop.Post(t.run) // an error says that the loop has ended, and then there is nothing to do
		}
		loops.Wait()
	}, nil
}

// everySlot is larger than any slot.
const everySlot = math.MaxUint32

// configure makes s the loop's settings. slots is how many slots it has used.
func (ls *loopState) configure(s *settings, slots uint32) {
	old := ls.settings
	ls.settings = s
	switch {
	case !s.limiter.limited():
		ls.buckets = nil
	case ls.buckets == nil:
		ls.buckets = new(netpoll.Slab[buckets])
		for slot := range slots {
			ls.buckets.Grow(slot)
		}
	}
	if s.addresses != nil && (old == nil || old.addresses != s.addresses) {
		ls.counted = 0
	}
	if slots == 0 {
		ls.counted = everySlot
	}
}

// counts reports whether a connection in slot counts towards its address's limit.
// It does not until a reload's sweep has come to it.
func (ls *loopState) counts(slot uint32) bool {
	return ls.settings.addresses != nil && slot < ls.counted
}

// sweep brings a loop's open connections under new settings.
type sweep struct {
	ls           *loopState
	rates, pings bool   // these have changed
	slot         uint32 // the next one to look at
}

// run does a slice of the sweep.
func (t *sweep) run(l *netpoll.Loop) (more bool) {
	ls := t.ls
	for n := 0; n < sliceBudget/sendCost && t.slot < l.Slots(); n++ {
		slot := t.slot
		counted := ls.counts(slot)
		t.slot++
		ls.counted = max(ls.counted, t.slot)
		if c := l.At(slot); c != nil {
			if a := ls.settings.addresses; a != nil && !counted {
				a.pass(ls.sessions.At(slot).Addr())
			}
			t.settle(c, slot)
		}
	}
	if t.slot < l.Slots() {
		return true
	}
	ls.counted = everySlot
	return false
}

func (t *sweep) settle(c *netpoll.Conn, slot uint32) {
	ls := t.ls
	if t.rates && ls.buckets != nil {
		*ls.buckets.At(slot) = buckets{} // what was spent at another rate would be a debt of any size
	}
	if t.rates && c.PausedFor(netpoll.RateLimit) {
		ls.paused.Set(slot, ls.now+1)
	}
	if t.pings && ls.settings.serverPing > 0 {
		ls.pings.Set(slot, ls.firstPing(slot))
	}
}

// firstPing is the tick of the first ping to the connection in slot. It depends on
// the slot, so that connections which came together are not pinged together.
func (ls *loopState) firstPing(slot uint32) uint32 {
	return ls.now + 1 + slot%ls.settings.serverPing
}
