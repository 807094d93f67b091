package netpoll

import (
	"net/http"
	"sync/atomic"

	"ws-gateway/netpoll/wire"
)

// UsualHead is the size in bytes up to which what is kept of a request head is
// not asked for back, and does not count in HeaderBudget: a connection of usual
// size pays nothing for the bound, and its memory belongs to the number of
// connections.
const UsualHead = 4 << 10

// ledger is what the loops of a server share of its budgets.
type ledger struct {
	all   [budgets]budget
	alarm atomic.Bool // some budget is, or has just been, over
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

// configure sets the budgets' limits. What has become too much is asked back.
func (g *ledger) configure(cfg *Config) {
	for i, limit := range [budgets]int64{
		HeaderBudget:  cfg.HeaderMemory,
		OutboxBudget:  cfg.OutboxMemory,
		SocketBudget:  cfg.SocketMemory,
		MessageBudget: max(cfg.MaxAssemblyMemory, cfg.MaxMessageSize),
	} {
		b := &g.all[i]
		b.limit.Store(limit)
		if i < purses && b.over() {
			b.alarm()
		}
	}
}

// over reports whether some budget is.
func (g *ledger) over() bool {
	for i := range purses {
		if g.all[i].over() {
			return true
		}
	}
	return false
}

// settle asks back what is past the budgets, as far as this loop's connections
// hold the most. It is called between events, when no Handler method is under way.
// It reports whether the loop has more to do about it.
func (l *Loop) settle() (more bool) {
	g := &l.srv.ledger
	return g.alarm.Load() && l.settleUp(g)
}

func (l *Loop) settleUp(g *ledger) (more bool) {
	for i := range l.purses {
		p := &l.purses[i]
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
		if g.over() { // it went over in between, and its alarm was taken for the old one
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

// giveWay takes from a connection what it holds of a budget.
func (l *Loop) giveWay(b Budget, c *Conn) {
	switch c.state {
	case stateHandshake, stateParked, stateOpen:
		l.purses[b].gaveWay.Add(1)
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
	case stateOpen:
		switch b {
		case HeaderBudget:
			c.Close(HeadTooLarge, statusPolicy, "request head too large")
		case OutboxBudget:
			c.Close(SlowConsumer, statusPolicy, "slow consumer")
		case MessageBudget:
			c.Close(OverCapacity, statusTryAgain, "try again later")
		}
	default: // it has been told already, and still holds on
		c.destroy(true)
	}
}

// Keep notes that the Handler keeps so many bytes of the request head for as long
// as the connection is open, or its handshake waits. It reports false where there
// is no room for them, because nobody keeps more than this one would: it should be
// refused with 431. It is to be called from Handler.Upgrade, once.
func (c *Conn) Keep(bytes int) bool {
	l := c.loop
	if l == nil || bytes <= UsualHead {
		return true
	}
	p := &l.purses[HeaderBudget]
	if !p.fits(int64(bytes)) {
		p.gaveWay.Add(1)
		return false
	}
	h := new(holder)
	if l.kept == nil {
		l.kept = make(map[uint32]*holder)
	}
	l.kept[c.slot] = h
	l.hold(HeaderBudget, h, c, bytes)
	return true
}

// letGo undoes Keep.
func (c *Conn) letGo() {
	l := c.loop
	if len(l.kept) == 0 {
		return
	}
	if h := l.kept[c.slot]; h != nil {
		delete(l.kept, c.slot)
		l.hold(HeaderBudget, h, c, 0)
	}
}

// hold counts what c holds by h from now on. c may be nil where that is nothing.
func (l *Loop) hold(b Budget, h *holder, c *Conn, bytes int) {
	more := int64(bytes) - h.bytes
	if more == 0 {
		return
	}
	slot := h.slot
	if c != nil {
		slot = c.slot
	}
	p := &l.purses[b]
	p.set(h, slot, int64(bytes), l.now)
	p.add(more)
}
