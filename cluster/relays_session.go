package cluster

import (
	"bytes"

	"ws-gateway/cluster/packet"
	"ws-gateway/cluster/relay"
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
	e := r.accept(key, f)
	if e == nil {
		r.publish(key.peer, packet.RelayBack, key.number, &relay.Frame{Close: r.refusal()})
		return
	}
	h := netpoll.Relayed{Peer: f.Peer, Head: bytes.Clone(f.Data)}
	if r.c.cfg.Sessions.TakeRelayed(id, h, func(t *netpoll.Transport, err error) {
		if !r.begin(func() { r.back(key, e, t, err) }) && err == nil {
			t.Close()
		}
	}) != nil {
		e.Break(r.refusal())
		r.over(key, e)
	}
}

// refusal is how a relay to a session here is refused.
func (r *relays) refusal() relay.Close {
	if r.c.returns() > 0 {
		return relay.Restarting
	}
	return relay.Refused
}

// accept makes the End of a relay to a session here; nil if there must be no more.
func (r *relays) accept(key relayKey, f *relay.Frame) *relay.End {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.takesLocked() {
		return nil
	}
	if r.reserved[hasSession] >= r.c.cfg.Relays {
		r.missed[RelayFull].Add(1)
		return nil
	}
	r.reserved[hasSession]++
	e := relay.Accept(r.config(key), f)
	r.ends[key] = e
	return e
}

// back relays to a session here, whose transport t is the other end of, unless there is an
// error.
func (r *relays) back(key relayKey, e *relay.End, t *netpoll.Transport, err error) {
	if err == nil {
		if conn, err := t.Conn(); err == nil {
			r.opened(hasSession)
			e.Carry(conn, nil)
		}
	}
	e.Break(relay.Missed) // unless it has ended
	r.over(key, e)
}
