package directory

import (
	"hash/maphash"
	"net/netip"
	"strings"
	"time"
	"unique"

	"ws-gateway/netpoll"
)

// Info describes a session.
type Info struct {
	ID          string // public
	User        string
	UserAgent   string
	RemoteAddr  string
	ConnectedAt time.Time
	Away        bool   // it has no transport; its client may come back
	Meta        string // its metadata, JSON; the directory leaves it empty
}

// Query says which sessions a list has, and where a page of it begins and ends. A
// session must satisfy all of the conditions.
type Query struct {
	Users      []string      // only these; nil: all
	UserPrefix string        // only users whose name begins so
	Remote     netip.Prefix  // only addresses within, IPv4 unmapped; the zero Prefix: all
	RemotePort uint16        // only this port; 0: all
	OlderThan  time.Duration // only those that were connected for longer when the list began; 0: all
	Among      *Among        // only these; nil: all
	Limit      int           // sessions at most; 0: all
	Cursor     string        // where the page before ended

	before int64 // of OlderThan, Unix nanoseconds
}

// filtered reports whether there are conditions beside the users.
func (q *Query) filtered() bool {
	return q.UserPrefix != "" || q.Remote.IsValid() || q.RemotePort != 0 || q.OlderThan != 0 || q.Among != nil
}

// Selective reports whether q leaves anybody out.
func (q *Query) Selective() bool { return q.Users != nil || q.filtered() }

// selects reports whether a session satisfies the conditions beside the users.
func (q *Query) selects(r ref, s *Session) bool {
	if q.Among != nil && !q.Among.has(r.id(s.listing().generation())) {
		return false
	}
	if !strings.HasPrefix(s.User, q.UserPrefix) || q.RemotePort != 0 && s.port != q.RemotePort || q.OlderThan != 0 && s.connected >= q.before {
		return false
	}
	return !q.Remote.IsValid() || q.Remote.Contains(remote(s.addr, s.port).Addr())
}

// hash tells queries with different conditions apart, so that a cursor is refused
// with another query than its own. It is 0 if there are no conditions.
func (q *Query) hash(seed maphash.Seed, names []string) uint64 {
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
		maphash.WriteComparable(&m, q.OlderThan)
	}
	if q.Among != nil {
		m.WriteByte(0xfd)
		m.WriteString(q.Among.Label)
	}
	return m.Sum64() | 1
}

// step is how many sessions are copied before the stripe's lock is released for
// others: a list delays a connection that opens or closes for that long.
const step = 256

// row is the copy of a session that is made under the lock.
type row struct {
	id        netpoll.ID
	user      string
	agent     unique.Handle[string]
	connected int64
	addr      [16]byte
	port      uint16
	away      bool
}

func rowOf(r ref, s *Session) row {
	return row{r.id(s.listing().generation()), s.User, s.Agent, s.connected, s.addr, s.port, s.away}
}

// List calls yield with the sessions grouped by user: consecutive calls may name
// the same user, but a user once left does not come again. The slice is valid
// during the call. yield runs without a lock, and nobody waits for it. A session
// that is there throughout is listed exactly once. next is the cursor of the page
// that follows, or "" if there is none.
//
// The next page's query must have the same conditions, with the Users in the same
// order; otherwise its cursor is refused with ErrCursor.
func (d *Directory) List(q Query, yield func(user string, sessions []Info) error) (next string, err error) {
	if q.OlderThan != 0 {
		q.before = time.Now().Add(-q.OlderThan).UnixNano()
	}
	l := lister{d: d, q: q, yield: yield, names: unrepeated(q.Users)}
	l.named = q.Users != nil
	l.hash = q.hash(d.seed, l.names)
	first, from := uint32(0), place{}
	if q.Cursor != "" {
		c, err := d.decodeCursor(q.Cursor, l.hash)
		if err != nil || c.part >= l.parts() {
			return "", ErrCursor
		}
		first, from = c.part, c.place
	}
	stripes := d.stripesOf(q.Among)
	for part := first; part < l.parts(); part++ {
		if stripes != nil && !l.named && !stripes[part] {
			continue
		}
		w := l.walk(part, q.Cursor != "" && part == first, from)
		done, err := l.run(part, w)
		w.end()
		if done || err != nil {
			return l.next, err
		}
	}
	return "", nil
}

// lister is one run of List. A list has a part for each stripe, or for each of the
// query's users, and a walk for each part.
type lister struct {
	d     *Directory
	q     Query
	yield func(user string, sessions []Info) error
	named bool // the query has Users
	names []string
	hash  uint64 // of the query

	listed int
	last   cursor // behind the last session that was listed
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
	d := l.d
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

// run lists one part; done is true if the page ends in it.
func (l *lister) run(part uint32, w *walk) (done bool, err error) {
	for more := true; more; {
		room := step
		if l.q.Limit > 0 {
			room = min(room, l.q.Limit-l.listed)
		}
		if room == 0 {
			return l.full(w), nil
		}
		l.rows = l.rows[:0]
		more = w.step(room, func(st *stripe, r ref, s *Session) {
			if !l.q.selects(r, s) {
				return
			}
			l.rows = append(l.rows, rowOf(r, s))
			if l.q.Limit > 0 {
				l.last = cursor{part: part, query: l.hash, place: st.place(r, s, w.horizon)}
			}
		})
		l.listed += len(l.rows)
		if err := l.deliver(); err != nil {
			return true, err
		}
	}
	return false, nil
}

// full reports whether another page follows a full one: if there is a session for
// it to begin with. It sets that page's cursor.
func (l *lister) full(w *walk) bool {
	found, limit := false, 1
	if l.q.filtered() {
		limit = step
	}
	for more := true; more && !found; {
		more = w.step(limit, func(_ *stripe, r ref, s *Session) { found = found || l.q.selects(r, s) })
	}
	if found {
		l.next = l.d.encodeCursor(l.last)
	}
	return found
}

// deliver yields the rows, with one call for each run of the same user.
func (l *lister) deliver() error {
	if len(l.rows) == 0 {
		return nil
	}
	l.infos = l.d.infos(l.rows, l.infos[:0])
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

// infos appends the rows' descriptions to dst. All their texts share two
// allocations.
func (d *Directory) infos(rows []row, dst []Info) []Info {
	ids := make([]byte, 0, len(rows)*usualID)
	addrs := make([]byte, 0, len(rows)*len("255.255.255.255:65535"))
	ends := make([]textEnds, 0, len(rows))
	for i := range rows {
		r := &rows[i]
		ids = d.appendID(ids, r.id)
		addrs = AppendAddr(addrs, remote(r.addr, r.port))
		ends = append(ends, textEnds{len(ids), len(addrs)})
	}
	id, addr, from := string(ids), string(addrs), textEnds{}
	for i := range rows {
		r, to := &rows[i], ends[i]
		dst = append(dst, Info{
			ID: id[from.id:to.id], User: r.user, UserAgent: r.agent.Value(),
			RemoteAddr: addr[from.addr:to.addr], ConnectedAt: time.Unix(0, r.connected), Away: r.away,
		})
		from = to
	}
	return dst
}

// usualID is the length of the hub's ids: room for them is made at once.
const usualID = 24

// textEnds is where the texts of a row end among those of all rows.
type textEnds struct{ id, addr int }

// remote is a client's address, IPv4 unmapped.
func remote(addr [16]byte, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(addr).Unmap(), port)
}

// AppendAddr appends a client's address as it is shown to others: without the port
// if it is 0, which means that it is not known.
func AppendAddr(dst []byte, a netip.AddrPort) []byte {
	if a.Port() == 0 {
		return a.Addr().AppendTo(dst)
	}
	return a.AppendTo(dst)
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
