package directory

// walk goes through the sessions of a stripe, or of one user, in steps, and holds
// the lock for one step at a time. Between the steps it stands before its next
// session; a session that leaves moves the walks that stand before it on. So a
// walk meets every session that is there throughout exactly once, at a cost of
// O(1) for each, however many come and go meanwhile.
//
// It goes through what was there when it began and leaves out the sessions that
// join later, so that it ends, and so that it does not meet a user again who was
// met, left and came back.
type walk struct {
	d       *Directory
	stripe  uint8
	oneUser bool  // that user's sessions, not all of the stripe's
	horizon int64 // when it began: who joined later is left out

	// Guarded by the stripe's lock from begin to end.
	next ref
}

// place is where somebody left a walk: behind a session. It stays meaningful when
// the session, or its user, is gone.
type place struct {
	session    ref
	generation uint32
	connected  int64
	entry      uint32 // its user
	since      int64
	horizon    int64 // the walk's
}

// walkStripe begins a walk through all sessions of a stripe.
func (d *Directory) walkStripe(stripe uint8) *walk {
	st := &d.stripes[stripe]
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.begin(&walk{d: d, stripe: stripe, horizon: st.clock, next: st.firstOf(st.first)})
}

// walkUser begins a walk through the sessions of a user.
func (d *Directory) walkUser(name string) *walk {
	at, hash := d.locate(name)
	st := &d.stripes[at]
	st.mu.Lock()
	defer st.mu.Unlock()
	next := st.firstOf(st.find(d, name, hash))
	return st.begin(&walk{d: d, stripe: at, oneUser: true, horizon: st.clock, next: next})
}

// resume begins a walk behind p, where an earlier walk ended.
func (d *Directory) resume(stripe uint8, oneUser bool, p place) *walk {
	st := &d.stripes[stripe]
	w := &walk{d: d, stripe: stripe, oneUser: oneUser, horizon: p.horizon}
	st.mu.Lock()
	if s := d.at(p.session); s != nil && s.listing() == makeListing(p.generation, stripe) {
		w.next = st.after(s, oneUser)
		defer st.mu.Unlock()
		return st.begin(w)
	}
	if p.entry < uint32(len(st.entries)) && st.entries[p.entry].since == p.since {
		w.next = st.entries[p.entry].head
		st.begin(w)
		st.mu.Unlock()
		w.skip(p)
		return w
	}
	defer st.mu.Unlock()
	w.next = nobody
	if !oneUser {
		i := st.first
		for i != 0 && st.entries[i].since <= p.since {
			i = st.entries[i].next
		}
		w.next = st.firstOf(i)
	}
	return st.begin(w)
}

// begin enters w, unless it has nothing before it.
func (st *stripe) begin(w *walk) *walk {
	if w.next != nobody {
		st.walks = append(st.walks, w)
	}
	return w
}

// end takes the walk out of its stripe. Calling it twice is harmless.
func (w *walk) end() {
	st := &w.d.stripes[w.stripe]
	st.mu.Lock()
	st.forget(w)
	w.next = nobody
	st.mu.Unlock()
}

// step visits at most limit sessions under the stripe's lock. more is false
// if the walk has ended.
func (w *walk) step(limit int, visit func(st *stripe, r ref, s *Session)) (more bool) {
	st := &w.d.stripes[w.stripe]
	st.mu.Lock()
	defer st.mu.Unlock()
	for ; limit > 0 && w.next != nobody; limit-- {
		s := w.d.at(w.next)
		if s.connected > w.horizon {
			w.next = w.pastNewcomers(st, s)
			continue
		}
		r := w.next
		w.next = st.after(s, w.oneUser)
		visit(st, r, s)
	}
	if w.next == nobody {
		st.forget(w)
		return false
	}
	return true
}

// pastNewcomers returns what follows s and the rest of its user's sessions: s joined
// after the walk had begun, and so did all that follow it.
func (w *walk) pastNewcomers(st *stripe, s *Session) ref {
	if w.oneUser {
		return nobody
	}
	next := st.entries[s.entry].next
	if next == 0 || st.entries[next].since > w.horizon {
		return nobody
	}
	return st.entries[next].head
}

// skip goes past the sessions of the place's user up to the place, in bounded
// steps: there may be a million, and the session that would have been the shortcut
// has left.
func (w *walk) skip(p place) {
	st := &w.d.stripes[w.stripe]
	for done := false; !done; {
		st.mu.Lock()
		for range skipStep {
			if w.next == nobody {
				done = true
				break
			}
			s := w.d.at(w.next)
			if s.connected > p.connected || st.entries[s.entry].since != p.since {
				done = true
				break
			}
			w.next = st.after(s, w.oneUser)
		}
		if w.next == nobody {
			st.forget(w)
		}
		st.mu.Unlock()
	}
}

// skipStep is how many sessions skip passes before it releases the lock for others.
const skipStep = 1 << 10

// place describes where the walk stands: behind the listed session s.
func (st *stripe) place(r ref, s *Session, horizon int64) place {
	return place{
		session: r, generation: s.listing().generation(), connected: s.connected,
		entry: s.entry, since: st.entries[s.entry].since, horizon: horizon,
	}
}
