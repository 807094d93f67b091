package hub

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"ws-gateway/httptoken"
	"ws-gateway/netpoll"
)

// settings are what of a Config can change while connections are open. They are
// immutable: each loop has its own pointer to them, so that reading one costs
// nothing, and takes a new one as a task (Reload).
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
	addresses                *addressCounts // nil where they are not limited

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

// Reload checks cfg as New does and returns what puts it into force; until that is
// called nothing changes. Apply returns when every loop works by the new
// configuration, or has ended. Calls of it must not overlap, and must not come
// from a loop.
//
// What a hub is built on stays as it is: Forwarder, Settle, Authorize and Log. No
// connection ends because of a reload: limits keep newcomers out, a ping timeout
// counts from a client's next ping on. Rates begin anew, with a whole burst for
// everybody.
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
		var loops sync.WaitGroup
		for _, ls := range h.loops {
			loops.Add(1)
			t := &settling{ls: ls}
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
			ls.loop.Post(t.run) // fails where the loop has ended, which is as well
		}
		loops.Wait()
	}, nil
}

// everySlot is a bound that every slot is below.
const everySlot = math.MaxUint32

// configure makes s the settings that the loop works by. Slots is how many it has
// used.
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

// counts reports whether a connection in slot counts towards its address's limit:
// until settling has been there it does not.
func (ls *loopState) counts(slot uint32) bool {
	return ls.settings.addresses != nil && slot < ls.counted
}

// settling brings a loop's open connections under new settings.
type settling struct {
	ls           *loopState
	rates, pings bool   // have changed
	slot         uint32 // the next one
}

// run does so for some of them in each turn.
func (t *settling) run(l *netpoll.Loop) (more bool) {
	ls := t.ls
	for n := 0; n < sliceBudget/sendCost && t.slot < l.Slots(); n++ {
		slot := t.slot
		counted := ls.counts(slot)
		t.slot++
		ls.counted = max(ls.counted, t.slot)
		if c := l.At(slot); c != nil {
			if a := ls.settings.addresses; a != nil && !counted {
				a.join(ls.sessions.At(slot).Addr(), math.MaxInt)
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

func (t *settling) settle(c *netpoll.Conn, slot uint32) {
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

// firstPing is when a connection in slot is pinged first. Spread by slot, those
// that came together are not pinged together for ever.
func (ls *loopState) firstPing(slot uint32) uint32 {
	return ls.now + 1 + slot%ls.settings.serverPing
}
