package gateway

import (
	"errors"
	"time"

	"ws-gateway/forward"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

// takeSessions takes in the sessions that were found, as away, before the loops run, and
// their events that the app has not taken, before any is delivered. Of those that cannot be
// taken in the app gets the close event, behind these. Clients that come back before it has
// ended wait in the backlog.
func (g *Gateway) takeSessions() {
	if g.sessions == nil || g.sessions.found == nil {
		return
	}
	s, f := g.sessions, g.sessions.found
	s.found = nil
	began := time.Now()
	down := began.Sub(f.written)
	im := g.sockets.Import(down)
	for _, frame := range f.frames {
		if err := im.Frame(frame); err != nil { // sessions that need it cannot be read either
			f.why = err
		}
	}
	settled := map[netpoll.ID]*hub.Session{}
	for i := range f.sessions {
		one := f.sessions[i]
		f.sessions[i] = foundSession{}
		fate, err := g.takeSession(im, one, down)
		s.counts[fate]++
		if fate == unreadable || fate == noRoom {
			f.why = err
		}
		if g.journals() {
			settled[one.id] = one.session
			if fate != taken {
				settled[one.id] = nil
			}
		}
	}
	for _, farewell := range f.farewells {
		if err := im.Farewell(farewell); err != nil {
			f.why = err
		}
	}
	im.Done()
	g.hub.Restored()
	s.counts[unreadable] += f.unreadable
	if g.recovery != nil {
		g.recovery.spare(settled)
	} else if f.journal == nil {
		g.remember(settled)
	}
	g.logTaken(f, down, time.Since(began))
}

// journals reports whether something remembers which connections are open.
func (g *Gateway) journals() bool { return g.recovery != nil || g.takeover != nil }

// remember has the journal record sessions that were taken in, which it does not know.
func (g *Gateway) remember(settled map[netpoll.ID]*hub.Session) {
	for id, s := range settled {
		if s != nil {
			g.events.Remember(s.Source(g.hub, id))
		}
	}
}

var errNoRoom = errors.New("--callback-memory has no room for the events of a session that the app has not taken")

// takeSession takes in one session with its events, or has the app told of its end. A
// session of which the app would miss an event does not go on: nobody could tell.
func (g *Gateway) takeSession(im *netpoll.Importer, one foundSession, down time.Duration) (sessionFate, error) {
	events, err := forward.ParseUndelivered(one.events, one.session.Source(g.hub, one.id))
	if err == nil && events.Ended() {
		err = errSessions
	}
	if err != nil {
		g.hub.EndSession(one.id, one.session, false)
		return unreadable, err
	}
	if g.events != nil && !g.events.HasRoom(events) {
		g.hub.EndSession(one.id, one.session, false)
		g.sessions.events[eventNoRoom] += events.Len()
		g.sessions.letters += g.events.GiveUp(events)
		return noRoom, errNoRoom
	}
	c, err := im.Connection(one.conn)
	if err == nil {
		g.hub.Restore(c, one.session)
	}
	g.takeEvents(events, down)
	if err == nil {
		return taken, nil
	}
	g.hub.EndSession(one.id, one.session, errors.Is(err, netpoll.ErrExpired))
	switch {
	case errors.Is(err, netpoll.ErrExpired):
		return expired, err
	case errors.Is(err, netpoll.ErrNoLoop):
		return noLoop, err
	case errors.Is(err, netpoll.ErrNoResume):
		return noResume, err
	default:
		return unreadable, err
	}
}

// takeEvents has events delivered that the app has not taken. With the cluster's journal
// they wait, as close events do, until it is known that nobody has sent the close event of
// their connection.
func (g *Gateway) takeEvents(events *forward.Undelivered, down time.Duration) {
	if g.events == nil {
		g.sessions.events[eventNoCallback] += events.Len()
		return
	}
	g.sessions.events[eventTaken] += events.Len()
	begin := g.events.TakeUp(events, down)
	if g.takeover == nil || events.Len() == 0 || !g.takeover.HoldBack(nil, begin) {
		begin()
	}
}

func (g *Gateway) logTaken(f *foundSessions, down, took time.Duration) {
	counts, events := &g.sessions.counts, &g.sessions.events
	e := g.log.Info()
	if f.why != nil || counts[noLoop]+counts[noResume] > 0 || events[eventNoCallback] > 0 {
		e = g.log.Warn().AnErr("error", f.why)
	}
	for fate, n := range counts {
		if n > 0 || sessionFate(fate) == taken {
			e = e.Int(fateNames[fate], n)
		}
	}
	if n := events[eventTaken]; n > 0 {
		e = e.Int("events", n)
	}
	if n := events[eventNoRoom] + events[eventNoCallback]; n > 0 {
		e = e.Int("events_given_up", n).Int("dead_letters", g.sessions.letters)
	}
	e.Dur("down_ms", down).Dur("took_ms", took).
		Msg("resume-state: sessions of the last run wait for their clients; those that were not taken in have ended: 1006")
}
