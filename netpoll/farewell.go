package netpoll

import (
	"slices"

	"github.com/gobwas/ws"

	"ws-gateway/netpoll/wire"
)

// If the app closes a connection that can be resumed, the client learns the code when it
// comes back, unless it has answered the close frame. The transport may be dead without
// anybody knowing yet, so a connection that seems to be there is treated as one that is
// away. What is kept for that is bounded by Config.ResumeFor and maxFarewells; past it the
// oldest is forgotten, counted, and its client gets a new session.
const maxFarewells = 16 << 10 // of each loop

// farewell is how a connection was closed.
type farewell struct {
	tokens // those of its record
	code   ws.StatusCode
	reason string
	due    uint32 // tick after which it is forgotten
}

type farewells struct {
	byID  map[ID]*farewell
	queue []ID // oldest first; up to maxFarewells of them are forgotten already
}

func (s *farewells) find(id ID) *farewell { return s.byID[id] }

// add notes how c, which is about to end, was closed.
func (s *farewells) add(c *Conn, end End) {
	l, r := c.loop, c.record()
	f := &farewell{tokens: r.tokens, code: end.Code, reason: end.Reason, due: l.now + l.deadlines[awayDeadline].after}
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
	}
	s.byID[id] = f
	s.queue = append(s.queue, id)
	return forgotten
}

// forget forgets how a connection was closed, as its client knows.
func (s *farewells) forget(id ID) { delete(s.byID, id) }

// expire forgets those that are due. A shorter Config.ResumeFor counts for new ones.
func (s *farewells) expire(now uint32) {
	for len(s.queue) > 0 {
		if f := s.byID[s.queue[0]]; f != nil && f.due > now {
			return
		}
		s.forgetOldest()
	}
	s.queue, s.byID = nil, nil
}

func (s *farewells) forgetOldest() {
	delete(s.byID, s.queue[0])
	s.queue = s.queue[1:]
}

// sayFarewell accepts a handshake, which is l.request, and closes it as its session was
// closed. The Handler is not told: its connection has ended long ago.
func (l *Loop) sayFarewell(c *Conn, f *farewell, rest []byte) {
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
	if c.put(response, nil) == nil && c.put(newCloseFrame(f.code, f.reason).wire.Bytes(), nil) == nil {
		c.decode(rest)
		c.watch()
	}
	l.reclaim(in)
}
