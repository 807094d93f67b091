package cluster

import (
	"errors"
	"math"
	"time"

	"ws-gateway/cluster/bus"
	"ws-gateway/cluster/call"
	"ws-gateway/cluster/interest"
	"ws-gateway/cluster/members"
	"ws-gateway/cluster/packet"
	"ws-gateway/cluster/stream"
)

// router is what the router's goroutine owns.
type router struct {
	members  *members.Members
	peers    map[packet.Instance]*peer // of each member
	pending  map[uint64]*pending       // by request
	requests uint64
	holds    *stream.Buffer
	arrivals *stream.Buffer
	table    *interest.Table // which names the members have told
	recents  recents
	away     returning
	plans    []interest.Set // of the last plan
	up       bool           // the link,
	upSince  time.Duration  // and since when it is up, or down
	links    uint64         // how often it came up
	known    bool           // all others are known, as of now or, while the link is down, as of then
	knew     bool           // they were, once at least

	beatAt, beatenAt time.Duration // heartbeats: the next, and the last
	metAt            time.Duration // when whoever is there knows this instance; 0: nobody has been told of it
	introduced       bool          // met is closed
	lookAt           time.Duration // when to look who is silent
	byeBy            time.Duration // when the end must not be put off any more; 0: this instance does not end

	events  []bus.Event
	letters []letter

	gone sums // of the streams of peers that are gone

	toldVersion, toldMalformed bool
}

// run is the router.
func (c *Cluster) run() {
	defer close(c.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	ending := c.ending
	var names chan struct{} // nil if nobody is told
	if c.cfg.Names != nil {
		names = c.cfg.Names.wake
	}
	for {
		select {
		case <-c.cfg.Bus.Wake():
		case <-c.mailbox.wake:
		case <-names:
		case <-timer.C:
		case <-ending:
			ending = nil
			c.sayBye(c.takeLetters()) // what was posted before comes before that
		}
		c.takeEvents()
		now := c.takeLetters()
		due := c.tick(now)
		if c.byeBy > 0 && (now >= c.byeBy || c.allTaken()) {
			c.leave()
			return
		}
		timer.Reset(max(0, due-c.cfg.clock()))
	}
}

// takeEvents takes what the bus has. The time is read when everything has been taken: a
// packet that seems to have come before it was sent would make all later ones seem to have
// been under way for long.
func (c *Cluster) takeEvents() {
	clear(c.events)
	c.events = c.cfg.Bus.Take(c.events[:0])
	now := c.cfg.clock()
	for i := range c.events {
		e := &c.events[i]
		switch e.Kind {
		case bus.Packet:
			c.packet(e.Data, now)
		case bus.Absent:
			c.changed(c.members.Lost(now, e.From), now)
		case bus.Up, bus.Down:
			c.resize()
			c.linked(e.Kind == bus.Up, now)
		}
	}
	if cap(c.events) > 4096 {
		c.events = nil
	}
}

func (c *Cluster) packet(data []byte, now time.Duration) {
	p, err := packet.Parse(data)
	if err != nil {
		c.malformed(err)
		return
	}
	self := c.cfg.Instance
	if p.Sender == self || p.Receiver != self && p.Receiver != (packet.Instance{}) {
		c.stats.astray.Add(1)
		return
	}
	if p.Kind == packet.Heartbeat {
		if c.up { // one that was under way when the link was lost says nothing of who is there now
			if peer := c.peers[p.Sender]; peer != nil {
				peer.heard.note(now)
			}
			c.heartbeat(&p, now)
		}
		return
	}
	peer := c.peers[p.Sender]
	if peer == nil {
		if c.members.HasLeft(p.Sender) {
			c.gone.Late++ // it was under way when its sender said goodbye
		} else {
			c.stats.strangers.Add(1)
		}
		return
	}
	peer.knowsUs = true
	peer.heard.note(now)
	if c.up {
		if events := c.members.Spoke(now, p.Sender); len(events) > 0 {
			c.changed(events, now)
			c.repairAll(peer, now) // its names are in doubt
		}
	}
	if p.Kind == packet.RelayForth || p.Kind == packet.RelayBack {
		peer.stream.Heard(now)
		if err := c.relays.receive(&p); err != nil {
			c.malformed(err)
		}
		return
	}
	if p.Kind.Ordered() && p.Kind != call.Answer && peer.executor.full() {
		c.stats.full.Add(1) // as if it was lost: the peer sends it again
		return
	}
	missed := peer.stream.Missed()
	m, ok := peer.stream.Receive(&p, now)
	if peer.stream.Missed() != missed {
		c.doubtNames(peer, now)
	}
	if ok {
		c.delivered(peer, m, now)
	}
}

// malformed counts a packet that cannot be read, and logs the first.
func (c *Cluster) malformed(err error) {
	c.stats.malformed.Add(1)
	told := &c.toldMalformed
	if errors.As(err, new(packet.VersionError)) {
		told = &c.toldVersion
	}
	if !*told {
		*told = true
		c.cfg.Log.Warn().Err(err).Msg("a packet that is not one of this cluster, or not whole, is ignored; others like it are counted: who else publishes on its subjects?")
	}
}

// delivered takes a message that a stream has delivered.
func (c *Cluster) delivered(from *peer, m stream.Message, now time.Duration) {
	switch m.Kind {
	case call.Answer:
		p := c.pending[m.Request]
		r, err := call.ReadResult(m.Fields, m.Payload)
		if err != nil {
			r.Err = err
		}
		if p != nil {
			p.answered(from.id, r)
		}
	case call.Bye:
		from.stream.Acknowledge(now) // it waits for that, and there is no other occasion
		c.changed(c.members.Leave(now, from.id, call.ReadBye(m.Fields)), now)
	case call.Interest:
		c.heardNames(from, m.Payload, now)
	case call.Ask:
		from.telling.asked = true
	default:
		from.executor.put(m)
	}
}

// takeLetters does what was posted, and returns the time. It is read when everything has
// been taken: a message that seems to have been called after it was sent would seem older
// than it is when it is sent again, and connections too young for it.
func (c *Cluster) takeLetters() (now time.Duration) {
	c.letters = c.mailbox.take(c.letters)
	now = c.cfg.clock()
	for i := range c.letters {
		l := &c.letters[i]
		switch {
		case l.forget != nil:
			delete(c.pending, l.forget.request)
		case l.kind == call.Answer:
			c.tellNames(now, true) // or whoever has joined a group would be found later than the answer says
			if p := c.peers[*l.to]; p == nil || !p.stream.Send(call.Answer, l.request, l.content, now) {
				c.stats.unanswered.Add(1)
			}
		default:
			c.ask(l, now)
		}
	}
	if cap(c.letters) > mostLetters/4 {
		c.letters = nil
	}
	return now
}

// ask sends a call to the members that it is for.
func (c *Cluster) ask(l *letter, now time.Duration) {
	if l.call != nil {
		c.requests++
		l.request, l.call.request = c.requests, c.requests
		c.pending[l.request] = l.call
	}
	p := c.planFor(l, now)
	for m := range c.members.All() {
		if l.concerns(m.ID) && !p.skipped.Has(m.Index) {
			c.askOne(l, &p, m, now)
		}
	}
	if p.missed != nil { // only now: what was sent to the others looked for what was before it
		c.recents.add(l.names, l.content, l.bytes, p.missed, l.at)
		c.stats.skipped.Add(uint64(p.skipped.Len()))
	}
	if l.call != nil {
		l.call.sent()
	}
}

func (c *Cluster) askOne(l *letter, to *plan, m *members.Member, now time.Duration) {
	if m.Silent && l.call != nil {
		l.call.miss(m.Name)
	}
	if m.Silent && !l.changes() {
		return
	}
	content := l.shares[m.ID]
	if content == nil {
		content = to.share(l, m.Index)
	}
	c.repairBefore(l, to, c.peers[m.ID], now)
	switch sent := c.peers[m.ID].stream.Send(l.kind, l.request, content, now); {
	case !sent:
		c.stats.unsent.Add(1)
		if l.call != nil && !m.Silent {
			l.call.miss(m.Name)
		}
	case l.call != nil && !m.Silent:
		l.call.expect(m.ID, m.Name)
	}
}

// never is a time that does not come.
const never = time.Duration(math.MaxInt64)

// tick does what is due, and returns when something is due next.
func (c *Cluster) tick(now time.Duration) (due time.Duration) {
	if now >= c.lookAt {
		c.changed(c.members.Tick(now), now)
		if c.away.over(now) {
			c.show(now)
		}
		c.askNames(now)
		c.expire(now)
		c.watches.end(func(_ watchKey, w *watch) bool { return now > w.until })
		c.resize() // a server may say that it takes less while the link is up
		c.count()
		c.lookAt = now + lookEvery
	}
	c.know(now)
	if now >= c.beatAt && c.byeBy == 0 {
		c.beat(now)
	}
	due = min(c.tellNames(now, false), c.meet(now))
	for _, p := range c.peers {
		c.tellAll(p, now)
		if p.stream.Due() <= now {
			p.stream.Tick(now)
		}
		due = min(due, p.stream.Due())
	}
	if c.byeBy > 0 {
		return min(due, c.byeBy)
	}
	return min(due, c.lookAt, c.beatAt)
}

// sayBye tells all members that this instance ends. What was sent to them before comes
// before that.
func (c *Cluster) sayBye(now time.Duration) {
	bye := stream.NewContent(call.ByeFields(c.returns()), nil)
	for m := range c.members.All() {
		if !m.Silent {
			c.peers[m.ID].stream.Send(call.Bye, 0, bye, now)
		}
	}
	c.byeBy = now + longestBye
}

// allTaken reports whether all members that are there have all that was sent to them.
func (c *Cluster) allTaken() bool {
	for m := range c.members.All() {
		if !m.Silent && c.peers[m.ID].stream.InDoubt() > 0 {
			return false
		}
	}
	return true
}

// leave ends the router.
func (c *Cluster) leave() {
	for _, p := range c.peers {
		c.end(p)
	}
	for _, p := range c.pending {
		p.giveUp()
	}
}
