package hub

import (
	"slices"

	"ws-gateway/netpoll"
)

// Targets selects connections. The zero value selects none.
type Targets struct {
	All     bool
	Conn    string   // one connection; with Users set, only if it belongs to one of them
	Conns   []string // Close: these connections, besides those of Users
	Users   []string // all connections of these users, each connection once
	Exclude []string // connection ids that are left out
}

// aim is Targets resolved, as far as a caller can: ids may still turn out to be
// gone when their loop looks for them.
type aim struct {
	all     bool
	ids     [][]netpoll.ID // by loop, each once
	exclude []netpoll.ID   // sorted; for all, the others lack them already
}

// resolve finds out whom t means. It walks a user with many connections in
// steps, so that nobody waits long for a stripe's lock.
func (h *Hub) resolve(t Targets) aim {
	a := aim{all: t.All, exclude: make([]netpoll.ID, 0, len(t.Exclude))}
	for _, s := range t.Exclude {
		if id, ok := h.parse(s); ok {
			a.exclude = append(a.exclude, id)
		}
	}
	slices.Sort(a.exclude)
	if t.All {
		return a
	}
	a.ids = make([][]netpoll.ID, len(h.loops))
	users := t.Users
	if t.Conn != "" {
		if id, ok := h.parse(t.Conn); ok && (len(users) == 0 || h.belongs(id, users)) {
			a.add(id)
		}
		users = nil
	}
	for _, s := range t.Conns {
		if id, ok := h.parse(s); ok {
			a.add(id)
		}
	}
	for _, user := range users {
		h.addUser(&a, user)
	}
	if len(t.Conns)+len(users) > 1 {
		a.compact()
	}
	return a
}

// parse reads the public id of a connection of one of the loops.
func (h *Hub) parse(s string) (netpoll.ID, bool) {
	id, ok := h.instance.parseID(s)
	return id, ok && id.Loop() < len(h.loops)
}

// belongs reports whether the connection is one of the users'.
func (h *Hub) belongs(id netpoll.ID, users []string) bool {
	s, st := h.directory.lock(id)
	if s == nil {
		return false
	}
	user := s.user
	st.mu.Unlock()
	return slices.Contains(users, user)
}

func (h *Hub) addUser(a *aim, user string) {
	var buf [listStep]netpoll.ID
	w := h.directory.walkUser(user)
	defer w.end()
	for more := true; more; {
		ids := buf[:0]
		more = w.step(listStep, func(_ *stripe, r ref, s *session) {
			ids = append(ids, r.id(s.listing().generation()))
		})
		for _, id := range ids {
			a.add(id)
		}
	}
}

func (a *aim) add(id netpoll.ID) {
	if !a.excludes(id) {
		a.ids[id.Loop()] = append(a.ids[id.Loop()], id)
	}
}

func (a *aim) excludes(id netpoll.ID) bool {
	_, found := slices.BinarySearch(a.exclude, id)
	return found
}

// compact removes repetitions: of a user named twice, or of a connection that
// was named beside its user. In the order of slots memory is also kinder.
func (a *aim) compact() {
	for i, ids := range a.ids {
		slices.Sort(ids)
		a.ids[i] = slices.Compact(ids)
	}
}
