package directory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"ws-gateway/netpoll"
)

func sameMemory(a, b string) bool { return unsafe.StringData(a) == unsafe.StringData(b) }

func TestPagesPutTogetherAreTheList(t *testing.T) {
	dir := newRig(2)
	want := map[string]string{}
	for slot := range uint32(700) {
		user := fmt.Sprint("u", slot%37)
		if slot >= 300 {
			user = "" // more than a step's worth
		}
		want[public(dir.enter(int(slot%2), slot, user))] = user
	}
	for _, limit := range []int{0, 1, 7, step, 699, 700, 701} {
		if got := dir.list(t, nil, limit).ids; !maps.Equal(got, want) {
			t.Errorf("in pages of %d: %d of %d", limit, len(got), len(want))
		}
		some := map[string]string{}
		for id, user := range want {
			if user == "" || user == "u5" {
				some[id] = user
			}
		}
		l := dir.list(t, []string{"u5", "nobody", "", "u5"}, limit)
		if !maps.Equal(l.ids, some) || l.ids[l.order[0]] != "u5" {
			t.Errorf("of two users, in pages of %d: %d of %d", limit, len(l.ids), len(some))
		}
	}
	if l := dir.list(t, []string{}, 0); len(l.ids) != 0 {
		t.Errorf("of no users, %d are listed", len(l.ids))
	}
}

func TestAListSelectsByPrefixAndAddressInPagesOfAnySize(t *testing.T) {
	dir := newRig(2)
	type who struct {
		user string
		from netip.AddrPort
	}
	all := map[string]who{}
	for i := range 900 {
		w := who{fmt.Sprintf("team-%d/user-%d", i%3, i%50), netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i % 5), byte(i % 7)}), uint16(1000+i))}
		if i%11 == 0 {
			w.from = netip.AddrPortFrom(netip.MustParseAddr("2001:db8::7"), uint16(1000+i))
		}
		id := dir.enterFrom(i%2, uint32(i), w.user, w.from)
		all[public(id)] = w
	}
	for name, q := range map[string]Query{
		"a prefix":                  {UserPrefix: "team-1/"},
		"a prefix that nobody has":  {UserPrefix: "team-9"},
		"the longest prefix":        {UserPrefix: "team-1/user-7"},
		"an address":                {Remote: netip.MustParsePrefix("10.0.3.2/32")},
		"a range":                   {Remote: netip.MustParsePrefix("10.0.3.0/24")},
		"all of IPv4":               {Remote: netip.MustParsePrefix("0.0.0.0/0")},
		"a range of IPv6":           {Remote: netip.MustParsePrefix("2001:db8::/32")},
		"a port":                    {Remote: netip.MustParsePrefix("0.0.0.0/0"), RemotePort: 1012},
		"both":                      {UserPrefix: "team-2", Remote: netip.MustParsePrefix("10.0.1.0/24")},
		"users, and of them a part": {Users: []string{"team-1/user-1", "team-2/user-2"}, Remote: netip.MustParsePrefix("10.0.1.0/24")},
	} {
		want := map[string]string{}
		for id, w := range all {
			if strings.HasPrefix(w.user, q.UserPrefix) && (!q.Remote.IsValid() || q.Remote.Contains(w.from.Addr())) &&
				(q.RemotePort == 0 || q.RemotePort == w.from.Port()) && (q.Users == nil || slices.Contains(q.Users, w.user)) {
				want[id] = w.user
			}
		}
		for _, limit := range []int{0, 1, 7, step, 1000} {
			got, pages := newHeard(), 0
			page := q
			page.Limit = limit
			for page.Cursor != "" || pages == 0 {
				next, err := dir.List(page, got.yield)
				if err != nil {
					t.Fatalf("%s, pages of %d: %v", name, limit, err)
				}
				page.Cursor = next
				pages++
			}
			if !maps.Equal(got.ids, want) {
				t.Errorf("%s, pages of %d: %d listed, want %d", name, limit, len(got.ids), len(want))
			}
			if limit > 0 && pages != max(1, (len(want)+limit-1)/limit) {
				t.Errorf("%s: %d pages of %d for %d connections", name, pages, limit, len(want))
			}
		}
	}
	dir.noWalks(t)
}

func TestAnEmptyGatewayListsNothing(t *testing.T) {
	dir := newRig(1)
	for _, limit := range []int{0, 5} {
		if l := dir.list(t, nil, limit); l.any {
			t.Errorf("%v", l.order)
		}
	}
}

func TestAnErrorOfYieldEndsTheListAndComesBack(t *testing.T) {
	dir := newRig(1)
	for slot := range uint32(5) {
		dir.enter(0, slot, fmt.Sprint(slot))
	}
	enough, calls := errors.New("enough"), 0
	_, err := dir.List(Query{}, func(string, []Info) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
	dir.noWalks(t)
}

func TestACursorStaysGoodWhenItsPlaceIsGone(t *testing.T) {
	const perUser = 10
	for name, c := range map[string]struct {
		users []string
		leave func(i int) bool // of the user's sessions, after a page of 5
		back  bool             // the user comes back with another session
		want  int              // of the user's sessions, on the second page
	}{
		"nobody left":                {[]string{""}, func(i int) bool { return false }, false, 5},
		"the last one listed left":   {[]string{""}, func(i int) bool { return i == 4 }, false, 5},
		"the whole page left":        {[]string{""}, func(i int) bool { return i < 5 }, false, 5},
		"also the next one left":     {[]string{""}, func(i int) bool { return i < 6 }, false, 4},
		"all that followed left":     {[]string{""}, func(i int) bool { return i > 4 }, false, 0},
		"the last one and all after": {[]string{""}, func(i int) bool { return i > 3 }, false, 0},
		"the user left":              {[]string{""}, func(i int) bool { return true }, false, 0},
		"the user left and is back":  {[]string{""}, func(i int) bool { return true }, true, 0},
		"likewise, in a whole list":  {nil, func(i int) bool { return true }, true, 0},
		"a whole list, a page left":  {nil, func(i int) bool { return i < 5 }, false, 5},
		"a whole list, nobody left":  {nil, func(i int) bool { return false }, true, 5},
		"a whole list, half is left": {nil, func(i int) bool { return i%2 == 0 }, true, 3},
	} {
		t.Run(name, func(t *testing.T) {
			dir := newRig(1)
			var ids []netpoll.ID
			for slot := range uint32(perUser) {
				ids = append(ids, dir.enter(0, slot, ""))
			}
			l := newHeard()
			next, err := dir.List(Query{Users: c.users, Limit: 5}, l.yield)
			if err != nil || next == "" || len(l.order) != 5 {
				t.Fatalf("first page: %d, next %q, %v", len(l.order), next, err)
			}
			for i, id := range ids {
				if c.leave(i) {
					dir.leave(id)
				}
			}
			if c.back {
				dir.enter(0, 100, "")
			}
			if next, err = dir.List(Query{Users: c.users, Cursor: next}, l.yield); err != nil || next != "" {
				t.Fatalf("second page: next %q, %v", next, err)
			}
			if got := len(l.order) - 5; got != c.want {
				t.Errorf("%d on the second page, want %d", got, c.want)
			}
			dir.noWalks(t)
		})
	}
}

func TestAPageGoesOnWithTheNextUserWhenItsOwnIsGone(t *testing.T) {
	dir := newRig(1)
	users := dir.neighbours(3)
	var ids []netpoll.ID
	for slot := range uint32(9) {
		ids = append(ids, dir.enter(0, slot, users[slot/3]))
	}
	l := newHeard()
	next, err := dir.List(Query{Limit: 5}, l.yield) // into the second user
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids[:6] {
		dir.leave(id)
	}
	if next, err = dir.List(Query{Cursor: next}, l.yield); err != nil || next != "" {
		t.Fatalf("next %q, %v", next, err)
	}
	want := append(append([]netpoll.ID(nil), ids[:5]...), ids[6:]...)
	for i, id := range want {
		if i >= len(l.order) || l.order[i] != public(id) {
			t.Fatalf("listed: %v", l.order)
		}
	}
}

func TestAWalkLeavesNewcomersOut(t *testing.T) {
	dir := newRig(1)
	users := dir.neighbours(3)
	for slot := range uint32(6) {
		dir.enter(0, slot, users[slot/3])
	}
	at, _ := dir.locate("")
	w := dir.walkStripe(at)
	var slots []uint32
	visit := func(_ *stripe, r ref, _ *Session) { slots = append(slots, uint32(r)) }
	w.step(1, visit)
	for slot, user := range []string{users[0], users[1], users[2], users[0]} {
		dir.enter(0, uint32(10+slot), user)
	}
	for w.step(2, visit) {
	}
	if !slices.Equal(slots, []uint32{0, 1, 2, 3, 4, 5}) {
		t.Errorf("visited: %v", slots)
	}
	dir.noWalks(t)
}

func TestAForeignCursorIsRefused(t *testing.T) {
	dir, other := newRig(1), newRig(1)
	for slot := range uint32(3) {
		dir.enter(0, slot, "a")
		other.enter(0, slot, "a")
	}
	ignore := func(string, []Info) error { return nil }
	own, _ := dir.List(Query{Limit: 1}, ignore)
	foreign, _ := other.List(Query{Limit: 1}, ignore)
	named, _ := dir.List(Query{Limit: 1, Users: []string{"a"}}, ignore)
	prefixed, _ := dir.List(Query{Limit: 1, UserPrefix: "a"}, ignore)
	if own == "" || foreign == "" || named == "" || prefixed == "" {
		t.Fatal("no cursor to try")
	}
	for name, q := range map[string]Query{
		"of another gateway":     {Cursor: foreign},
		"of other users":         {Cursor: named, Users: []string{"b"}},
		"of a list of users":     {Cursor: named},
		"of a list of all":       {Cursor: own, Users: []string{"a"}},
		"of another prefix":      {Cursor: prefixed},
		"of no prefix":           {Cursor: own, UserPrefix: "a"},
		"of another address":     {Cursor: prefixed, UserPrefix: "a", Remote: netip.MustParsePrefix("10.0.0.0/8")},
		"short":                  {Cursor: own[:len(own)-1]},
		"long":                   {Cursor: own + "A"},
		"changed":                {Cursor: flip(own)},
		"with a line end inside": {Cursor: own[:9] + "\n" + own[10:]},
		"garbage":                {Cursor: "garbage"},
	} {
		if _, err := dir.List(q, ignore); !errors.Is(err, ErrCursor) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, q := range []Query{{Cursor: own}, {Cursor: named, Users: []string{"a"}}, {Cursor: prefixed, UserPrefix: "a"}} {
		if _, err := dir.List(q, ignore); err != nil {
			t.Errorf("its own: %v", err)
		}
	}
}

func flip(s string) string {
	c := byte('A')
	if s[5] == c {
		c = 'B'
	}
	return s[:5] + string(c) + s[6:]
}

func FuzzCursor(f *testing.F) {
	dir := newRig(1)
	for slot := range uint32(3) {
		dir.enter(0, slot, "a")
	}
	ignore := func(string, []Info) error { return nil }
	own, _ := dir.List(Query{Limit: 1}, ignore)
	f.Add(own)
	f.Add(flip(own))
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := dir.List(Query{Cursor: s}, ignore); s != "" && s != own && !errors.Is(err, ErrCursor) {
			t.Errorf("%q: %v", s, err)
		}
	})
}

// TestAListUnderChurn lists, whole and in pages, while sessions come and go all
// around those that stay: who stays is listed once, nobody twice, and no user a
// second time.
func TestAListUnderChurn(t *testing.T) {
	const loops, stay, churn = 3, 400, 400
	dir := newRig(loops)
	users := []string{"", "", "", "alice", "bob", "carol", "dave"}
	want := map[string]string{}
	for loop := range loops {
		for slot := range uint32(stay) {
			user := users[int(slot)%len(users)]
			want[public(dir.enter(loop, 2*slot, user))] = user
		}
	}
	going, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	for loop := range loops {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(11, uint64(loop)))
			ids := map[uint32]netpoll.ID{}
			for going.Err() == nil {
				slot := 2*random.Uint32N(churn) + 1
				if id, ok := ids[slot]; ok {
					dir.leave(id)
					delete(ids, slot)
					continue
				}
				user := users[random.IntN(len(users))]
				if random.IntN(3) == 0 {
					user = fmt.Sprint("passing", random.IntN(50))
				}
				ids[slot] = dir.enter(loop, slot, user)
			}
		})
	}
	some := []string{"", "bob", "passing7"}
	for range 15 {
		for _, limit := range []int{0, 3, 50} {
			checkStayed(t, dir.list(t, nil, limit).ids, want, nil)
			checkStayed(t, dir.list(t, some, limit).ids, want, some)
		}
	}
	stop()
	wg.Wait()
	dir.noWalks(t)
}

func checkStayed(t *testing.T, got, want map[string]string, users []string) {
	t.Helper()
	for id, user := range want {
		if users != nil && !slices.Contains(users, user) {
			continue
		}
		if listed, ok := got[id]; !ok || listed != user {
			t.Fatalf("%s of %q is listed %v under %q", id, user, ok, listed)
		}
	}
}

func TestAListStreamsInBoundedMemory(t *testing.T) {
	dir := newRig(1)
	for slot := range uint32(20_000) {
		dir.enter(0, slot, "")
	}
	longest := 0
	if _, err := dir.List(Query{}, func(_ string, sessions []Info) error {
		longest = max(longest, len(sessions))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if longest > step {
		t.Errorf("%d connections in one call", longest)
	}
}

func TestAListSelectsWhoHasBeenThereForLonger(t *testing.T) {
	dir := newRig(1)
	ages := []time.Duration{0, 30 * time.Minute, 2 * time.Hour, 3 * time.Hour, 50 * time.Hour}
	for i, age := range ages {
		id, s := dir.enterFrom(0, uint32(i), "u", netip.AddrPort{}), dir.session(0, uint32(i))
		dir.Leave(id, s)
		dir.Join(id, s, fmt.Sprint("u", i), 0, time.Now().Add(-age).UnixNano())
	}
	for than, want := range map[time.Duration]int{0: 5, time.Minute: 4, time.Hour: 3, 2*time.Hour + time.Minute: 2, 100 * time.Hour: 0} {
		for _, limit := range []int{0, 1} {
			listed, cursor := 0, ""
			for pages := 0; pages == 0 || cursor != ""; pages++ {
				var err error
				cursor, err = dir.List(Query{OlderThan: than, Limit: limit, Cursor: cursor}, func(_ string, s []Info) error {
					listed += len(s)
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if listed != want {
				t.Errorf("older than %v, pages of %d: %d, want %d", than, limit, listed, want)
			}
		}
	}
	page, err := dir.List(Query{OlderThan: time.Minute, Limit: 1}, func(string, []Info) error { return nil })
	if err != nil || page == "" {
		t.Fatal(page, err)
	}
	if _, err := dir.List(Query{OlderThan: time.Hour, Limit: 1, Cursor: page}, func(string, []Info) error { return nil }); !errors.Is(err, ErrCursor) {
		t.Errorf("the cursor of another age: %v", err)
	}
}
