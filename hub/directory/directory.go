package directory

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"

	"ws-gateway/netpoll"
)

// stripeCount is the number of locks that the directory is divided among. The
// number of a stripe must fit into the 8 bits that a listing has for it.
const stripeCount = 256

// Watcher is told of the first session of a user that joins, and of the last one that
// leaves, when the directory has just changed: with the stripe's lock held, so that the
// calls for a user are in the order of the changes. It must not wait for anything that
// may be slow, or call the directory.
type Watcher interface {
	UserCame(name string)
	UserGone(name string)
}

// Directory maps user names to their sessions.
type Directory struct {
	// Static once the loops have been added.
	watcher  Watcher // may be nil
	seed     maphash.Seed
	slabs    []*netpoll.Slab[Session] // by loop
	appendID func(dst []byte, id netpoll.ID) []byte

	users   atomic.Int64
	stripes [stripeCount]stripe
}

// New returns a directory without loops. appendID appends the public form of an
// id, as lists show it, to dst.
func New(appendID func(dst []byte, id netpoll.ID) []byte) *Directory {
	return &Directory{seed: maphash.MakeSeed(), appendID: appendID}
}

// Watch has w told of users. It must be called before the first Join.
func (d *Directory) Watch(w Watcher) { d.watcher = w }

// AddLoop adds the sessions of the next loop. The loops must all have been added
// before the first Join.
func (d *Directory) AddLoop(sessions *netpoll.Slab[Session]) { d.slabs = append(d.slabs, sessions) }

// at returns the session that r names, or nil if there never was one.
func (d *Directory) at(r ref) *Session {
	loop := int(r >> 24)
	if loop >= len(d.slabs) {
		return nil
	}
	return d.slabs[loop].At(uint32(r) & (netpoll.MaxSlots - 1))
}

// locate divides a name's hash into the stripe and the hash within it.
func (d *Directory) locate(name string) (stripe uint8, hash uint32) {
	sum := maphash.String(d.seed, name)
	return uint8(sum >> 56), uint32(sum)
}

// Join lists s under name, unless the user has limit sessions already (0: no
// limit). The caller has set Headers, Agent and the address; Join sets User, which
// the sessions of a user share, and the time of joining, which is now, in Unix
// nanoseconds, or just after the newest session's. Only the session's loop may
// call it.
func (d *Directory) Join(id netpoll.ID, s *Session, name string, limit int, now int64) bool {
	at, hash := d.locate(name)
	st := &d.stripes[at]
	st.mu.Lock()
	defer st.mu.Unlock()
	now = max(now, st.clock+1)
	i := st.find(d, name, hash)
	first := i == 0
	switch {
	case first:
		i = st.create(hash, now)
		d.users.Add(1)
	case limit > 0 && int(st.entries[i].count) >= limit:
		return false
	default:
		name = d.at(st.entries[i].head).User
	}
	st.clock = now
	s.User, s.connected, s.away = name, now, false
	st.append(d, i, s, refOf(id))
	s.listed.Store(uint64(makeListing(id.Generation(), at)))
	if first && d.watcher != nil {
		d.watcher.UserCame(name)
	}
	return true
}

// Leave takes s off the list. Only the session's loop may call it.
func (d *Directory) Leave(id netpoll.ID, s *Session) {
	st := &d.stripes[s.listing().stripe()]
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, w := range st.walks {
		if w.next == refOf(id) {
			w.next = st.after(s, w.oneUser)
		}
	}
	st.remove(d, s)
	last := st.entries[s.entry].count == 0
	if last {
		st.destroy(s.entry)
		d.users.Add(-1)
	}
	s.listed.Store(0)
	if last && d.watcher != nil {
		d.watcher.UserGone(s.User)
	}
}

// SetAway notes whether the client of a listed session is away. Only the session's loop
// may call it.
func (d *Directory) SetAway(s *Session, away bool) {
	st := &d.stripes[s.listing().stripe()]
	st.mu.Lock()
	defer st.mu.Unlock()
	s.away = away
}

// Renew replaces what a listed session keeps of the handshake, but for user and
// User-Agent, as its client is back. Only the session's loop may call it.
func (d *Directory) Renew(s *Session, headers string, remote netip.AddrPort) {
	st := &d.stripes[s.listing().stripe()]
	st.mu.Lock()
	defer st.mu.Unlock()
	s.Headers, s.away = headers, false
	s.SetRemote(remote)
}

// Users returns how many users have a session.
func (d *Directory) Users() int { return int(d.users.Load()) }

// Count returns how many sessions a user has.
func (d *Directory) Count(user string) int {
	at, hash := d.locate(user)
	st := &d.stripes[at]
	st.mu.Lock()
	defer st.mu.Unlock()
	if i := st.find(d, user, hash); i != 0 {
		return int(st.entries[i].count)
	}
	return 0
}

// UserOf returns the user of a session; ok is false if it is not listed.
func (d *Directory) UserOf(id netpoll.ID) (user string, ok bool) {
	s, st := d.lock(id)
	if s == nil {
		return "", false
	}
	defer st.mu.Unlock()
	return s.User, true
}

// Get describes a session; ok is false if it is not listed.
func (d *Directory) Get(id netpoll.ID) (info Info, ok bool) {
	s, st := d.lock(id)
	if s == nil {
		return Info{}, false
	}
	r := rowOf(refOf(id), s)
	st.mu.Unlock()
	return d.infos([]row{r}, nil)[0], true
}

// EachOf calls visit with each session of a user, in the order of joining. A
// session that is listed throughout is visited once. visit runs without a lock:
// the session may be gone by then.
func (d *Directory) EachOf(user string, visit func(id netpoll.ID)) {
	var buf [step]netpoll.ID
	w := d.walkUser(user)
	defer w.end()
	for more := true; more; {
		ids := buf[:0]
		more = w.step(step, func(_ *stripe, r ref, s *Session) {
			ids = append(ids, r.id(s.listing().generation()))
		})
		for _, id := range ids {
			visit(id)
		}
	}
}

// lock locks the stripe of the session that id names, if it is listed, so that
// the caller may read the fields that are immutable meanwhile.
func (d *Directory) lock(id netpoll.ID) (*Session, *stripe) {
	s := d.at(refOf(id))
	if s == nil {
		return nil, nil
	}
	was := s.listing()
	if was.generation() != id.Generation() {
		return nil, nil
	}
	st := &d.stripes[was.stripe()]
	st.mu.Lock()
	if s.listing() != was {
		st.mu.Unlock()
		return nil, nil
	}
	return s, st
}
