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
	RelayGone       RelayMiss = iota // the instance is not a member any more, or never was
	RelayUnable                      // it does not resume sessions for clients of others, or the request head does not fit into a packet
	RelayFull                        // as many are relayed here as may be
	RelayTooMany                     // too many have asked in a short time, of all or from one address
	RelaySilent                      // the instance is not heard, and not known to be gone
	RelayLate                        // the instance is heard and does not answer
	RelayRefused                     // the instance takes none, or ends
	RelayMissed                      // the instance has no such session, or the token is wrong
	RelayRestarting                  // the instance restarts with its sessions
	RelayBusy                        // the instance has no room at the moment, or relays as many as it may
	RelayBroken                      // the way to the instance was lost, or the session's transport was replaced, before there was an answer
	RelayHungUp                      // the client has gone before there was an answer
	RelayMisses
)

// String returns the reason's name in metrics.
func (m RelayMiss) String() string {
	return [RelayMisses]string{"gone", "unable", "full", "too_many", "silent", "late", "refused", "missed", "restarting", "busy", "broken", "hung_up"}[m]
}

// comeBack is what a client is told that is to come back with its token, and after which
// time: the reason may be over by then, and a new session would throw the old one away. after
// is 0 if the session is lost, or the reason may last.
func (m RelayMiss) comeBack() (text string, after time.Duration) {
	switch m {
	case RelayRestarting:
		return "the gateway with this session restarts", 2 * time.Second
	case RelayTooMany:
		return "too many sessions are being resumed", time.Second
	case RelayFull:
		return "as many clients are relayed as may be", 2 * time.Second
	case RelayBusy:
		return "the gateway with this session is busy", time.Second
	case RelayLate:
		return "the gateway with this session does not answer", time.Second
	case RelaySilent:
		return "the gateway with this session is not heard", 2 * time.Second
	case RelayBroken:
		return "the way to the gateway with this session was lost", time.Second
	default:
		return "", 0
	}
}

// mayLast reports whether nothing but comebacks bounds for how long the reason has clients
// come back: an instance may beat, or its link come and go, and none of its sessions be
// answered for; and relays that are carried may go on for days. As long as an instance
// restarts it is waited for elsewhere; a way that is lost is there again or the instance
// silent; too many are others' attempts.
func (m RelayMiss) mayLast() bool {
	return m == RelayFull || m == RelayBusy || m == RelayLate || m == RelaySilent
}

// seeker is a client that comes here for a session of another instance.
type seeker struct {
	session []byte // its id
	turn    uint32 // of the client's token
	from    netip.Addr
}

// Relay is what netpoll.Config.Relay is to do.
func (c *Cluster) Relay(session []byte, turn uint32, from netip.Addr) (take func(*netpoll.Handshake)) {
	owner, ok := hub.InstanceOf(string(session))
	if !ok || owner == c.cfg.Makes || c.cfg.Relays == 0 {
		return nil
	}
	s := &seeker{bytes.Clone(session), turn, from}
	v, now := c.view.Load(), c.cfg.clock()
	at := v.homes.of(owner)
	m, heard := v.find(at)
	switch {
	case heard && m.relays:
	case v.returns(owner, now):
		return c.relays.miss(RelayRestarting, s)
	case heard:
		return c.relays.miss(RelayUnable, s)
	case v.doubt(at, now) == 0:
		return c.relays.miss(RelayGone, s)
	}
	room, why := c.relays.reserve(s, heard, now)
	if room == nil {
		return c.relays.miss(why, s)
	}
	return func(h *netpoll.Handshake) {
		if !c.relays.begin(func() { c.relays.forth(owner, room, s, heard, h) }) {
			if !heard {
				c.relays.waited()
			}
			c.relays.free(room)
			h.Decline()
		}
	}
}

// doubt is for how long it is not known whether an instance that is not heard is gone: until
// the members say so, or, as long as our own link is down and nobody could be heard, for as
// long as it takes them otherwise. Nor is it known before all that there are are: the others
// may wait for one that could not be heard since the link came up. 0: it is gone. never: until
// there is another view.
func (v *view) doubt(id packet.Instance, now time.Duration) time.Duration {
	if !v.up {
		return max(0, v.since+v.deadAfter-now)
	}
	if _, known := v.silent[id]; known || !v.whole {
		return never
	}
	return max(0, v.since+knownAfter-now)
}

// miss counts. It returns what tells the client to come back; nil if it is to get a new
// session.
func (r *relays) miss(why RelayMiss, s *seeker) (take func(*netpoll.Handshake)) {
	r.missed[why].Add(1)
	text, after := why.comeBack()
	if after == 0 || why.mayLast() && !r.comesBack(s) {
		return nil
	}
	return func(h *netpoll.Handshake) { h.TurnAway(text, after) }
}

// comesBack reports whether the client of a session that is not answered for is to come back.
func (r *relays) comesBack(s *seeker) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.comebacks.again(string(s.session), s.turn, r.c.cfg.clock())
}

func (r *relays) answered(s *seeker) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.comebacks.answered(string(s.session))
}

// reserve makes room for a client here. Those whose instance is not heard get half of it: they
// only wait, and must not keep out the clients of others.
func (r *relays) reserve(s *seeker, heard bool, now time.Duration) (room *share, why RelayMiss) {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := hub.BlockOf(s.from)
	full, lasts := r.isFullLocked(hasClient, of, s.session)
	switch {
	case lasts:
		return nil, RelayFull
	case !heard && r.waiting >= (r.c.cfg.Relays+1)/2:
		return nil, RelaySilent
	case full, !r.asks.allow(s.from, now):
		return nil, RelayTooMany
	}
	if !heard {
		r.waiting++
	}
	return r.reserveLocked(hasClient, of, s.session), 0
}

// waited ends what reserve has begun for an instance that was not heard.
func (r *relays) waited() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting--
}

// forth relays a client here. owner is the instance that has made the session's id, heard
// what reserve was told, which has made room.
func (r *relays) forth(owner packet.Instance, room *share, s *seeker, heard bool, h *netpoll.Handshake) {
	key := relayKey{peer: owner, role: hasClient}
	e, why := r.ask(&key, s, heard, h)
	if e == nil {
		r.free(room)
		if why != RelayMissed && why != RelayHungUp && r.c.view.Load().returns(owner, r.c.cfg.clock()) {
			why = RelayRestarting
		}
		if turnAway := r.miss(why, s); turnAway != nil {
			turnAway(h)
		} else {
			h.Decline()
		}
		return
	}
	r.opened(room, e)
	if conn, err := h.Conn(); err == nil {
		e.Carry(conn, h.Rest)
	}
	r.over(key, e, room)
}

// ask asks the instance that has the session, and waits for the answer. If there is none
// to wait for, e is nil.
func (r *relays) ask(key *relayKey, s *seeker, heard bool, h *netpoll.Handshake) (e *relay.End, why RelayMiss) {
	late := time.NewTimer(r.c.cfg.Timeout)
	defer late.Stop()
	id, why, ok := r.awaitHeard(key.peer, late.C)
	if !heard {
		r.waited()
	}
	key.peer = id
	if h.HungUp() {
		return nil, RelayHungUp
	}
	if !ok {
		return nil, why
	}
	if relay.AskBytes(s.session, h.Head) > r.c.maxBody() {
		return nil, RelayUnable
	}
	if e = r.newEnd(key); e == nil {
		return nil, RelayGone
	}
	e.Ask(s.session, h.Head, h.Peer, s.from)
	if why, ok := awaitAnswer(e, h, late.C); !ok {
		e.Break(relay.Broken) // unless it has ended
		r.forget(*key)
		return nil, why
	}
	r.answered(s)
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
// sessions with ids of owner: of strangers it takes nothing. ok is false if that did not
// happen.
func (r *relays) awaitHeard(owner packet.Instance, late <-chan time.Time) (id packet.Instance, why RelayMiss, ok bool) {
	for {
		v := r.c.view.Load()
		id = v.homes.of(owner)
		m, heard := v.find(id)
		doubt := v.doubt(id, r.c.cfg.clock())
		switch {
		case heard && m.met:
			return id, 0, true
		case heard:
			doubt = never
		case doubt == 0:
			return id, RelayGone, false
		}
		select {
		case <-v.next:
		case <-time.After(doubt):
		case <-late:
			if heard {
				return id, RelayLate, false
			}
			return id, RelaySilent, false
		case <-r.ending:
			return id, RelaySilent, false
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
