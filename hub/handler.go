package hub

import (
	"github.com/gobwas/ws"

	"ws-gateway/forward"
	"ws-gateway/hub/wheel"
	"ws-gateway/netpoll"
)

// wheelBudget bounds the work of one call of Tick: ending 64 connections, or
// filing 4,096 slots again, takes less than a millisecond.
const wheelBudget = 64 * wheel.FireCost

// Frame implements netpoll.Handler.
func (h *Hub) Frame(c *netpoll.Conn, op ws.OpCode) {
	if op == ws.OpPing || op == ws.OpPong || h.loops[c.Loop().Index()].settings.keepaliveAny {
		h.heard(c)
	}
	if op.IsControl() {
		h.spendMessage(c)
	}
}

// Message implements netpoll.Handler: it answers a ping, and everything else goes
// to the app.
func (h *Hub) Message(c *netpoll.Conn, op ws.OpCode, payload []byte) {
	if h.spendMessage(c) {
		return
	}
	id := c.ID()
	ls := h.loops[id.Loop()]
	if op == ws.OpText && isPing(payload) {
		ls.userPings.Add(1)
		if h.tapped() {
			h.show(ls, id, TapEvent{Action: TapPing, Size: len(payload)}, payload)
		}
		h.heard(c)
		c.Send(h.pong)
		return
	}
	if h.tapped() {
		h.show(ls, id, TapEvent{Action: TapMessage, Size: len(payload), Binary: op == ws.OpBinary}, payload)
	}
	f := h.cfg.Forwarder
	if f == nil {
		ls.dropped.Add(1)
		return
	}
	if f.Message(ls.source(h, id), payload, op == ws.OpBinary) {
		c.Pause(netpoll.BackPressure)
	}
}

// Resumed implements netpoll.Handler. What the client has sent while it was paused
// is only read now, so its deadline starts again in full.
func (h *Hub) Resumed(c *netpoll.Conn) { h.heard(c) }

// heard moves the connection's deadline.
func (h *Hub) heard(c *netpoll.Conn) {
	id := c.ID()
	ls := h.loops[id.Loop()]
	ls.deadlines.Set(id.Slot(), ls.deadline())
}

// Closed implements netpoll.Handler.
func (h *Hub) Closed(c *netpoll.Conn, end netpoll.End) {
	id := c.ID()
	ls := h.loops[id.Loop()]
	if end.Cause == netpoll.SlowConsumer {
		ls.slow++
	}
	told := forward.End{Code: int(end.Code), Reason: end.Reason, Initiator: end.Cause.Initiator()}
	if h.tapped() {
		h.show(ls, id, TapEvent{Action: TapClose, End: told}, nil)
	}
	src := ls.source(h, id)
	h.exit(ls, id)
	h.cfg.Log.Debug().Bytes("conn_id", src.ConnID).Str("user", src.User).
		Stringer("cause", end.Cause).Int("code", int(end.Code)).Msg("connection closed")
	ls.closes.count(told)
	if f := h.cfg.Forwarder; f != nil {
		f.Close(src, told)
		return
	}
	h.cfg.Meta.Drop(uint64(id))
}

// Tick implements netpoll.Handler.
func (h *Hub) Tick(l *netpoll.Loop, now uint32) (more bool) {
	ls := h.loops[l.Index()]
	ls.now = max(ls.now, now)
	if missed := l.Missed(); missed > 0 {
		// What clients have sent while the process was stopped, and what their hosts
		// send again because nobody acknowledged it, takes about as long to arrive.
		ls.grace = now + min(missed, ls.settings.pingTimeout)
	}
	ls.lag.Store(ls.deadlines.Lag(now))
	if ls.joins != nil {
		ls.joins.expire(h.clock() - joinsFor)
	}
	switch {
	case ls.givesWay.Load() && h.endGivenUp(ls):
		return true
	case ls.deadlines.Advance(now, wheelBudget, ls.timeOut):
		return true
	case ls.pings.Advance(now, wheelBudget, ls.sendPing):
		return true
	default:
		return ls.paused.Advance(now, wheelBudget, ls.goOn)
	}
}

// timeOut closes a connection whose client was not heard in time. While the gateway
// does not read a connection it can hear nothing, and the deadline does not run.
func (h *Hub) timeOut(ls *loopState, slot uint32) {
	c := ls.loop.At(slot)
	switch {
	case c == nil || c.Away():
	case ls.now < ls.grace:
		ls.deadlines.Set(slot, ls.grace)
	case c.Paused():
		ls.deadlines.Set(slot, ls.deadline())
	default:
		c.Close(netpoll.PingTimeout, ws.StatusPolicyViolation, "ping timeout")
	}
}

func (h *Hub) sendPing(ls *loopState, slot uint32) {
	c := ls.loop.At(slot)
	if c == nil || ls.settings.serverPing == 0 {
		return
	}
	ls.pings.Set(slot, ls.now+ls.settings.serverPing)
	c.Send(h.ping)
}

// Resume lets the connection with this forward.Source.Key be read again. It is
// forward.Config.Drained.
func (h *Hub) Resume(key uint64) {
	id := netpoll.ID(key)
	if id.Loop() >= len(h.loops) {
		return
	}
	// A loop that has ended has nothing to resume, so the error says nothing.
	_ = h.loops[id.Loop()].loop.PostContext(h.ctx, func(l *netpoll.Loop) bool {
		if c := l.Lookup(id); c != nil {
			c.Resume(netpoll.BackPressure)
		}
		return false
	})
}
