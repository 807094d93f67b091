package cluster

import (
	"slices"
	"time"

	"ws-gateway/cluster/members"
	"ws-gateway/cluster/packet"
	"ws-gateway/hub"
)

const (
	beatEvery = time.Second            // between heartbeats
	beatSoon  = 100 * time.Millisecond // and at the least, if somebody is new
	lookEvery = 250 * time.Millisecond // between looks at who is silent

	// listenFor is how long others have to be heard, once there is a link, before an instance
	// claims to know all of them: one that is not heard for so long would be silent anyway.
	listenFor = 3 * time.Second

	// meetWithin is how long others have to answer the first heartbeat, which they do beatSoon
	// after their last one.
	meetWithin = 2 * beatSoon
)

// beat tells everybody that this instance is alive.
func (c *Cluster) beat(now time.Duration) {
	c.beatAt, c.beatenAt = now+beatEvery, now
	connections, users, _ := c.hub.CountMembers(c.ctx, nil, hub.Query{})
	h := members.Heartbeat{
		ID: c.cfg.Instance, Makes: c.cfg.Makes,
		Name: c.cfg.Name, Program: c.cfg.Version, Wire: packet.Version, State: members.Serving, Up: now - clockStart,
		Connections: uint64(connections), Users: uint64(users),
	}
	if n := c.cfg.Names; n != nil {
		h.Told = members.Told(n.local.Digest())
	}
	if c.draining() {
		h.State = members.Draining
	}
	if c.known {
		h.Knows = c.members.Digest()
	}
	h.Relays, h.Returns, h.Links = c.relays.takes(), c.returns(), c.links
	if c.cfg.Loops != nil {
		loops, lag := c.cfg.Loops()
		h.Loops, h.Lag = uint64(loops), lag
	}
	p := packet.Packet{Kind: packet.Heartbeat, Sender: c.cfg.Instance, Stamp: now, Body: h.AppendFields(nil)}
	p.FieldsLength = uint32(len(p.Body))
	if c.up && c.cfg.Bus.Publish(packet.Instance{}, p.Append(nil)) {
		c.metAll(now)
		if c.metAt == 0 {
			c.metAt = now + meetWithin
		}
	}
}

// meet notes when those that are there know this instance, and returns when it has to be called
// at the latest. One that knows the same instances has heard of this one, and so have the
// others, by the same heartbeat. While nobody says so, as nobody is there or all have just
// started, they get some time.
func (c *Cluster) meet(now time.Duration) (due time.Duration) {
	switch {
	case c.introduced || c.metAt == 0:
		return never
	case !c.known && now < c.metAt:
		return c.metAt
	}
	c.introduce()
	return never
}

// introduce lets Introduce return.
func (c *Cluster) introduce() {
	if !c.introduced {
		c.introduced = true
		close(c.met)
	}
}

// metAll notes that all who are heard now know us, or will before whatever they are sent next.
func (c *Cluster) metAll(now time.Duration) {
	news := false
	for m := range c.members.All() {
		p := c.peers[m.ID]
		if !m.Silent && !p.met {
			p.met, news = true, true
		}
		if !m.Silent && !p.knowsUs {
			p.knowsUs = true
			p.stream.Heard(now)
		}
	}
	if news {
		c.show(now)
	}
}

func (c *Cluster) draining() bool { return c.cfg.Draining != nil && c.cfg.Draining() }

// heartbeat takes another instance's.
func (c *Cluster) heartbeat(p *packet.Packet, now time.Duration) {
	fields, _, err := packet.Split(p.Body, p.FieldsLength)
	if err != nil {
		c.malformed(err)
		return
	}
	h, err := members.ReadHeartbeat(p.Sender, fields)
	if err != nil {
		c.malformed(err)
		return
	}
	var relayed, returned bool
	if m := c.members.Get(p.Sender); m != nil {
		relayed, returned = m.Relays, m.Returns > 0
		if h.Links != m.Links {
			c.relays.lost(p.Sender) // or a client here that only listens would not know for long that its session has gone away
			c.table.Doubt(m.Index)  // unless its digest says otherwise: see checkNames
		}
	}
	c.changed(c.members.Heard(now, &h), now)
	if h.Relays != relayed || h.Returns > 0 != returned {
		c.show(now)
	}
	if peer := c.peers[p.Sender]; peer != nil {
		if peer.knowsUs {
			peer.stream.Heard(now)
		}
		c.checkNames(peer, h.Told, now)
	}
}

// linked is called when the link comes up, or is lost.
func (c *Cluster) linked(up bool, now time.Duration) {
	c.up, c.upSince = up, now
	if up {
		c.links++
	}
	for _, p := range c.peers {
		if up {
			p.stream.Suspend()
		} else {
			p.stream.Cut()
		}
	}
	if up {
		c.known = false // others may have started meanwhile
		c.changed(c.members.LinkUp(now), now)
		c.beatAt = now
	} else {
		c.changed(c.members.LinkDown(now), now)
		c.introduce() // there is nobody whom that could wait for
	}
	c.show(now)
}

// changed does what a change of the members asks for.
func (c *Cluster) changed(events []members.Event, now time.Duration) {
	for _, e := range events {
		m, log := e.Member, c.cfg.Log.With().Str("instance", e.Member.Name).Stringer("id", e.Member.ID).Logger()
		switch e.Kind {
		case members.Appeared:
			c.peers[m.ID] = c.newPeer(m)
			c.away.heard(m)
			c.lookAt = 0 // and ask it who is there
			c.beatAt = min(c.beatAt, c.beatenAt+beatSoon)
			log.Info().Str("version", m.Program).Msg("another instance is there")
		case members.Silenced:
			c.lost(m.ID)
			c.relays.lost(m.ID)
			c.away.left(m, c.members, now)
			c.peers[m.ID].met = false // it may have lost us too
			if e.Why != members.OwnLink {
				log.Warn().Stringer("why", e.Why).Msg("an instance of the cluster is silent: what is sent to it is held for --cluster-hold")
			}
		case members.Back:
			c.away.heard(m)
			c.table.Doubt(m.Index) // it may have given up changes meanwhile; whoever has heard it repairs
			c.beatAt = min(c.beatAt, c.beatenAt+beatSoon)
			log.Info().Msg("the instance is heard again")
		case members.Died:
			c.lost(m.ID)
			c.relays.lost(m.ID)
			c.end(c.peers[m.ID])
			delete(c.peers, m.ID)
			c.watches.end(func(k watchKey, _ *watch) bool { return k.by == m.ID })
			c.table.Forget(m.Index)
			c.recents.leaves(m.Index)
			c.away.left(m, c.members, now)
			c.beatAt = min(c.beatAt, c.beatenAt+beatSoon) // somebody who starts may wait until all know the same
			if e.Why == members.Left && m.Returns > 0 {
				log.Info().Msg("the instance restarts: clients that come here for its sessions are told to come back")
			} else if e.Why == members.Left {
				log.Info().Msg("the instance has left")
			} else {
				log.Warn().Stringer("why", e.Why).Msg("an instance of the cluster is gone: calls are about the others")
			}
		case members.NameTaken:
			log.Warn().Dur("up", now-clockStart).Dur("other_up", e.Member.Up).Msg("another instance has the name of this one: give each its own with --cluster-name")
		case members.NameFree:
			log.Info().Msg("no other instance has the name of this one any more")
		case members.Full:
			log.Warn().Msg("an instance is left out: there are 256 others")
		}
	}
	if len(events) > 0 {
		c.show(now)
	}
}

// know notes when all other instances are known.
func (c *Cluster) know(now time.Duration) {
	if c.up && !c.known && (c.cfg.listenFor < 0 || c.knowsAll()) {
		c.known, c.knew = true, true
		c.beatAt = min(c.beatAt, c.beatenAt+beatSoon) // others may wait for that
		c.show(now)
	}
}

// knowsAll reports whether all other instances are known. One that knows all says whether
// they are those that are known here. If nobody says so they are heard within a moment: an
// instance that has just started waits for as long as it takes another to become silent, and
// one whose link was away, as all others' may have been, for those that it has known.
//
// Others may know of an instance that cannot be heard. It counts as gone when they, too, may
// give it up.
func (c *Cluster) knowsAll() bool {
	digest, agree, silent := c.members.Digest(), false, false
	for m := range c.members.All() {
		silent = silent || m.Silent
		switch m.Knows {
		case 0:
		case digest:
			agree = true
		default:
			return c.members.Listened() >= c.cfg.DeadAfter
		}
	}
	return agree || c.knew && c.members.Len() > 0 && !silent || c.members.Listened() >= c.cfg.listenFor
}

// lost ends the waiting for an instance.
func (c *Cluster) lost(id packet.Instance) {
	for _, p := range c.pending {
		p.lost(id)
	}
}

// show publishes what API goroutines have to know.
func (c *Cluster) show(now time.Duration) {
	v := &view{up: c.up, silent: map[packet.Instance]string{}, since: c.upSince, deadAfter: c.cfg.DeadAfter, next: make(chan struct{})}
	for m := range c.members.All() {
		v.noteHome(m)
		if m.Silent {
			v.silent[m.ID] = m.Name
			v.missing = append(v.missing, m.Name)
		} else {
			v.live = append(v.live, member{m.ID, m.Name, m.Relays, c.peers[m.ID].met})
			if m.Returns > 0 {
				v.awaits(m.Makes, never)
			}
		}
	}
	v.unsure = len(v.missing) > 0
	c.away.over(now)
	c.away.addTo(v, c.members)
	if !c.known || !c.up && c.members.Len() == 0 {
		v.missing, v.unsure = append(v.missing, Unknown), true
	}
	v.whole = c.up && c.known
	slices.SortFunc(v.live, func(a, b member) int { return slices.Compare(a.id[:], b.id[:]) })
	before := c.view.Load()
	c.view.Store(v)
	close(before.next)
}
