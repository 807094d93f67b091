package netpoll

import "math/rand/v2"

const (
	roomSlots = 1 << 10 // that are looked at
	roomVotes = 32      // connections that are away, and are compared
)

// MakeRoom ends a connection of the loop that is away, so that another one can be opened: the
// other one's client is there, this one's may never come back. It returns false if there is
// none.
//
// Of a sample that is taken at random it is one of whom most are there, as owner says: whoever
// leaves many connections behind pays for it, and not those who have lost one. If nobody has
// two, it is the connection that has been away for longest. It may be called within a method
// of the Handler, but not within one about a connection that is away.
func MakeRoom[Owner comparable](l *Loop, owner func(*Conn) Owner) (ok bool) {
	oldest := l.deadlines[awayDeadline].head
	if oldest == noSlot || l.suspending != nil {
		return false
	}
	victim, most := l.conns.At(oldest), 1
	conns, owners := make([]*Conn, 0, roomVotes), make([]Owner, 0, roomVotes)
	from := rand.Uint32N(l.slots)
	for i := uint32(0); i < min(l.slots, roomSlots) && len(conns) < roomVotes; i++ {
		if c := l.conns.At((from + i) % l.slots); c.state == stateAway {
			conns, owners = append(conns, c), append(owners, owner(c))
		}
	}
	for i, o := range owners {
		votes := 0
		for _, other := range owners {
			if other == o {
				votes++
			}
		}
		if votes > most {
			victim, most = conns[i], votes
		}
	}
	l.stats.AwayGaveWay++
	victim.endAway(End{Cause: Disconnected, Code: statusAbnormal})
	return true
}
