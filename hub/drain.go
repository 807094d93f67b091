package hub

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/gobwas/ws"

	"ws-gateway/netpoll"
)

// drainStep is how often Drain closes what is due: often enough to be even, seldom
// enough for the loops.
const drainStep = 50 * time.Millisecond

// serviceRestart is in IANA's registry of close codes: "the service is being restarted. A
// client may reconnect" (RFC 6455, 11.7).
const serviceRestart = ws.StatusCode(1012)

// Drain closes all connections with 1001 "going away", spread evenly over
// period, and returns when none is left or with ctx's error. It refuses upgrades
// from its beginning on, as SetDraining does.
func (h *Hub) Drain(ctx context.Context, period time.Duration) error {
	return h.drain(ctx, period, false)
}

// DrainKeeping is Drain, but sessions that can be resumed do not end: their transports are
// closed with 1012 "service restart", and they are away from then on. It returns when no
// others are left.
func (h *Hub) DrainKeeping(ctx context.Context, period time.Duration) error {
	return h.drain(ctx, period, true)
}

func (h *Hub) drain(ctx context.Context, period time.Duration, keep bool) error {
	h.SetDraining()
	drains := make([]*loopDrain, len(h.loops))
	for i, ls := range h.loops {
		drains[i] = &loopDrain{ls: ls, keep: keep}
	}
	tick := time.NewTicker(drainStep)
	defer tick.Stop()
	left, last := period, time.Now()
	for {
		// A process that was stopped in between goes on where it was, instead of
		// closing everybody at once.
		now := time.Now()
		left, last = max(left-min(now.Sub(last), time.Second), 0), now
		open, err := drainOnce(ctx, drains, left, period)
		if err != nil || open == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// drainOnce has each loop close what is due, and then returns how many connections
// remain.
func drainOnce(ctx context.Context, drains []*loopDrain, left, period time.Duration) (open int, err error) {
	remain := make(chan int, len(drains))
	for _, d := range drains {
		err := d.ls.loop.PostContext(ctx, func(l *netpoll.Loop) bool {
			more := d.closeDue(l, left, period)
			if !more {
				remain <- d.open(l)
			}
			return more
		})
		if errors.Is(err, netpoll.ErrStopped) {
			return 0, ErrStopped
		}
		if err != nil {
			return 0, err
		}
	}
	for range drains {
		select {
		case n := <-remain:
			open += n
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return open, nil
}

// loopDrain is a loop's progress in draining. Only the loop touches it.
type loopDrain struct {
	ls      *loopState
	keep    bool // sessions that can be resumed
	started bool
	total   int    // connections at the start
	slot    uint32 // all below are closed, and stay so: upgrades are refused
}

// open is how many connections there are that the drain is about.
func (d *loopDrain) open(l *netpoll.Loop) int {
	if d.keep {
		return d.ls.open - l.Away()
	}
	return d.ls.open
}

// closeDue closes connections, a slice in each call, until no more are open than
// may be with so much of the period left.
func (d *loopDrain) closeDue(l *netpoll.Loop, left, period time.Duration) (more bool) {
	if !d.started {
		d.started, d.total = true, d.open(l)
	}
	keep := mayRemain(d.total, left, period)
	for spent := 0; spent < sliceBudget; spent++ {
		if d.open(l) <= keep || d.slot >= l.Slots() {
			return false
		}
		if c := l.At(d.slot); c != nil && !(d.keep && c.Away()) {
			d.end(c)
			spent += closeCost
		}
		d.slot++
	}
	return true
}

func (d *loopDrain) end(c *netpoll.Conn) {
	if !d.keep || !c.Part(serviceRestart, "service restart") {
		c.Close(netpoll.GoingAway, ws.StatusGoingAway, "going away")
	}
}

// mayRemain is how many of total connections may still be open when so much of the
// period is left, rounded up.
func mayRemain(total int, left, period time.Duration) int {
	if left <= 0 || period <= 0 {
		return 0
	}
	return int(math.Ceil(float64(total) * float64(left) / float64(period)))
}
