package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"

	"ws-gateway/hub/groups"
	"ws-gateway/netpoll"
)

func (g *gateway) join(t Targets, names ...string) int {
	g.t.Helper()
	n, err := g.Join(g.t.Context(), t, names)
	if err != nil {
		g.t.Fatal(err)
	}
	return n
}

func (g *gateway) leave(t Targets, names ...string) int {
	g.t.Helper()
	n, err := g.Leave(g.t.Context(), t, names)
	if err != nil {
		g.t.Fatal(err)
	}
	return n
}

// tell sends a text message and returns how many connections took it.
func (g *gateway) tell(t Targets, text string) int {
	g.t.Helper()
	r, err := g.Send(g.t.Context(), t, netpoll.NewFrame(ws.OpText, []byte(text)), true)
	if err != nil {
		g.t.Fatal(err)
	}
	return r.Queued
}

// groupsOf is which groups a connection is in.
func (g *gateway) groupsOf(c *client) []string {
	g.t.Helper()
	names, ok, err := g.GroupsOf(g.t.Context(), c.id)
	if err != nil || !ok {
		g.t.Fatalf("groups of a connection: %v, %v", ok, err)
	}
	return names
}

// listGroups lists in pages of limit, which 0 makes one.
func (g *gateway) listGroups(q GroupQuery) (all map[string]int) {
	g.t.Helper()
	all = map[string]int{}
	for {
		page := 0
		next, err := g.ListGroups(g.t.Context(), q, func(list []Group) error {
			for _, x := range list {
				if _, ok := all[x.Name]; ok {
					return fmt.Errorf("%q comes twice", x.Name)
				}
				all[x.Name] = x.Connections
				page++
			}
			return nil
		})
		if err != nil {
			g.t.Fatal(err)
		}
		if q.Limit > 0 && (page > q.Limit || next != "" && page < q.Limit) {
			g.t.Fatalf("a page of %d has %d groups, and the next one is %q", q.Limit, page, next)
		}
		if next == "" {
			return all
		}
		q.Cursor = next
	}
}

func TestASendToGroupsReachesEachMemberOnce(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{})
	var all []*client
	for i := range 6 {
		all = append(all, g.dial(fmt.Sprint("user", i%2)))
	}
	if n := g.join(Targets{Conns: []string{all[0].id, all[1].id, all[2].id}}, "red", "blue"); n != 3 {
		t.Errorf("%d matched, want 3", n)
	}
	if n := g.join(Targets{Users: []string{"user1"}}, "blue"); n != 3 { // 1, 3 and 5
		t.Errorf("%d matched, want 3", n)
	}
	if n := g.tell(Targets{Groups: []string{"blue", "red", "blue", "none"}}, "one"); n != 5 {
		t.Errorf("%d took it, want 5", n)
	}
	if n := g.tell(Targets{Groups: []string{"blue"}, Exclude: []string{all[0].id}}, "two"); n != 4 {
		t.Errorf("%d took it, want 4", n)
	}
	if n := g.tell(Targets{Groups: []string{"none"}}, "three"); n != 0 {
		t.Errorf("%d took it, want 0", n)
	}
	if n := g.leave(Targets{Conn: all[1].id}, "red", "none"); n != 1 {
		t.Errorf("%d matched, want 1", n)
	}
	if n := g.tell(Targets{Groups: []string{"red"}}, "four"); n != 2 {
		t.Errorf("%d took it, want 2", n)
	}
	g.tell(Targets{All: true}, "end")
	all[0].hears("one", "four", "end")
	all[1].hears("one", "two", "end")
	all[2].hears("one", "two", "four", "end")
	all[3].hears("one", "two", "end")
	all[4].hears("end")
	s := g.Stats()
	if got := s.Sends[SendGroups]; got.Calls != 4 || got.Matched != 11 || got.Queued != 11 {
		t.Errorf("sends: %+v", got)
	}
	if s.Groups != 2 || s.Memberships != 7 || s.Joins[ByCall] != 8 || s.Leaves[ByCall] != 1 || s.GroupBytes == 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestWhoClosesIsOutOfItsGroupsBeforeTheCloseEvent(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{})
	var all []*client
	for range 4 {
		c := g.dial("alice")
		all = append(all, c)
	}
	g.join(Targets{All: true}, "room", "other")
	all[0].Close(websocket.StatusNormalClosure, "")
	all[1].CloseNow()
	if r, err := g.Close(t.Context(), Targets{Conn: all[2].id}, 0, ""); err != nil || r.Matched != 1 {
		t.Fatal(r, err)
	}
	g.app.count(t, "close", 3)
	if got := g.listGroups(GroupQuery{}); got["room"] != 1 || got["other"] != 1 {
		t.Errorf("groups: %v", got)
	}
	if r, err := g.Close(t.Context(), Targets{Groups: []string{"room", "other"}}, 4001, "over"); err != nil || r.Matched != 1 {
		t.Error(r, err)
	}
	if code, reason := all[3].ends(); code != 4001 || reason != "over" {
		t.Errorf("closed with %d %q", code, reason)
	}
	if got := g.listGroups(GroupQuery{}); len(got) != 0 {
		t.Errorf("groups are left: %v", got)
	}
	if s := g.Stats(); s.Leaves[ByClose] != 8 || s.Memberships != 0 || s.Groups != 0 {
		t.Errorf("stats: %+v", s)
	}
	if n := g.join(Targets{Conn: all[3].id}, "room"); n != 0 {
		t.Error("a connection that is gone joined")
	}
}

func TestAJoinIsDoneForAllOrForNone(t *testing.T) {
	g := start(t, Config{MaxGroupsPerConnection: 3}, netpoll.Config{})
	a, b := g.dial("alice"), g.dial("bob")
	g.join(Targets{Conn: a.id}, "1", "2")
	for _, to := range []Targets{{All: true}, {Conns: []string{b.id, a.id}}, {Conn: a.id}} {
		_, err := g.Join(t.Context(), to, []string{"1", "3", "4"})
		var over *GroupLimitError
		if !errors.As(err, &over) || over.Conn != a.id || over.Groups != 4 || over.Limit != 3 || !strings.Contains(err.Error(), "--max-groups-per-connection") {
			t.Errorf("%+v: %v", to, err)
		}
	}
	if got := g.groupsOf(b); len(got) != 0 {
		t.Errorf("joined %q", got)
	}
	g.join(Targets{All: true}, "1", "2", "3") // to be in as many as one may be is no error, once and twice
	g.join(Targets{All: true}, "1", "2", "3")
	if got := g.groupsOf(a); !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("in %q", got)
	}
	if _, err := g.Join(t.Context(), Targets{All: true}, []string{"1", "a\nb"}); !errors.As(err, new(*groups.NameError)) {
		t.Error(err)
	}
	many := make([]string, 5_000)
	for i := range many {
		many[i] = fmt.Sprint("many-", i)
	}
	var over *GroupLimitError
	if _, err := g.Join(t.Context(), Targets{All: true}, many); !errors.As(err, &over) || over.Conn != "" || over.Groups != 5_000 {
		t.Error(err)
	}
	if s := g.Stats(); s.GroupsOverLimit != 4 {
		t.Errorf("%d joins were over the limit", s.GroupsOverLimit)
	}
}

// Whatever overlaps: joins of all, of one, and of answers.
func TestJoinsThatOverlapKeepTheLimitTogether(t *testing.T) {
	const limit = 3
	g := start(t, Config{MaxGroupsPerConnection: limit}, netpoll.Config{Loops: 2})
	var all []*client
	for range 8 {
		all = append(all, g.dial("alice"))
	}
	for round := range 20 {
		var work sync.WaitGroup
		var joined [8]atomic.Bool
		for i := range joined {
			work.Go(func() {
				to := Targets{All: true}
				if i%2 == 0 {
					to = Targets{Conn: all[i].id}
				}
				_, err := g.Join(t.Context(), to, []string{fmt.Sprint("a", i), fmt.Sprint("b", i)})
				var over *GroupLimitError
				if err != nil && !errors.As(err, &over) {
					t.Error(err)
				}
				joined[i].Store(err == nil)
			})
			work.Go(func() {
				id, _ := g.parse(all[i].id)
				g.Regroup(uint64(id), []string{fmt.Sprint("answer", i)}, nil)
			})
		}
		work.Wait()
		for n, c := range all {
			in := g.groupsOf(c)
			if len(in) > limit {
				t.Errorf("round %d: connection %d is in %q", round, n, in)
			}
			for i := range joined {
				concerned := i%2 == 1 || i == n
				for _, name := range []string{fmt.Sprint("a", i), fmt.Sprint("b", i)} {
					if slices.Contains(in, name) != (concerned && joined[i].Load()) {
						t.Errorf("round %d: connection %d is in %q; join %d succeeded: %v", round, n, in, i, joined[i].Load())
					}
				}
			}
			if _, err := g.Leave(t.Context(), Targets{Conn: c.id}, in); err != nil && len(in) > 0 {
				t.Fatal(err)
			}
		}
	}
	if s := g.Stats(); s.Memberships != 0 || g.groups.Reserve(g.groups.Limit()) == false {
		t.Errorf("memory stays reserved; stats: %+v", s)
	}
}

func TestAJoinPastTheMemoryForGroupsIsRefused(t *testing.T) {
	g := start(t, Config{GroupMemory: 256 << 10}, netpoll.Config{})
	var all []*client
	for range 20 {
		all = append(all, g.dial("alice"))
	}
	long := func(of string) (names []string) {
		for i := range 100 {
			names = append(names, fmt.Sprint(strings.Repeat("x", 200), of, i))
		}
		return names
	}
	if _, err := g.Join(t.Context(), Targets{All: true}, long("all")); err != nil {
		t.Fatal(err) // 2,000 memberships fit
	}
	if _, err := g.Leave(t.Context(), Targets{All: true}, long("all")); err != nil || g.Stats().Groups != 0 {
		t.Fatal(err)
	}
	refused := 0
	for _, c := range all {
		if _, err := g.Join(t.Context(), Targets{Conn: c.id}, long(c.id)); errors.Is(err, ErrGroupMemory) {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	id, _ := g.parse(all[0].id)
	g.Regroup(uint64(id), long("answer"+all[0].id), nil) // needs more than the calls that were refused
	g.on(id.Loop(), func(*netpoll.Loop) {})
	s := g.Stats()
	if refused == 0 || refused == len(all) || s.GroupsOverMemory != uint64(refused)+100 || s.GroupBytes > 384<<10 {
		t.Errorf("%d refused, %d and memberships counted, %d bytes", refused, s.GroupsOverMemory, s.GroupBytes)
	}
	if s.Joins[ByCall] != uint64(100*(2*len(all)-refused)) {
		t.Errorf("%d joins, %d calls refused", s.Joins[ByCall], refused)
	}
}

// What a join has put aside must not be missing for the next one.
func TestJoinsGiveBackTheMemoryThatTheyReserve(t *testing.T) {
	g := start(t, Config{GroupMemory: 256 << 10}, netpoll.Config{Loops: 1})
	a, b := g.dial("alice"), g.dial("bob")
	id, _ := g.parse(a.id)
	name := func(first string) string { return first + strings.Repeat("x", 250) }
	for range 1_000 { // each of the joins reserves 300 bytes
		g.join(Targets{Conn: a.id}, name("a"))
		g.join(Targets{Users: []string{"alice", "bob"}}, name("b"))
		g.Regroup(uint64(id), []string{name("c")}, nil)
		g.leave(Targets{Conns: []string{a.id, b.id}}, name("a"), name("b"), name("c"))
	}
	s := g.Stats()
	if s.GroupsOverMemory != 0 || s.Memberships != 0 {
		t.Errorf("%d joins found no memory, %d memberships are left", s.GroupsOverMemory, s.Memberships)
	}
}

func TestGroupsAreListedInPagesAndByConnection(t *testing.T) {
	g := start(t, Config{MaxGroupsPerConnection: 1000}, netpoll.Config{})
	a, b := g.dial("alice"), g.dial("bob")
	want := map[string]int{}
	var ofA, ofB []string
	for i := range 700 {
		name := fmt.Sprint("room-", i)
		want[name] = 1
		if i%2 == 0 {
			ofA = append(ofA, name)
		} else {
			ofB = append(ofB, name)
		}
	}
	ofA, ofB = append(ofA, "both"), append(ofB, "both")
	want["both"] = 2
	g.join(Targets{Conn: a.id}, ofA...)
	g.join(Targets{Users: []string{"bob"}}, ofB...)
	for _, limit := range []int{0, 1, 7, 256, 300, 701, 5000} {
		if limit == 1 && testing.Short() {
			continue
		}
		if got := g.listGroups(GroupQuery{Limit: limit}); !equalCounts(got, want) {
			t.Errorf("limit %d: %d groups, want %d", limit, len(got), len(want))
		}
	}
	for _, q := range []GroupQuery{{Conn: a.id}, {Users: []string{"alice"}, Limit: 100}} {
		got := g.listGroups(q)
		if len(got) != len(ofA) || got["both"] != 2 || got["room-0"] != 1 {
			t.Errorf("%+v: %d groups", q, len(got))
		}
	}
	slices.Sort(ofB)
	if got := g.groupsOf(b); !slices.Equal(got, ofB) {
		t.Errorf("bob is in %d groups", len(got))
	}
	next, err := g.ListGroups(t.Context(), GroupQuery{Limit: 1}, func([]Group) error { return nil })
	if err != nil || next == "" {
		t.Fatal(next, err)
	}
	for _, q := range []GroupQuery{{Cursor: next, Conn: a.id}, {Cursor: "x"}, {Cursor: strings.Repeat("A", len(next))}} {
		if _, err := g.ListGroups(t.Context(), q, func([]Group) error { return nil }); !errors.Is(err, ErrCursor) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	if _, ok, _ := g.GroupsOf(t.Context(), "nobody"); ok {
		t.Error("nobody is in groups")
	}
}

func equalCounts(a, b map[string]int) bool {
	if len(a) != len(b) {
		return false
	}
	for name, n := range a {
		if b[name] != n {
			return false
		}
	}
	return true
}

func TestMembersAreListedAndCountedByUser(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{})
	for i := range 9 {
		g.dial(fmt.Sprint("user", i%3))
	}
	g.dial("stranger")
	g.join(Targets{Users: []string{"user0", "user1"}}, "a")
	g.join(Targets{Users: []string{"user1", "user2"}}, "b")
	if conns, users, err := g.CountMembers(t.Context(), []string{"a", "b", "none"}, Query{}); conns != 9 || users != 3 || err != nil {
		t.Error(conns, users, err)
	}
	if conns, users, err := g.CountMembers(t.Context(), []string{"a"}, Query{}); conns != 6 || users != 2 || err != nil {
		t.Error(conns, users, err)
	}
	for names, want := range map[string]int{"a": 6, "b": 6, "a b": 12, "a none a": 6, "none": 0} {
		if n, err := g.GroupSizes(t.Context(), strings.Fields(names)); n != want || err != nil {
			t.Errorf("the sizes of %s: %d, %v", names, n, err)
		}
	}
	for users, want := range map[string]int{"user0": 3, "user1": 6, "user0 user1 user0 none": 9, "stranger": 0, "none": 0} {
		if n, err := g.MembershipsOf(t.Context(), strings.Fields(users)); n != want || err != nil {
			t.Errorf("memberships of %s: %d, %v", users, n, err)
		}
	}
	if conns, users, err := g.CountMembers(t.Context(), []string{}, Query{}); conns != 0 || users != 0 || err != nil {
		t.Error(conns, users, err)
	}
	for _, limit := range []int{0, 1, 2, 4} {
		listed, q := map[string]int{}, Query{Limit: limit}
		for {
			next, err := g.ListMembers(t.Context(), []string{"b"}, q, func(user string, conns []Info) error {
				listed[user] += len(conns)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if next == "" {
				break
			}
			q.Cursor = next
		}
		if !equalCounts(listed, map[string]int{"user1": 3, "user2": 3}) {
			t.Errorf("limit %d: %v", limit, listed)
		}
	}
	next, err := g.ListMembers(t.Context(), []string{"b"}, Query{Limit: 1}, func(string, []Info) error { return nil })
	if err != nil || next == "" {
		t.Fatal(next, err)
	}
	if _, err := g.ListMembers(t.Context(), []string{"a"}, Query{Limit: 1, Cursor: next}, func(string, []Info) error { return nil }); !errors.Is(err, ErrCursor) {
		t.Errorf("a cursor of another group: %v", err)
	}
	listed := 0
	if _, err := g.ListMembers(t.Context(), []string{"a", "b"}, Query{Users: []string{"user2"}}, func(user string, conns []Info) error {
		listed += len(conns)
		return nil
	}); err != nil || listed != 3 {
		t.Error(listed, err)
	}
}

func TestAnAnswerJoinsAndLeaves(t *testing.T) {
	g := start(t, Config{MaxGroupsPerConnection: 3}, netpoll.Config{})
	c := g.dial("alice")
	id, _ := g.parse(c.id)
	g.Regroup(uint64(id), []string{"a", "b"}, nil)
	g.Regroup(uint64(id), []string{"c", "d", "a", "", "e"}, []string{"b"}) // a, c and d; e is over
	g.Regroup(uint64(id+1), []string{"x"}, nil)
	g.Regroup(^uint64(0), []string{"x"}, nil)
	g.on(id.Loop(), func(*netpoll.Loop) {})
	if got := g.groupsOf(c); !slices.Equal(got, []string{"a", "c", "d"}) {
		t.Errorf("in %q", got)
	}
	s := g.Stats()
	if s.Joins[ByAnswer] != 4 || s.Leaves[ByAnswer] != 1 || s.GroupsOverLimit != 1 || s.LateRegroups != 1 {
		t.Errorf("stats: joins %v, leaves %v, over %d, late %d", s.Joins, s.Leaves, s.GroupsOverLimit, s.LateRegroups)
	}
}

func TestALowerLimitOfAReloadKeepsNobodyOutOfWhatTheyAreIn(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{})
	c := g.dial("alice")
	g.join(Targets{Conn: c.id}, "a", "b", "c")
	apply, err := g.Reload(Config{MaxGroupsPerConnection: 2})
	if err != nil {
		t.Fatal(err)
	}
	apply()
	g.join(Targets{Conn: c.id}, "a", "b")
	if _, err := g.Join(t.Context(), Targets{Conn: c.id}, []string{"d"}); err == nil {
		t.Error("joined one more")
	}
	for _, bad := range []Config{{MaxGroupsPerConnection: -1}, {GroupMemory: -1}, {GroupMemory: 1 << 40}} {
		if _, err := g.Reload(bad); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

func TestACallThatNobodyWaitsForJoinsNobody(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{})
	c := g.dial("alice")
	ended, end := context.WithCancel(t.Context())
	end()
	released, release := context.WithCancel(t.Context())
	entered := make(chan struct{})
	id, _ := g.parse(c.id)
	g.server.Loops()[id.Loop()].Post(func(*netpoll.Loop) bool { close(entered); <-released.Done(); return false })
	<-entered
	_, err := g.Join(ended, Targets{All: true}, []string{"a"})
	release()
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got := g.groupsOf(c); len(got) != 0 {
		t.Errorf("in %q", got)
	}
}
