package hub

import (
	"net/netip"
	"slices"
	"time"

	"ws-gateway/netpoll"
)

// Targets selects connections, each once. The zero value selects none. The hub
// changes the order of Users.
type Targets struct {
	All     bool
	Conn    string   // one connection
	Conns   []string // more of them; Conn need not be set
	Users   []string // all connections of these users
	Owned   bool     // of the connections, only those that belong to one of Users; otherwise both are selected
	Exclude []string // ids of connections that are left out
	Groups  []string // instead of all above but Exclude: connections in any of these groups

	// Remote is instead of all above but Exclude: connections from addresses within, IPv4
	// unmapped, and, unless RemotePort is 0, this port.
	Remote     netip.Prefix
	RemotePort uint16

	// OpenFor leaves out, of the above, connections that have not been open for so
	// long, and of Groups those that have not been members for so long, as far as that is
	// known: see joins. It needs Config.Names.
	OpenFor time.Duration
}

// namesConns reports whether t names connections one by one.
func (t *Targets) namesConns() bool {
	return len(t.Groups) == 0 && (t.Conn != "" || len(t.Conns) > 0)
}

// byConn reports whether t selects only connections that it names one by one.
func (t *Targets) byConn() bool {
	return !t.All && t.namesConns() && (len(t.Users) == 0 || t.Owned)
}

// aim is Targets resolved, as far as that can be done outside of the loops: when a
// loop looks for its connections, some may be gone.
type aim struct {
	all     bool
	ids     [][]netpoll.ID // by loop, each once
	exclude []netpoll.ID   // sorted; only all and groups need it, ids lacks them already

	groups *groupAim // nil if the targets are not groups

	remote     netip.Prefix // with all: only from there; the zero Prefix: from anywhere
	remotePort uint16

	openBy time.Duration // by Hub.clock: who has opened later is left out; 0: nobody
}

// tooYoung reports whether the connection in a slot has opened too late to be a target.
func (a *aim) tooYoung(ls *loopState, slot uint32) bool {
	return a.openBy != 0 && ls.opened != nil && *ls.opened.At(slot) > a.openBy
}

// elsewhere reports whether the connection in a slot comes from an address that is not meant.
func (a *aim) elsewhere(ls *loopState, slot uint32) bool {
	if !a.remote.IsValid() {
		return false
	}
	from := ls.sessions.At(slot).Remote()
	return !a.remote.Contains(from.Addr()) || a.remotePort != 0 && a.remotePort != from.Port()
}

// concerns reports whether a loop has a target.
func (a *aim) concerns(loop int) bool {
	switch {
	case a.all:
		return true
	case a.groups != nil:
		return len(a.groups.byLoop[loop]) > 0
	default:
		return len(a.ids[loop]) > 0
	}
}

// resolve finds out which connections t selects.
func (h *Hub) resolve(t Targets) aim {
	a := aim{all: t.All, exclude: make([]netpoll.ID, 0, len(t.Exclude))}
	if t.OpenFor > 0 {
		a.openBy = max(1, h.clock()-t.OpenFor)
	}
	for _, s := range t.Exclude {
		if id, ok := h.parse(s); ok {
			a.exclude = append(a.exclude, id)
		}
	}
	slices.Sort(a.exclude)
	if len(t.Groups) > 0 {
		a.all, a.groups = false, h.locate(t.Groups)
		return a
	}
	if t.Remote.IsValid() {
		a.all, a.remote, a.remotePort = true, t.Remote, t.RemotePort
		return a
	}
	if t.All {
		return a
	}
	a.ids = make([][]netpoll.ID, len(h.loops))
	users, among := t.Users, owners(nil)
	slices.Sort(users)
	if t.byConn() && len(users) > 0 {
		users, among = nil, owners(users)
	}
	if t.Conn != "" {
		h.addConn(&a, t.Conn, among)
	}
	for _, s := range t.Conns {
		h.addConn(&a, s, among)
	}
	for i, user := range users {
		if i == 0 || user != users[i-1] { // or a user with many connections, named many times, would take memory without bound
			h.directory.EachOf(user, a.add)
		}
	}
	if t.namesConns() && len(users) > 0 || len(t.Conns) > 0 || len(users) > 1 {
		a.compact()
	}
	return a
}

// addConn adds a connection, if it belongs to one of the owners.
func (h *Hub) addConn(a *aim, public string, among owners) {
	if id, ok := h.parse(public); ok && (among.anybody() || h.belongs(id, among)) {
		a.add(id)
	}
}

// size is how many connections a has, including those that are gone by now. If it
// has groups they are taken to be of average size.
func (h *Hub) size(a *aim) (connections int) {
	switch {
	case a.all:
		return int(h.open.Load())
	case a.groups != nil:
		return h.membersOf(a.groups)
	}
	for _, ids := range a.ids {
		connections += len(ids)
	}
	return connections
}

// parse reads the public id of a connection. ok is false if it is on none of the
// loops.
func (h *Hub) parse(s string) (netpoll.ID, bool) {
	id, ok := h.instance.parseID(s)
	return id, ok && id.Loop() < len(h.loops)
}

// belongs reports whether the connection belongs to one of the owners.
func (h *Hub) belongs(id netpoll.ID, among owners) bool {
	user, ok := h.directory.UserOf(id)
	return ok && among.has(user)
}

// owners are the users that connections may belong to, sorted; nil means anybody.
type owners []string

func (o owners) anybody() bool { return o == nil }

func (o owners) has(user string) bool {
	_, found := slices.BinarySearch(o, user)
	return found
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

// compact removes repetitions: a connection may be named twice, or beside its user.
// The order of slots is also kinder to the processor's caches.
func (a *aim) compact() {
	for i, ids := range a.ids {
		slices.Sort(ids)
		a.ids[i] = slices.Compact(ids)
	}
}
