package cluster

import (
	"bytes"
	"errors"

	"ws-gateway/cluster/packet"
	"ws-gateway/cluster/relay"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

// The side of a relay that has the session: the instance that a client of it has come back
// to asks for the relay.

// Sessions are the connections of this gateway, as a netpoll.Server has them.
type Sessions interface {
	Resumes() bool
	TakeRelayed(id netpoll.ID, h netpoll.Relayed, answered func(*netpoll.Transport, error)) error
}

var _ Sessions = (*netpoll.Server)(nil)

// takes reports whether others may ask for relays to sessions here.
func (r *relays) takes() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.takesLocked()
}

func (r *relays) takesLocked() bool {
	return r.c.cfg.Relays > 0 && !r.c.draining() && !r.stopped && r.c.cfg.Sessions != nil && r.c.cfg.Sessions.Resumes()
}

// asked begins a relay to a session here.
func (r *relays) asked(key relayKey, f *relay.Frame) {
	id, ok := r.c.hub.ParseID(f.Session)
	if !ok {
		r.publish(key.peer, packet.RelayBack, key.number, &relay.Frame{Close: relay.Missed})
		return
	}
	e, room, refused := r.accept(key, f)
	if e == nil {
		if refused == relay.Refused {
			refused = r.refusal()
		}
		r.publish(key.peer, packet.RelayBack, key.number, &relay.Frame{Close: refused})
		return
	}
	h := netpoll.Relayed{Peer: f.Peer, Head: bytes.Clone(f.Data), GivenUp: func() bool { return e.Why() != relay.Open }}
	if err := r.c.cfg.Sessions.TakeRelayed(id, h, func(t *netpoll.Transport, err error) {
		if !r.begin(func() { r.back(key, e, room, t, err) }) && err == nil {
			t.Close()
		}
	}); err != nil {
		e.Break(r.refusalFor(err))
		r.over(key, e, room)
	}
}

// refusalFor is how a relay to a session here is refused if the server does so. Only if the
// session cannot be resumed may the client get another one.
func (r *relays) refusalFor(err error) relay.Close {
	switch {
	case errors.Is(err, netpoll.ErrNotResumed):
		return relay.Missed
	case errors.Is(err, netpoll.ErrBusy):
		return relay.Busy
	default: // it ends
		return r.refusal()
	}
}

// refusal is how a relay to a session here is refused.
func (r *relays) refusal() relay.Close {
	if r.c.returns() > 0 {
		return relay.Restarting
	}
	return relay.Refused
}

// accept makes the End of a relay to a session here; nil if there must be no more, and why.
func (r *relays) accept(key relayKey, f *relay.Frame) (e *relay.End, room *share, refused relay.Close) {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := hub.BlockOf(f.Client)
	full, lasts := r.isFullLocked(hasSession, of, f.Session)
	switch {
	case !r.takesLocked():
		return nil, nil, relay.Refused
	case full:
		if lasts {
			r.missed[RelayFull].Add(1)
		}
		return nil, nil, relay.Busy
	}
	e = relay.Accept(r.config(key), f)
	r.ends[key] = e
	return e, r.reserveLocked(hasSession, of, f.Session), relay.Open
}

// back relays to a session here, whose transport t is the other end of, unless there is an
// error.
func (r *relays) back(key relayKey, e *relay.End, room *share, t *netpoll.Transport, err error) {
	if err != nil {
		e.Break(r.refusalFor(err))
	} else if conn, err := t.Conn(); err == nil {
		r.opened(room, e)
		e.Carry(conn, nil)
	}
	r.over(key, e, room)
}
