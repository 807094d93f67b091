package hubsim

import (
	"net/netip"
	"slices"
	"time"
	"unique"

	"ws-gateway/hub/directory"
	"ws-gateway/hub/wheel"
	"ws-gateway/netpoll"
)

// loop is what the hub keeps of the connections of one loop, and does with them
// when they come, ping and go: package hub does the same steps in enter, heard,
// Tick and exit.
type loop struct {
	directory  *directory.Directory
	sessions   netpoll.Slab[directory.Session]
	deadlines  wheel.Wheel
	generation uint32 // of the newest session
	now        uint32
	expired    int // deadlines that have passed
}

// tickBudget is the hub's for one call of Tick.
const tickBudget = 64 * wheel.FireCost

func newLoop() *loop {
	l := &loop{directory: directory.New(appendID)}
	l.directory.AddLoop(&l.sessions)
	return l
}

// enter opens a session in a slot that is free.
func (l *loop) enter(slot uint32, user, agent string, remote netip.AddrPort) {
	l.generation++
	l.sessions.Grow(slot)
	s := l.sessions.At(slot)
	s.Headers, s.Agent, s.Seq = "", unique.Make(agent), 0
	s.SetRemote(remote)
	l.directory.Join(netpoll.MakeID(0, slot, l.generation), s, user, 0, time.Now().UnixNano())
	l.ping(slot)
}

// leave ends a session.
func (l *loop) leave(id netpoll.ID) {
	s := l.sessions.At(id.Slot())
	l.deadlines.Clear(id.Slot())
	l.directory.Leave(id, s)
	s.Release()
}

// ping moves a session's deadline. Now is cut to the second, hence one more.
func (l *loop) ping(slot uint32) { l.deadlines.Set(slot, l.now+timeout+1) }

// tick does a slice of the work of second now; if more is true it is to be called
// again. A session whose deadline has passed is only counted.
func (l *loop) tick(now uint32) (more bool) {
	l.now = now
	return l.deadlines.Advance(now, tickBudget, func(uint32) { l.expired++ })
}

// targets finds the sessions that a send to users would go to.
func (l *loop) targets(users []string) (ids []netpoll.ID) {
	for _, user := range users {
		l.directory.EachOf(user, func(id netpoll.ID) { ids = append(ids, id) })
	}
	slices.Sort(ids) // as the hub does, which needs each once
	return slices.Compact(ids)
}

// appendID writes an id as long as the hub's.
func appendID(dst []byte, id netpoll.ID) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, "simulate"...)
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, digits[id>>shift&0xf])
	}
	return dst
}
