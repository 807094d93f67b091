package cluster

import (
	"bytes"
	"context"
	"net/netip"
	"time"

	"ws-gateway/cluster/packet"
	"ws-gateway/cluster/relay"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

// The side of a relay that has the client: it came back here, and its session is at another
// instance. That is asked, and what it answers is carried to the client; or the client gets
// a new session here.

const (
	// hungUpLook is how often it is looked whether a client has hung up that waits for the
	// answer.
	hungUpLook = 250 * time.Millisecond

	// knownAfter is for how long after the link has come up others may not have been heard.
	knownAfter = 3 * time.Second
)

// RelayMiss is why a client that came here for a session of another instance gets a new one,
// or is told to come back.
type RelayMiss uint8

// The reasons.
const (
	RelayGone       RelayMiss = iota // there is no such instance, or it is not heard
	RelayUnable                      // it does not resume sessions for clients of others, or the request head does not fit into a packet
	RelayFull                        // as many are relayed here as may be
	RelayTooMany                     // too many have asked in a short time, of all or from one address
	RelayLate                        // the instance does not answer
	RelayRefused                     // the instance relays as many as it may, or ends
	RelayMissed                      // the instance has no such session, or the token is wrong
	RelayRestarting                  // the instance restarts with its sessions
	RelayBusy                        // the instance has no room at the moment
	RelayBroken                      // the way to the instance was lost, or the session's transport was replaced, before there was an answer
	RelayHungUp                      // the client has gone before there was an answer
	RelayMisses
)

// String returns the reason's name in metrics.
func (m RelayMiss) String() string {
	return [RelayMisses]string{"gone", "unable", "full", "too_many", "late", "refused", "missed", "restarting", "busy", "broken", "hung_up"}[m]
}

// comeBack is what a client is told that is to come back with its token, and after which
// time: the reason is over by then, and a new session would throw the old one away. after is
// 0 for a reason that may last.
func (m RelayMiss) comeBack() (text string, after time.Duration) {
	switch m {
	case RelayRestarting:
		return "the gateway with this session restarts", 2 * time.Second
	case RelayTooMany:
		return "too many sessions are being resumed", time.Second
	case RelayBusy:
		return "the gateway with this session is busy", time.Second
	case RelayBroken:
		return "the way to the gateway with this session was lost", time.Second
	default:
		return "", 0
	}
}

// Relay is what netpoll.Config.Relay is to do. from is the client's address.
func (c *Cluster) Relay(session []byte, from netip.Addr) (take func(*netpoll.Handshake)) {
	owner, ok := hub.InstanceOf(string(session))
	if !ok || owner == c.cfg.Makes || c.cfg.Relays == 0 {
		return nil
	}
	v, now := c.view.Load(), c.cfg.clock()
	at := v.homes.of(owner)
	switch m, live := v.find(at); {
	case live && m.relays:
	case v.returns(owner, now):
		return c.relays.miss(RelayRestarting)
	case live:
		return c.relays.miss(RelayUnable)
	case v.worthWaiting(at, now) == 0:
		return c.relays.miss(RelayGone)
	}
	if why, ok := c.relays.reserve(from, now); !ok {
		return c.relays.miss(why)
	}
	session = bytes.Clone(session)
	return func(h *netpoll.Handshake) {
		if !c.relays.begin(func() { c.relays.forth(owner, session, h) }) {
			c.relays.free(hasClient)
			h.Decline()
		}
	}
}

// worthWaiting is for how long an instance that is not heard may be heard in a moment: it is
// silent, and not known to be gone, or our own link has not been up for long. A restart of
// NATS is when clients come back. --cluster-timeout bounds it.
func (v *view) worthWaiting(id packet.Instance, now time.Duration) time.Duration {
	if _, known := v.silent[id]; known {
		return never
	}
	return max(0, max(v.since, clockStart)+knownAfter-now) // if it never was up, since the start
}

// miss counts. It returns what tells the client to come back; nil if it is to get a new
// session.
func (r *relays) miss(why RelayMiss) (take func(*netpoll.Handshake)) {
	r.missed[why].Add(1)
	text, after := why.comeBack()
	if after == 0 {
		return nil
	}
	return func(h *netpoll.Handshake) { h.TurnAway(text, after) }
}

// reserve makes room for a client here.
func (r *relays) reserve(from netip.Addr, now time.Duration) (why RelayMiss, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.reserved[hasClient] >= r.c.cfg.Relays:
		return RelayFull, false
	case !r.asks.allow(from, now):
		return RelayTooMany, false
	}
	r.reserved[hasClient]++
	return 0, true
}

// forth relays a client here. owner is the instance that has made the session's id.
func (r *relays) forth(owner packet.Instance, session []byte, h *netpoll.Handshake) {
	key := relayKey{peer: owner, role: hasClient}
	e, why := r.ask(&key, session, h)
	if e == nil {
		r.free(hasClient)
		if why != RelayMissed && why != RelayHungUp && r.c.view.Load().returns(owner, r.c.cfg.clock()) {
			why = RelayRestarting
		}
		if turnAway := r.miss(why); turnAway != nil {
			turnAway(h)
		} else {
			h.Decline()
		}
		return
	}
	if conn, err := h.Conn(); err == nil {
		e.Carry(conn, h.Rest)
	}
	r.over(key, e)
}

// ask asks the instance that has the session, and waits for the answer. If there is none
// to wait for, e is nil.
func (r *relays) ask(key *relayKey, session []byte, h *netpoll.Handshake) (e *relay.End, why RelayMiss) {
	late := time.NewTimer(r.c.cfg.Timeout)
	defer late.Stop()
	var heard bool
	if key.peer, heard = r.awaitHeard(key.peer, late.C); !heard {
		return nil, RelayGone
	}
	if h.HungUp() {
		return nil, RelayHungUp
	}
	if relay.AskBytes(session, h.Head) > r.c.cfg.Bus.MaxPacket()-packet.Overhead {
		return nil, RelayUnable
	}
	if e = r.newEnd(key); e == nil {
		return nil, RelayGone
	}
	e.Ask(session, h.Head, h.Peer)
	if why, ok := awaitAnswer(e, h, late.C); !ok {
		e.Break(relay.Broken) // unless it has ended
		r.forget(*key)
		return nil, why
	}
	r.opened(hasClient)
	return e, 0
}

// awaitAnswer waits until the session has answered. ok is false if it has not.
func awaitAnswer(e *relay.End, h *netpoll.Handshake, late <-chan time.Time) (why RelayMiss, ok bool) {
	look := time.NewTicker(hungUpLook)
	defer look.Stop()
	for {
		select {
		case <-e.Answered():
			return whyMissed(e.Why())
		case <-look.C:
			if h.HungUp() {
				return RelayHungUp, false
			}
		case <-late:
			return RelayLate, false
		}
	}
}

// whyMissed is what the end of a relay means in which nothing was carried. ok is true if it
// goes on.
func whyMissed(c relay.Close) (why RelayMiss, ok bool) {
	switch c {
	case relay.Open:
		return 0, true
	case relay.Missed:
		return RelayMissed, false
	case relay.Refused:
		return RelayRefused, false
	case relay.Restarting:
		return RelayRestarting, false
	case relay.Busy:
		return RelayBusy, false
	case relay.Broken, relay.Unknown:
		return RelayBroken, false
	default: // of a later version
		return RelayGone, false
	}
}

// awaitHeard waits until the instance is heard, and has heard of this one, that has the
// sessions with ids of owner: of strangers it takes nothing.
func (r *relays) awaitHeard(owner packet.Instance, late <-chan time.Time) (id packet.Instance, heard bool) {
	for {
		v := r.c.view.Load()
		id = v.homes.of(owner)
		m, live := v.find(id)
		worth := v.worthWaiting(id, r.c.cfg.clock())
		switch {
		case live && m.met:
			return id, true
		case live:
			worth = never
		case worth == 0:
			return id, false
		}
		select {
		case <-v.next:
		case <-time.After(worth):
		case <-late:
			return id, false
		case <-r.c.ending:
			return id, false
		}
	}
}

// newEnd makes the End of a relay that is asked for, and gives it its number. It returns nil
// after stop.
func (r *relays) newEnd(key *relayKey) *relay.End {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return nil
	}
	r.number++
	key.number = r.number
	e := relay.New(r.config(*key))
	r.ends[*key] = e
	return e
}

func (r *relays) forget(key relayKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.ends, key)
}

// DrainRelays ends the connections of clients here whose sessions are at other instances,
// spread over a time: they come back elsewhere. It returns nil, or ctx's error.
func (c *Cluster) DrainRelays(ctx context.Context, over time.Duration) error {
	ends := c.relays.all(func(k relayKey) bool { return k.role == hasClient })
	if len(ends) == 0 {
		return nil
	}
	pause := time.NewTimer(0)
	defer pause.Stop()
	for _, e := range ends {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		e.Break(relay.Broken)
		pause.Reset(over / time.Duration(len(ends)))
	}
	return nil
}
