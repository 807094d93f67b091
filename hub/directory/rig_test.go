package directory

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
	"unique"

	"ws-gateway/netpoll"
)

// rig is a directory whose sessions have no connections. As for real loops, calls
// for one loop come from one goroutine.
type rig struct {
	*Directory
	sessions   []*netpoll.Slab[Session]
	generation []uint32 // of the newest session, by loop
}

func newRig(loops int) *rig {
	dir := &rig{Directory: New(appendID), generation: make([]uint32, loops)}
	for range loops {
		slab := new(netpoll.Slab[Session])
		dir.sessions = append(dir.sessions, slab)
		dir.AddLoop(slab)
	}
	return dir
}

func appendID(dst []byte, id netpoll.ID) []byte { return fmt.Appendf(dst, "%016x", uint64(id)) }

func public(id netpoll.ID) string { return string(appendID(nil, id)) }

var agents = []string{"Mozilla/5.0 (X11; Linux x86_64)", "okhttp/4.12.0", "LarePass/1.4 (Android 15)", ""}

// session is the session of a slot, in use or not.
func (dir *rig) session(loop int, slot uint32) *Session {
	dir.sessions[loop].Grow(slot)
	return dir.sessions[loop].At(slot)
}

// enter opens a session in a slot that is free.
func (dir *rig) enter(loop int, slot uint32, user string) netpoll.ID {
	return dir.enterFrom(loop, slot, user, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(slot >> 16), byte(slot >> 8), byte(slot)}), uint16(slot)))
}

func (dir *rig) enterFrom(loop int, slot uint32, user string, remote netip.AddrPort) netpoll.ID {
	dir.generation[loop]++
	id := netpoll.MakeID(loop, slot, dir.generation[loop])
	s := dir.session(loop, slot)
	s.Headers, s.Agent = "", unique.Make(agents[int(slot)%len(agents)])
	s.SetRemote(remote)
	dir.Join(id, s, user, 0, time.Now().UnixNano())
	return id
}

func (dir *rig) leave(id netpoll.ID) {
	s := dir.session(id.Loop(), id.Slot())
	dir.Leave(id, s)
	s.Release()
}

// heard is what a run of List said, checked for what no run may say.
type heard struct {
	ids   map[string]string // user by id
	order []string          // ids
	left  map[string]bool   // users that were listed and left
	user  string
	any   bool
}

func newHeard() *heard { return &heard{ids: map[string]string{}, left: map[string]bool{}} }

func (l *heard) yield(user string, sessions []Info) error {
	if l.any && user != l.user {
		l.left[l.user] = true
	}
	if l.left[user] {
		return fmt.Errorf("user %q comes a second time", user)
	}
	if len(sessions) == 0 {
		return fmt.Errorf("user %q has no session", user)
	}
	l.user, l.any = user, true
	for _, s := range sessions {
		if _, ok := l.ids[s.ID]; ok {
			return fmt.Errorf("session %s comes a second time", s.ID)
		}
		if s.User != user {
			return fmt.Errorf("session %s of %q is listed under %q", s.ID, s.User, user)
		}
		l.ids[s.ID] = user
		l.order = append(l.order, s.ID)
	}
	return nil
}

// list lists everything, in pages of limit, which 0 makes one.
func (dir *rig) list(t testing.TB, users []string, limit int) *heard {
	t.Helper()
	l := newHeard()
	q := Query{Users: users, Limit: limit}
	for {
		before := len(l.order)
		next, err := dir.List(q, l.yield)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(l.order) - before; limit > 0 && (n > limit || next != "" && n < limit) {
			t.Fatalf("a page of %d has %d sessions, and the next one is %q", limit, n, next)
		}
		if next == "" {
			return l
		}
		q.Cursor = next
	}
}

// members are the sessions of a user in the order of joining.
func (dir *rig) members(user string) (ids []netpoll.ID) {
	dir.EachOf(user, func(id netpoll.ID) { ids = append(ids, id) })
	return ids
}

// neighbours are users of the same stripe as the user "".
func (dir *rig) neighbours(n int) (names []string) {
	wanted, _ := dir.locate("")
	for i := 0; len(names) < n; i++ {
		name := fmt.Sprint(i)
		if at, _ := dir.locate(name); at == wanted {
			names = append(names, name)
		}
	}
	return names
}

// noWalks checks that no walk is left in a stripe.
func (dir *rig) noWalks(t *testing.T) {
	t.Helper()
	for i := range dir.stripes {
		st := &dir.stripes[i]
		st.mu.Lock()
		if len(st.walks) != 0 {
			t.Errorf("%d walks are left in stripe %d", len(st.walks), i)
		}
		st.mu.Unlock()
	}
}
