package journal

// gap is what the keeper knows of its own instance's subject, to find that somebody has removed
// the beginning, as nats stream purge --keep does: then no append is refused, as the last one is
// there.
type gap struct {
	messages uint64 // in the subject at the last look
	appends  uint64 // that were acknowledged after it
	marks           // before it
}

// marks change when the subject shrinks, and it is known why.
type marks struct {
	purges uint64 // of this instance's own, begun and ended
	losses uint64
}

func (j *Journal) marks() marks { return marks{j.purges.Load(), j.losses.Load()} }

// look reports whether there should be more messages in the subject; appends and before are of
// before that was asked.
func (g *gap) look(j *Journal, messages, appends uint64, before marks) (missing bool) {
	least := g.messages
	if appends > g.appends { // of which one may have been on its way at the last look
		least += appends - g.appends - 1
	}
	missing = before == j.marks() && before == g.marks && messages < least
	*g = gap{messages, j.appends.Load(), before}
	if before != j.marks() || before.purges%2 == 1 { // it may have shrunk since
		g.messages = 0
	}
	return missing
}
