package cluster

import (
	"time"

	"ws-gateway/cluster/call"
	"ws-gateway/cluster/interest"
	"ws-gateway/cluster/members"
	"ws-gateway/cluster/stream"
	"ws-gateway/hub"
)

// Names is what the others are told of who is here. It is the hub's Config.Names, made
// before the hub; its calls never wait for the router. Make it with NewNames.
type Names struct {
	key   interest.Key
	local *interest.Local
	wake  chan struct{} // has a value after something came or went
}

var _ hub.Names = (*Names)(nil)

// NewNames returns the Names of an instance of app. seed is a number that nobody else
// knows.
func NewNames(app string, seed uint64) *Names {
	return &Names{key: interest.NewKey(app), local: interest.NewLocal(seed), wake: make(chan struct{}, 1)}
}

// UserCame is hub.Names'.
func (n *Names) UserCame(name string) { n.poke(n.local.Come(n.key.User(name))) }

// UserGone is hub.Names'.
func (n *Names) UserGone(name string) { n.poke(n.local.Gone(n.key.User(name))) }

// GroupCame is hub.Names'.
func (n *Names) GroupCame(name string) { n.poke(n.local.Come(n.key.Group(name))) }

// GroupGone is hub.Names'.
func (n *Names) GroupGone(name string) { n.poke(n.local.Gone(n.key.Group(name))) }

func (n *Names) poke(wake bool) {
	if !wake {
		return
	}
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

const (
	mostNames = 1 << 23 // that are kept of others: 100 MB; see interest.Table

	hashesAtOnce = 8192        // in a message: 56 KiB
	tellAhead    = 256 << 10   // bytes that wait for a peer which is told everything
	askEvery     = time.Second // for everything

	aloneInterval = time.Second // in place of interest.Interval while there is nobody to tell
)

// telling is how far a peer has been told everything.
type telling struct {
	asked   bool          // it wants to be told
	under   bool          // it is being told
	next    int           // the next piece
	askedAt time.Duration // when it was asked to tell everything itself
}

// tellNames tells all members what has come and gone here, if it is time for that. It
// returns when it will be.
func (c *Cluster) tellNames(now time.Duration, atOnce bool) (due time.Duration) {
	n := c.cfg.Names
	if n == nil {
		return never
	}
	interval := interest.Interval
	if len(c.peers) == 0 {
		interval = aloneInterval // all this does then is to keep short what waits to be told
	}
	if wait := n.local.Wait(now, interval); wait > 0 && !atOnce {
		return now + wait
	}
	for more := true; more; {
		var m interest.Message
		var ok bool
		if m, ok, more = n.local.Flush(now, hashesAtOnce); ok {
			c.sendNames(&m, now)
		}
	}
	return never
}

func (c *Cluster) sendNames(m *interest.Message, now time.Duration) {
	content := stream.NewContent(nil, m.Append(nil))
	for _, p := range c.peers {
		p.stream.Send(call.Interest, 0, content, now) // what is missed is noticed, and asked for
	}
}

// tellAll goes on telling everything to those who have asked, as fast as they take it.
func (c *Cluster) tellAll(p *peer, now time.Duration) {
	if c.cfg.Names == nil {
		return
	}
	local, say := c.cfg.Names.local, func(m interest.Message) bool {
		return p.stream.Send(call.Interest, 0, stream.NewContent(nil, m.Append(nil)), now)
	}
	if p.telling.asked {
		p.telling.asked, p.telling.next = false, 0
		p.telling.under = say(local.Begin())
	}
	for p.telling.under {
		if _, bytes := p.stream.Held(); bytes > tellAhead {
			return // until some of it is acknowledged
		}
		if p.telling.next >= 0 {
			var m interest.Message
			m, p.telling.next = local.Piece(p.telling.next, hashesAtOnce)
			p.telling.under = say(m)
			continue
		}
		say(local.End())
		p.telling.under = false
	}
}

// askNames asks for everything where not everything is known.
func (c *Cluster) askNames(now time.Duration) {
	for m := range c.members.All() {
		p := c.peers[m.ID]
		state := c.table.State(m.Index)
		wanted := state == interest.Unknown || state == interest.TooMany && c.table.HasRoom(m.Told.Count)
		if wanted && !m.Silent && now >= p.telling.askedAt {
			p.telling.askedAt = now + askEvery
			p.stream.Send(call.Ask, 0, stream.NewContent(nil, nil), now)
		}
	}
	for range 16 {
		c.table.Sweep()
	}
}

// heardNames takes what a peer tells of its names.
func (c *Cluster) heardNames(p *peer, payload []byte, now time.Duration) {
	m, err := interest.Parse(payload)
	if err != nil {
		c.malformed(err)
		return
	}
	known, gaveWay := c.table.State(p.index) == interest.Known, c.table.GaveWay()
	err = c.table.Apply(p.index, &m)
	if c.table.GaveWay() != gaveWay {
		for _, other := range c.peers {
			if c.table.State(other.index) == interest.TooMany {
				c.repairAll(other, now)
			}
		}
	}
	if err == nil && c.table.State(p.index) == interest.Known {
		if known {
			c.repair(p, &m, now)
		}
		return
	}
	c.unknown(p, known, err, now)
}

// checkNames compares what is known of a member with its heartbeat.
func (c *Cluster) checkNames(p *peer, told members.Told, now time.Duration) {
	before := c.table.State(p.index)
	had := before == interest.Known || before == interest.Doubtful
	err := c.table.Check(p.index, interest.Digest(told))
	if err != nil || c.table.State(p.index) == interest.Doubtful {
		c.unknown(p, had, err, now)
	}
}

// doubtNames notes that changes of a peer's names may have been missed: it gets
// everything until its heartbeat says that none was, and what it was not sent before.
func (c *Cluster) doubtNames(p *peer, now time.Duration) {
	if c.table.Doubt(p.index) {
		c.repairAll(p, now)
	}
}

// unknown sends to a peer again what it was not sent, if what was known of it turns out
// not to be everything. From now on it gets everything.
func (c *Cluster) unknown(p *peer, known bool, err error, now time.Duration) {
	if err != nil {
		c.stats.resyncs.Add(1)
		c.cfg.Log.Debug().Err(err).Str("instance", p.name).Msg("who is at an instance is asked again")
	}
	if known {
		c.repairAll(p, now)
	}
}
