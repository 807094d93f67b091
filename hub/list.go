package hub

import (
	"hash/maphash"
	"net/netip"
	"strings"
	"time"
	"unique"

	"ws-gateway/netpoll"
)

// Info describes a connection.
type Info struct {
	ID          string
	User        string
	UserAgent   string
	RemoteAddr  string
	ConnectedAt time.Time
}

// Query selects and pages a list. What selects holds for each connection listed.
type Query struct {
	Users      []string     // only these; nil: all
	UserPrefix string       // only users whose name begins so
	Remote     netip.Prefix // only addresses within, IPv4 unmapped; the zero Prefix: all
	RemotePort uint16       // only this port; 0: all
	Limit      int          // connections at most; 0: all
	Cursor     string       // where the page before ended
}

// filtered reports whether connections are looked at that are not listed.
func (q *Query) filtered() bool {
	return q.UserPrefix != "" || q.Remote.IsValid() || q.RemotePort != 0
}

// selects reports whether the filters let a session pass.
func (q *Query) selects(s *session) bool {
	if !strings.HasPrefix(s.user, q.UserPrefix) || q.RemotePort != 0 && s.port != q.RemotePort {
		return false
	}
	return !q.Remote.IsValid() || q.Remote.Contains(remote(s.addr, s.port).Addr())
}

// sum tells queries apart that select differently, so that a cursor is not used with
// another query than its own. It is 0 for a query that selects all.
func (q *Query) sum(seed maphash.Seed, names []string) uint64 {
	if q.Users == nil && !q.filtered() {
		return 0
	}
	var m maphash.Hash
	m.SetSeed(seed)
	for _, name := range names {
		m.WriteString(name)
		m.WriteByte(0xff) // in no name, names being UTF-8
	}
	if q.filtered() {
		m.WriteByte(0xfe)
		m.WriteString(q.UserPrefix)
		m.WriteByte(0xff)
		maphash.WriteComparable(&m, q.Remote)
		maphash.WriteComparable(&m, q.RemotePort)
	}
	return m.Sum64() | 1
}

// listStep is how many sessions are copied for each holding of a stripe's lock,
// which is what a list delays a connection that opens or closes by.
const listStep = 256

// row is a session as copied under the lock.
type row struct {
	id        netpoll.ID
	user      string
	agent     unique.Handle[string]
	connected int64
	addr      [16]byte
	port      uint16
}

func rowOf(r ref, s *session) row {
	return row{r.id(s.listing().generation()), s.user, s.agent, s.connected, s.addr, s.port}
}

// List calls yield with the connections grouped by user: consecutive calls may
// name the same user, but a user once left does not come again. The slice is
// valid during the call. No lock is held and no loop waits while yield runs,
// however long it takes. A connection that is there throughout is listed exactly
// once. next is the cursor of the page that follows, or "".
//
// A page that follows must select the same, with the Users in the same order, as
// the page before; otherwise its cursor is refused with ErrCursor.
func (h *Hub) List(q Query, yield func(user string, conns []Info) error) (next string, err error) {
	l := lister{h: h, q: q, yield: yield, names: unrepeated(q.Users)}
	l.named = q.Users != nil
	l.sum = q.sum(h.directory.seed, l.names)
	first, from := uint32(0), place{}
	if q.Cursor != "" {
		c, err := h.decodeCursor(q.Cursor, l.sum)
		if err != nil || c.part >= l.parts() {
			return "", ErrCursor
		}
		first, from = c.part, c.place
	}
	for part := first; part < l.parts(); part++ {
		w := l.walk(part, q.Cursor != "" && part == first, from)
		done, err := l.run(part, w)
		w.end()
		if done || err != nil {
			return l.next, err
		}
	}
	return "", nil
}

// Get describes one connection.
func (h *Hub) Get(id string) (Info, bool) {
	nid, ok := h.instance.parseID(id)
	if !ok {
		return Info{}, false
	}
	s, st := h.directory.lock(nid)
	if s == nil {
		return Info{}, false
	}
	r := rowOf(refOf(nid), s)
	st.mu.Unlock()
	return h.infos([]row{r}, nil)[0], true
}

// Count returns how many connections and users with a connection there are.
func (h *Hub) Count() (connections, users int) {
	return int(h.open.Load()), int(h.directory.users.Load())
}

// lister is one run of List. The list is made of parts, which are the stripes or
// the users asked for; each is walked.
type lister struct {
	h     *Hub
	q     Query
	yield func(user string, conns []Info) error
	named bool
	names []string
	sum   uint64

	listed int
	last   cursor // behind the last connection that was listed
	next   string

	rows  []row
	infos []Info
}

func (l *lister) parts() uint32 {
	if l.named {
		return uint32(len(l.names))
	}
	return stripeCount
}

func (l *lister) walk(part uint32, resumed bool, from place) *walk {
	d := l.h.directory
	switch {
	case resumed && l.named:
		stripe, _ := d.locate(l.names[part])
		return d.resume(stripe, true, from)
	case resumed:
		return d.resume(uint8(part), false, from)
	case l.named:
		return d.walkUser(l.names[part])
	default:
		return d.walkStripe(uint8(part))
	}
}

// run lists one part; done is true where the page is full and more would follow.
func (l *lister) run(part uint32, w *walk) (done bool, err error) {
	for more := true; more; {
		room := listStep
		if l.q.Limit > 0 {
			room = min(room, l.q.Limit-l.listed)
		}
		if room == 0 {
			return l.full(w), nil
		}
		l.rows = l.rows[:0]
		more = w.step(room, func(st *stripe, r ref, s *session) {
			if !l.q.selects(s) {
				return
			}
			l.rows = append(l.rows, rowOf(r, s))
			if l.q.Limit > 0 {
				l.last = cursor{part: part, names: l.sum, place: st.place(r, s, w.horizon)}
			}
		})
		l.listed += len(l.rows)
		if err := l.deliver(); err != nil {
			return true, err
		}
	}
	return false, nil
}

// full sets the next page's cursor if there is a connection that it would begin
// with.
func (l *lister) full(w *walk) bool {
	found, step := false, 1
	if l.q.filtered() {
		step = listStep
	}
	for more := true; more && !found; {
		more = w.step(step, func(_ *stripe, _ ref, s *session) { found = found || l.q.selects(s) })
	}
	if found {
		l.next = l.h.encodeCursor(l.last)
	}
	return found
}

// deliver yields the rows, a call for each run of one user's.
func (l *lister) deliver() error {
	if len(l.rows) == 0 {
		return nil
	}
	l.infos = l.h.infos(l.rows, l.infos[:0])
	for from := 0; from < len(l.infos); {
		to := from + 1
		for to < len(l.infos) && l.infos[to].User == l.infos[from].User {
			to++
		}
		if err := l.yield(l.infos[from].User, l.infos[from:to:to]); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// infos appends the rows' descriptions to dst. The texts of all of them share
// two allocations.
func (h *Hub) infos(rows []row, dst []Info) []Info {
	ids := make([]byte, 0, len(rows)*idChars)
	addrs := make([]byte, 0, len(rows)*len("255.255.255.255:65535"))
	ends := make([]int, 0, len(rows))
	for i := range rows {
		r := &rows[i]
		ids = h.instance.appendID(ids, r.id)
		addrs = appendAddr(addrs, remote(r.addr, r.port))
		ends = append(ends, len(addrs))
	}
	id, addr, from := string(ids), string(addrs), 0
	for i := range rows {
		r := &rows[i]
		dst = append(dst, Info{
			ID: id[i*idChars : (i+1)*idChars], User: r.user, UserAgent: r.agent.Value(),
			RemoteAddr: addr[from:ends[i]], ConnectedAt: time.Unix(0, r.connected),
		})
		from = ends[i]
	}
	return dst
}

// unrepeated returns names without repetitions, in their order.
func unrepeated(names []string) []string {
	if len(names) < 2 {
		return names
	}
	seen := make(map[string]struct{}, len(names))
	once := make([]string, 0, len(names))
	for _, name := range names {
		if _, ok := seen[name]; !ok {
			seen[name] = struct{}{}
			once = append(once, name)
		}
	}
	return once
}
