package netpoll

import (
	"net/http"
	"sync/atomic"

	"ws-gateway/netpoll/wire"
)

// UsualHead is a size in bytes. If no more than that is kept of a request head, it
// does not count in HeaderBudget and never gives way: the limit on connections
// bounds such memory.
const UsualHead = 4 << 10

// ledger is the budgets of a server, which its loops share.
type ledger struct {
	all   [budgets]budget
	alarm atomic.Bool // some budget is exceeded, or was a moment ago
}

func (g *ledger) init(s *Server) {
	for i := range g.all {
		g.all[i].tops = make([]top, s.cfg.Loops)
		g.all[i].alarm = func() {
			if g.alarm.CompareAndSwap(false, true) {
				for _, l := range s.loops {
					l.mailbox.nudge()
				}
			}
		}
	}
	g.configure(&s.cfg)
}

// configure sets the budgets' limits, and wakes the loops if one is exceeded now.
func (g *ledger) configure(cfg *Config) {
	for i, limit := range [budgets]int64{
		HeaderBudget:  cfg.HeaderMemory,
		OutboxBudget:  cfg.OutboxMemory,
		ResumeBudget:  cfg.ResumeMemory,
		SocketBudget:  cfg.SocketMemory,
		MessageBudget: max(cfg.MaxAssemblyMemory, cfg.MaxMessageSize),
	} {
		b := &g.all[i]
		b.limit.Store(limit)
		if i < countedBudgets && b.over() {
			b.alarm()
		}
	}
}

// over reports whether some budget is exceeded.
func (g *ledger) over() bool {
	for i := range countedBudgets {
		if g.all[i].over() {
			return true
		}
	}
	return false
}

// enforceBudgets has connections of this loop give way, if a budget is exceeded and
// they hold the most. It is called between events, never during a Handler method.
// It returns true if it has not finished.
func (l *Loop) enforceBudgets() (more bool) {
	g := &l.srv.ledger
	return g.alarm.Load() && l.suspending == nil && l.makeLargestGiveWay(g)
}

func (l *Loop) makeLargestGiveWay(g *ledger) (more bool) {
	for i := range l.holders {
		p := &l.holders[i]
		for n := 0; Budget(i) == ResumeBudget && p.over() && l.farewells.giveUpOldest(); n++ {
			p.gaveWay.Add(1)
			if n == expiryBudget {
				return true
			}
		}
		for n := 0; p.over(); n++ {
			h, score := p.largest(l.now)
			p.tops[l.index].Store(score)
			if h == nil || !p.isLargest(l.index, score) || p.aged && h.bytes == p.used.Load() { // alone, a message of any permitted size fits
				break
			}
			if n == expiryBudget {
				return true
			}
			l.giveWay(Budget(i), l.conns.At(h.slot))
		}
	}
	if !g.over() {
		g.alarm.Store(false)
		if g.over() { // exceeded again, but the alarm was still set then
			g.alarm.Store(true)
			return true
		}
	}
	return false
}

const noHeaderMemory = "request head too large at the moment: --header-memory is used up"

var (
	errNoHeaderMemory = &wire.HandshakeError{Status: http.StatusRequestHeaderFieldsTooLarge, Text: noHeaderMemory}
	errParkedNoMemory = &wire.HandshakeError{Status: http.StatusServiceUnavailable, Text: noHeaderMemory, Header: []string{"Retry-After", "5"}}
)

// giveWay ends a connection, so that it releases what it holds of a budget. Of
// ResumeBudget an open one releases it without ending.
func (l *Loop) giveWay(b Budget, c *Conn) {
	switch c.state {
	case stateHandshake, stateParked, stateOpen, stateAway:
		l.holders[b].gaveWay.Add(1)
	}
	switch c.state {
	case stateHandshake:
		l.reject(c, errNoHeaderMemory, nil, true)
		c.dropHead()
	case stateParked:
		l.stats.Refused++
		l.response = errParkedNoMemory.AppendTo(l.response[:0], nil)
		l.sendRefusal(c, l.response, true)
		c.dropHead()
	case stateOpen, stateAway:
		switch b {
		case HeaderBudget:
			c.Close(HeadTooLarge, statusPolicy, "request head too large")
		case OutboxBudget:
			c.Close(SlowConsumer, statusPolicy, "slow consumer")
		case ResumeBudget:
			c.overrun(0)
		case MessageBudget:
			c.Close(OverCapacity, statusTryAgain, "try again later")
		}
	default: // it was closed before, and still holds memory
		c.destroy(true)
	}
}

// Keep notes that the Handler keeps so many bytes of the request head as long as the
// connection is open, or its handshake parked. It returns false if HeaderBudget has
// no room and no other connection keeps more: then the Handler should refuse with
// 431. It is to be called from Handler.Upgrade, once.
func (c *Conn) Keep(bytes int) bool {
	l := c.loop
	if l == nil || bytes <= UsualHead {
		return true
	}
	p := &l.holders[HeaderBudget]
	if !p.fits(int64(bytes)) {
		p.gaveWay.Add(1)
		return false
	}
	c.KeepInstead(bytes)
	return true
}

// KeepInstead is Keep for a connection that has returned with another request head. If
// HeaderBudget has no room, the connections that keep the most give way.
func (c *Conn) KeepInstead(bytes int) {
	l := c.loop
	c.dropKept()
	if bytes <= UsualHead {
		return
	}
	h := new(holder)
	if l.kept == nil {
		l.kept = make(map[uint32]*holder)
	}
	l.kept[c.slot] = h
	l.charge(HeaderBudget, h, c, bytes)
}

// dropKept undoes Keep.
func (c *Conn) dropKept() {
	l := c.loop
	if len(l.kept) == 0 {
		return
	}
	if h := l.kept[c.slot]; h != nil {
		delete(l.kept, c.slot)
		l.charge(HeaderBudget, h, c, 0)
	}
}

// charge notes that c holds so many bytes as h from now on, and counts them in the
// budget. c may be nil if bytes is 0.
func (l *Loop) charge(b Budget, h *holder, c *Conn, bytes int) {
	more := int64(bytes) - h.bytes
	if more == 0 {
		return
	}
	slot := h.slot
	if c != nil {
		slot = c.slot
	}
	p := &l.holders[b]
	p.set(h, slot, int64(bytes), l.now)
	p.add(more)
}
