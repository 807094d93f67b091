package members

import "time"

// Messages go to instances and not to names, so two of one name are members like any
// others. What suffers is what people read, and whatever is kept under a name: both are told.

// judgeName says when a living member begins and ceases to have our name.
func (m *Members) judgeName(member *Member) {
	clash := !member.Silent && member.Name == m.cfg.Name
	if clash == member.Clash {
		return
	}
	member.Clash = clash
	if clash {
		m.tell(NameTaken, member, NotHeard)
	} else {
		m.tell(NameFree, member, NotHeard)
	}
}

// replaced reports whether an instance of the same name has started since a member was last
// heard. A silent instance whose host has started it again need not be waited for; two that
// have run at the same time only share a name.
func (m *Members) replaced(silent *Member) bool {
	for other := range m.All() {
		if other != silent && other.Name == silent.Name && m.up(other) <= m.clock-silent.heard {
			return true
		}
	}
	return false
}

// up is how long a member has run.
func (m *Members) up(member *Member) time.Duration { return member.Up + m.clock - member.heard }
