package hub

import (
	"bytes"
	"net/http"

	"github.com/gobwas/ws"

	"ws-gateway/forward"
	"ws-gateway/netpoll"
	"ws-gateway/netpoll/wire"
)

// An upgrade that the app authorises goes this way:
//
//	loop: Upgrade ──▶ ask ──▶ parked        worker: POST open ──▶ answered
//	loop: conclude ◀───────────── Post ◀────────────────────────────┘
//
// Nothing is listed before the app has agreed. Once it has answered with 2xx the app
// counts on the connection: if the upgrade then fails, the app gets a close event.

// candidate is a parked handshake.
type candidate struct {
	id          netpoll.ID
	fields      handshakeFields
	subprotocol string
	reply       forward.Reply // the app's, to send once the connection is open
	groups      regrouping    // likewise the app's
}

// ask has the app decide about a handshake, and parks it meanwhile.
func (h *Hub) ask(ls *loopState, id netpoll.ID, f handshakeFields, r *wire.Request) netpoll.Verdict {
	waiting := h.authorizing.Add(1)
	if limit := int64(ls.settings.maxConnections); limit > 0 && h.open.Load()+waiting > limit && !h.mayFit(waiting, limit) {
		h.authorizing.Add(-1)
		return h.refuseFor(full)
	}
	if waiting > int64(ls.settings.maxAuthorizing) {
		h.authorizing.Add(-1)
		h.stats.refusedPending.Add(1)
		return refuse(http.StatusServiceUnavailable, "too many handshakes wait for the app", retryAfter)
	}
	k := &candidate{id: id, fields: f, subprotocol: selectSubprotocol(r, ls.settings.subprotocols)}
	h.cfg.Authorize(h.firstSource(ls, k), opening(f, r), func(a forward.Answer) { h.answered(ls, k, a) })
	return netpoll.Verdict{Pending: true}
}

// firstSource describes the open event of a connection that has no session yet.
func (h *Hub) firstSource(ls *loopState, k *candidate) forward.Source {
	return forward.Source{
		Key: uint64(k.id), Seq: 1,
		ConnID: h.instance.appendID(ls.connID[:0], k.id),
		User:   k.fields.user, Headers: k.fields.headers,
	}
}

// answered takes the app's answer to the connection's loop. It runs on a worker.
func (h *Hub) answered(ls *loopState, k *candidate, a forward.Answer) {
	accepted := a.Err == forward.Delivered
	refusal := netpoll.Verdict{}
	k.reply, k.groups = a.Reply, h.regrouping(a.Join, a.Leave)
	k.reply.Body = bytes.Clone(a.Reply.Body)
	switch {
	case !accepted:
		refusal = refusalOf(a)
	case a.NamesUser():
		k.fields.user = a.User
	case a.HasUser:
		h.cfg.Log.Warn().Msg("the app answered an open event with a user name that is not UTF-8: the upgrade is refused")
		refusal = refuse(http.StatusServiceUnavailable, "the user name is not UTF-8", 0)
	}
	var joined chan struct{} // nil: nothing to wait for
	if len(a.Join) > 0 {
		joined = make(chan struct{})
	}
	err := ls.loop.PostContext(h.ctx, func(l *netpoll.Loop) bool {
		h.authorizing.Add(-1)
		h.conclude(ls, k, accepted, refusal)
		if joined != nil {
			close(joined)
		}
		return false
	})
	switch {
	case err != nil: // the loops have ended, and the lanes before them: nobody takes a close event any more
		h.authorizing.Add(-1)
	case joined != nil: // as in Regroup
		select {
		case <-joined:
		case <-h.ctx.Done():
		}
	}
}

// refusalOf is what the client is told if the app has not accepted: the app's own
// status and body if it refused, and 503 if it could not decide.
func refusalOf(a forward.Answer) netpoll.Verdict {
	if a.Status/100 != 4 {
		return refuse(http.StatusServiceUnavailable, "the app could not be asked", retryAfter)
	}
	v := refuse(a.Status, "refused by the app", 0)
	if len(a.Body) > 0 {
		v.Body = &netpoll.Body{Type: a.ContentType, Content: append([]byte(nil), a.Body...)}
	}
	return v
}

// conclude opens the connection or refuses it, on its loop.
func (h *Hub) conclude(ls *loopState, k *candidate, accepted bool, refusal netpoll.Verdict) {
	l := ls.loop
	switch {
	case !l.Parked(k.id):
		if accepted {
			h.neverOpened(ls, k, forward.End{Code: int(ws.StatusAbnormalClosure), Initiator: netpoll.Disconnected.Initiator()})
		}
		return
	case refusal.Status == 0 && h.draining.Load():
		h.stats.refusedDraining.Add(1)
		refusal = refuse(http.StatusServiceUnavailable, "shutting down", retryAfter)
	case refusal.Status == 0:
		if outcome := h.enter(ls, k.id, k.fields); outcome != admitted {
			refusal = h.refuseFor(outcome)
		}
	}
	if refusal.Status != 0 {
		if accepted {
			h.neverOpened(ls, k, forward.End{Code: int(tryAgainLater), Reason: refusal.Reason, Initiator: "gateway"})
		}
		l.Unpark(k.id, refusal)
		return
	}
	ls.sessions.At(k.id.Slot()).Seq = 1   // the open event's
	h.regroup(ls, k.id.Slot(), &k.groups) // before the client's first message can arrive
	l.Unpark(k.id, netpoll.Verdict{Subprotocol: k.subprotocol})
	if len(k.reply.Body) > 0 || k.reply.Close {
		h.reply(l.Lookup(k.id), k.reply)
	}
}

// tryAgainLater is the close code for a connection that the gateway had no room for.
const tryAgainLater = ws.StatusCode(1013)

// neverOpened sends the close event for a connection that the app has accepted and
// that was not opened after all.
func (h *Hub) neverOpened(ls *loopState, k *candidate, end forward.End) {
	src := h.firstSource(ls, k)
	src.Seq = 2
	h.cfg.Forwarder.Close(src, end)
}
