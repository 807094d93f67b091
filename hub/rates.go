package hub

import (
	"errors"
	"time"

	"github.com/gobwas/ws"

	"ws-gateway/netpoll"
)

// Rates limit what one connection may send. The zero value does not.
//
// Messages are data messages and control frames, pings of both kinds included.
// Bytes are what comes from the socket, so that what is no message yet, such as
// fragments, counts too. A burst that is 0 is two seconds' worth; it must not be
// less than one second's, since a connection that was stopped goes on with a tick
// of its loop, and what it earns in between must fit.
type Rates struct {
	Messages, MessageBurst int // messages a second; 0: no limit
	Bytes, ByteBurst       int // bytes a second; 0: no limit

	// Close closes a connection that goes beyond a burst with 1008. Otherwise it is
	// not read until what it has sent has been paid for, so that TCP pushes back.
	Close bool
}

// limiter is Rates at work.
type limiter struct {
	messages, bytes netpoll.Rate
	close           bool
}

// buckets are the token buckets of one connection.
type buckets struct{ messages, bytes netpoll.Meter }

func newLimiter(r Rates) (l limiter, err error) {
	if r.Messages < 0 || r.MessageBurst < 0 || r.Bytes < 0 || r.ByteBurst < 0 {
		return l, errors.New("hub: a rate is negative; 0 means no limit")
	}
	if r.MessageBurst > 0 && r.MessageBurst < r.Messages || r.ByteBurst > 0 && r.ByteBurst < r.Bytes {
		return l, errors.New("hub: a burst is less than one second's worth")
	}
	l.messages, l.bytes = rateOf(r.Messages, r.MessageBurst), rateOf(r.Bytes, r.ByteBurst)
	l.close = r.Close
	return l, nil
}

func rateOf(perSecond, burst int) netpoll.Rate {
	if burst == 0 {
		return netpoll.NewRate(float64(perSecond), 2*float64(perSecond))
	}
	return netpoll.NewRate(float64(perSecond), float64(burst))
}

func (l *limiter) limited() bool { return l.messages.Limited() || l.bytes.Limited() }

// wait is how long a connection must not be read.
func (l *limiter) wait(b *buckets, now time.Duration) (d time.Duration) {
	if l.messages.Limited() {
		d = b.messages.Wait(&l.messages, now, 0)
	}
	if l.bytes.Limited() {
		d = max(d, b.bytes.Wait(&l.bytes, now, 0))
	}
	return d
}

// spendMessage counts a message or control frame. It reports true where the
// connection has been closed for it.
func (h *Hub) spendMessage(c *netpoll.Conn) (closed bool) {
	ls := h.loops[c.Loop().Index()]
	limit := &ls.settings.limiter.messages
	if !limit.Limited() {
		return false
	}
	now, b := h.clock(), ls.buckets.At(c.ID().Slot())
	if !b.messages.Spend(limit, now, 1) {
		return false
	}
	if !c.PausedFor(netpoll.RateLimit) {
		ls.overMessages.Add(1)
	}
	return h.overRate(ls, c, b, now)
}

// Received is netpoll.Config.Received; it is needed where Rates.Bytes is set.
func (h *Hub) Received(c *netpoll.Conn, bytes int) {
	ls := h.loops[c.Loop().Index()]
	limit := &ls.settings.limiter.bytes
	if !limit.Limited() {
		return
	}
	now, b := h.clock(), ls.buckets.At(c.ID().Slot())
	if !b.bytes.Spend(limit, now, bytes) {
		return
	}
	if !c.PausedFor(netpoll.RateLimit) {
		ls.overBytes.Add(1)
	}
	h.overRate(ls, c, b, now)
}

// overRate stops or closes a connection that has spent too much.
func (h *Hub) overRate(ls *loopState, c *netpoll.Conn, b *buckets, now time.Duration) (closed bool) {
	limiter := &ls.settings.limiter
	if limiter.close {
		c.Close(netpoll.RateLimited, ws.StatusPolicyViolation, "rate limit")
		return true
	}
	c.Pause(netpoll.RateLimit)
	ls.paused.Set(c.ID().Slot(), ls.now+ticks(limiter.wait(b, now)))
	return false
}

// goOn lets a connection be read again that has paid its debt.
func (h *Hub) goOn(ls *loopState, slot uint32) {
	c := ls.loop.At(slot)
	if c == nil {
		return
	}
	if limiter := &ls.settings.limiter; limiter.limited() {
		if wait := limiter.wait(ls.buckets.At(slot), h.clock()); wait > 0 {
			ls.paused.Set(slot, ls.now+ticks(wait))
			return
		}
	}
	c.Resume(netpoll.RateLimit)
}
