package hub

import (
	"errors"
	"time"

	"github.com/gobwas/ws"

	"ws-gateway/netpoll"
	"ws-gateway/tokenbucket"
)

// Rates limit what one connection may send. The zero value does not.
//
// Messages are data messages and control frames, including pings of both kinds.
// Bytes are what comes from the socket, so fragments count before they are a
// message. A burst of 0 stands for two seconds' worth. A burst must be at least one
// second's worth, since a connection that was stopped goes on with the next tick of
// its loop, and its bucket must hold what it earns until then.
type Rates struct {
	Messages, MessageBurst int // messages a second; 0: no limit
	Bytes, ByteBurst       int // bytes a second; 0: no limit

	// Close has a connection closed with 1008 if it goes beyond its burst. Otherwise
	// the connection is not read until its bucket is out of debt, so that TCP pushes
	// back.
	Close bool
}

// limiter is Rates in the form that connections are checked against.
type limiter struct {
	messages, bytes tokenbucket.Rate
	close           bool
}

// buckets are the token buckets of one connection.
type buckets struct{ messages, bytes tokenbucket.Bucket }

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

func rateOf(perSecond, burst int) tokenbucket.Rate {
	if burst == 0 {
		return tokenbucket.NewRate(float64(perSecond), 2*float64(perSecond))
	}
	return tokenbucket.NewRate(float64(perSecond), float64(burst))
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

// spendMessage counts a message or control frame. It reports whether it has closed
// the connection for it.
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

// Received is netpoll.Config.Received. It is needed if Rates.Bytes is set.
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

// goOn lets a connection be read again once its bucket is out of debt.
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
