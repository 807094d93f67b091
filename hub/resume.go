package hub

import (
	"net/netip"
	"time"

	"ws-gateway/hub/directory"
	"ws-gateway/netpoll"
	"ws-gateway/netpoll/wire"
)

// A connection whose client has asked to resume it may be away (netpoll.Resumer). Its
// session stays as it is: listed, counted, in its groups. The app sees neither a close nor
// an open.

var _ netpoll.Resumer = (*Hub)(nil)

// AppendID implements netpoll.Resumer.
func (h *Hub) AppendID(dst []byte, id netpoll.ID) []byte { return h.instance.appendID(dst, id) }

// ParseID implements netpoll.Resumer.
func (h *Hub) ParseID(name []byte) (id netpoll.ID, ok bool) { return h.instance.parseID(string(name)) }

// Identity implements netpoll.Resumer: it is the user whom the header names, whatever
// name the app has given.
func (h *Hub) Identity(l *netpoll.Loop, r *wire.Request) []byte {
	name, _ := r.Get(h.loops[l.Index()].settings.userHeader)
	return name
}

// Admit implements netpoll.Resumer.
func (h *Hub) Admit(l *netpoll.Loop, r *wire.Request) netpoll.Verdict {
	_, refusal := h.identify(h.loops[l.Index()].settings, r)
	return refusal
}

// ClientAddr implements netpoll.Resumer: trusted proxies say who the client is.
func (h *Hub) ClientAddr(l *netpoll.Loop, r *wire.Request) netip.Addr {
	return h.loops[l.Index()].settings.proxies.client(r).Addr()
}

// Away implements netpoll.Resumer. Nothing is expected of the client meanwhile.
func (h *Hub) Away(c *netpoll.Conn) {
	id := c.ID()
	ls := h.loops[id.Loop()]
	slot := id.Slot()
	ls.deadlines.Clear(slot)
	ls.pings.Clear(slot)
	h.wentAway(ls, id, ls.sessions.At(slot))
	h.show(ls, id, TapEvent{Action: TapAway}, nil)
}

// Returned implements netpoll.Resumer. Cookie, forwarded headers and address are those of
// the new handshake from now on.
func (h *Hub) Returned(c *netpoll.Conn, r *wire.Request, away time.Duration) {
	id := c.ID()
	ls := h.loops[id.Loop()]
	slot, s := id.Slot(), ls.sessions.At(id.Slot())
	if s.Away() {
		h.cameBack(ls, slot)
	}
	kept, addr, headers := s.Kept(), s.Addr(), s.Headers
	if fields := ls.settings.eventHeaders(r); fields != headers { // otherwise the string stays, which events may share
		headers, s.Fresh = fields, true
	}
	remote := ls.settings.proxies.client(r)
	h.directory.Renew(s, headers, remote)
	ls.heads.Add(int64(s.Kept() - kept))
	c.KeepInstead(s.Kept())
	if ls.counts(slot) {
		ls.settings.addresses.leave(addr)
		ls.settings.addresses.pass(s.Addr())
	}
	ls.deadlines.Set(slot, ls.deadline())
	if ls.settings.serverPing > 0 {
		ls.pings.Set(slot, ls.firstPing(slot))
	}
	if h.tapped() {
		h.show(ls, id, TapEvent{Action: TapResumed, RemoteAddr: string(directory.AppendAddr(nil, remote)), Away: away}, nil)
	}
	if h.cfg.ResumeEvents && h.cfg.Forwarder != nil {
		h.tellOfResume(ls, c, away)
	}
}

// tellOfResume tells the app that a client is back, unless as many events wait already as
// may: otherwise a client that comes and goes could add any number.
func (h *Hub) tellOfResume(ls *loopState, c *netpoll.Conn, away time.Duration) {
	if c.PausedFor(netpoll.BackPressure) {
		h.stats.resumesUntold.Add(1)
		return
	}
	if h.cfg.Forwarder.Resumed(ls.source(h, c.ID()), away) {
		c.Pause(netpoll.BackPressure)
	}
}

// Acknowledged implements netpoll.Resumer. One that tells nothing new counts for the rate as
// a ping does. Of the others there can be no more than messages of the app, whose sends must
// not make its client one that sends too much.
func (h *Hub) Acknowledged(c *netpoll.Conn, news bool) {
	if news || !h.spendMessage(c) {
		h.heard(c)
	}
}
