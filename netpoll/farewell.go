package netpoll

import (
	"slices"

	"github.com/gobwas/ws"

	"ws-gateway/netpoll/wire"
)

// If the app closes a connection that can be resumed, its client gets what it has missed
// and learns the code when it comes back, unless it has answered the close frame. The
// transport may be dead without anybody knowing yet, so a connection that seems to be there
// is treated as one that is away.
//
// Messages count in ResumeBudget as before; if that is exceeded, those of farewells are the
// first to be given up, the oldest first, and only the code is left. The farewells are
// bounded by Config.ResumeFor and maxFarewells; past it the oldest is forgotten, counted,
// and its client gets a new session.
const maxFarewells = 16 << 10 // of each loop

// farewell is how a connection was closed.
type farewell struct {
	resumable // its record
	code      ws.StatusCode
	reason    string
	due       uint32 // tick after which it is forgotten
}

type farewells struct {
	byID    map[ID]*farewell
	queue   []ID // oldest first; up to maxFarewells of them are forgotten already
	emptied int  // how many at the head of queue keep no messages
	budget  *budget
}

func (s *farewells) find(id ID) *farewell { return s.byID[id] }

// add notes how c, which is about to end, was closed.
func (s *farewells) add(c *Conn, end End) {
	l, r := c.loop, c.record()
	f := &farewell{resumable: *r, code: end.Code, reason: end.Reason, due: l.now + l.deadlines[awayDeadline].after}
	if f.kept = nil; r.kept != nil && r.whole() {
		f.kept, r.kept = r.kept, nil
		l.holders[ResumeBudget].set(&f.kept.held, c.slot, 0, l.now) // the slot will be another's
	}
	l.stats.FarewellsForgotten += s.put(c.ID(), f)
}

// put returns how many were forgotten to make room.
func (s *farewells) put(id ID, f *farewell) (forgotten uint64) {
	if s.byID == nil {
		s.byID = make(map[ID]*farewell)
	}
	for len(s.byID) >= maxFarewells {
		if s.byID[s.queue[0]] != nil {
			forgotten++
		}
		s.forgetOldest()
	}
	if len(s.queue) >= 2*maxFarewells {
		s.queue = slices.DeleteFunc(s.queue, func(id ID) bool { return s.byID[id] == nil })
		s.emptied = 0
	}
	s.byID[id] = f
	s.queue = append(s.queue, id)
	return forgotten
}

// forget forgets how a connection was closed, as its client knows.
func (s *farewells) forget(id ID) {
	if f := s.byID[id]; f != nil {
		f.keepOnly(0, s.budget)
		delete(s.byID, id)
	}
}

// giveUpOldest lets go of the messages that have been kept for longest. It returns false if
// there are none.
func (s *farewells) giveUpOldest() bool {
	for ; s.emptied < len(s.queue); s.emptied++ {
		if f := s.byID[s.queue[s.emptied]]; f != nil && f.kept != nil {
			f.keepOnly(0, s.budget)
			return true
		}
	}
	return false
}

// keepOnly lets go of all but the last n messages.
func (f *farewell) keepOnly(n uint64, b *budget) {
	if f.kept == nil {
		return
	}
	if f.kept.shrink(n, b); f.kept.len() == 0 {
		b.add(-f.kept.own())
		f.kept = nil
	}
}

// clear forgets all.
func (s *farewells) clear() {
	for len(s.queue) > 0 {
		s.forgetOldest()
	}
	s.queue, s.byID = nil, nil
}

// expire forgets those that are due. A shorter Config.ResumeFor counts for new ones.
func (s *farewells) expire(now uint32) {
	for len(s.queue) > 0 {
		if f := s.byID[s.queue[0]]; f != nil && f.due > now {
			return
		}
		s.forgetOldest()
	}
	s.clear()
}

func (s *farewells) forgetOldest() {
	s.forget(s.queue[0])
	s.queue = s.queue[1:]
	s.emptied = max(0, s.emptied-1)
}

// sayFarewell accepts a handshake, which is l.request, and closes it as the session id was
// closed. A client that has received so many messages first gets those that it has missed,
// if they are all kept; what is kept stays for the next one if that cannot be. The Handler is
// not told: its connection has ended long ago.
func (l *Loop) sayFarewell(c *Conn, id ID, f *farewell, received uint64, rest []byte) {
	l.stats.Farewells++
	response := l.upgrader.Accept(&l.request, wire.ResumeProtocol, "")
	l.leaveHandshake(c)
	c.dropKept()
	l.stats.Closing++
	c.state = stateClosing
	l.await(c, closeDeadline)
	in := c.in
	c.in = nil
	c.establish()
	missed := false
	if f.acked() <= received && received <= f.sent { // otherwise it was held up, or lies
		f.keepOnly(f.sent-received, l.farewells.budget)
		missed = f.kept != nil
	}
	if missed {
		f.next()
		response = l.greet(id, &f.resumable, response, true, "")
	}
	if c.put(response, nil) == nil && (!missed || c.sendAgain(&f.resumable)) && c.put(newCloseFrame(f.code, f.reason).wire.Bytes(), nil) == nil {
		c.decode(rest)
		c.watch()
	}
	l.reclaim(in)
}
