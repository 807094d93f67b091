package members

import (
	"bytes"
	"time"
)

// Messages go to instances and not to names, so two of one name are members like any
// others. What suffers is what people read, and whatever is kept under a name. The name
// belongs to the one that has run for longer, and the other is told to change it.

// judgeName says when a living member begins and ceases to have our name.
func (m *Members) judgeName(member *Member) {
	clash := !member.Silent && member.Name == m.cfg.Name
	if clash == member.Clash {
		return
	}
	if member.Clash = clash; !clash {
		m.tell(NameFree, member, NotHeard)
		return
	}
	yield := after(m.clock, m.up(member), m.cfg.Self, member.ID)
	m.events = append(m.events, Event{Kind: NameTaken, Member: member, Yield: yield})
}

// replaced reports whether an instance of the same name has started since. A silent
// instance whose host has started it again need not be waited for.
func (m *Members) replaced(silent *Member) bool {
	up := m.up(silent)
	if silent.Name == m.cfg.Name && after(m.clock, up, m.cfg.Self, silent.ID) {
		return true
	}
	for other := range m.All() {
		if other.Name == silent.Name && after(m.up(other), up, other.ID, silent.ID) {
			return true
		}
	}
	return false
}

// up is how long a member has run.
func (m *Members) up(member *Member) time.Duration { return member.Up + m.clock - member.heard }

// after reports whether one has started after the other, by how long both have run. All
// instances come to the same result also if both have started at once.
func after(one, other time.Duration, oneID, otherID ID) bool {
	const sameTime = time.Second // what they are off, as messages take their time
	if diff := one - other; diff < -sameTime || diff > sameTime {
		return diff < 0
	}
	return bytes.Compare(oneID[:], otherID[:]) > 0
}
