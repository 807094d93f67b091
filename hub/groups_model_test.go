package hub

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"ws-gateway/forward"
	"ws-gateway/netpoll"
)

// member is a connection in the model: what groups it is in, and what it must hear.
type member struct {
	*client
	user  string
	in    map[string]bool
	heard []string
}

func (m *member) inAnyOf(groups []string) bool {
	return slices.ContainsFunc(groups, func(n string) bool { return m.in[n] })
}

// groupModel plays random calls against a map that is obviously right.
type groupModel struct {
	*gateway
	random  *rand.Rand
	members []*member
	gone    []*member
	joins   uint64
	leaves  uint64
	closed  int
}

func (m *groupModel) names() (names []string) {
	for range 1 + m.random.IntN(3) {
		names = append(names, fmt.Sprint("group-", m.random.IntN(1+m.random.IntN(12))))
	}
	return names
}

// targets draws whom a call is for.
func (m *groupModel) targets() (t Targets, selected []*member) {
	switch m.random.IntN(5) {
	case 0:
		return Targets{All: true}, m.members
	case 1:
		user := m.members[m.random.IntN(len(m.members))].user
		for _, c := range m.members {
			if c.user == user {
				selected = append(selected, c)
			}
		}
		return Targets{Users: []string{user}}, selected
	case 2:
		t.Groups = m.names()
		for _, c := range m.members {
			if c.inAnyOf(t.Groups) {
				selected = append(selected, c)
			}
		}
		return t, selected
	default:
		for range 1 + m.random.IntN(3) {
			if c := m.members[m.random.IntN(len(m.members))]; !slices.Contains(selected, c) {
				selected = append(selected, c)
				t.Conns = append(t.Conns, c.id)
			}
		}
		if len(m.gone) > 0 { // it matches nothing
			t.Conns = append(t.Conns, m.gone[m.random.IntN(len(m.gone))].id)
		}
		return t, selected
	}
}

func (m *groupModel) dialOne() {
	user := fmt.Sprint("user-", m.random.IntN(4))
	m.members = append(m.members, &member{client: m.dial(user), user: user, in: map[string]bool{}})
}

func (m *groupModel) put(c *member, names []string) {
	for _, n := range names {
		if !c.in[n] {
			c.in[n] = true
			m.joins++
		}
	}
}

func (m *groupModel) take(c *member, names []string) {
	for _, n := range names {
		if c.in[n] {
			delete(c.in, n)
			m.leaves++
		}
	}
}

func (m *groupModel) step(turn int) {
	switch m.random.IntN(12) {
	case 0, 1, 2:
		t, selected := m.targets()
		names := m.names()
		if n := m.join(t, names...); n != len(selected) {
			m.t.Fatalf("turn %d: %d joined, want %d", turn, n, len(selected))
		}
		for _, c := range selected {
			m.put(c, names)
		}
	case 3, 4:
		t, selected := m.targets()
		names := m.names()
		if n := m.leave(t, names...); n != len(selected) {
			m.t.Fatalf("turn %d: %d left, want %d", turn, n, len(selected))
		}
		for _, c := range selected {
			m.take(c, names)
		}
	case 5:
		c := m.members[m.random.IntN(len(m.members))]
		id, _ := m.parse(c.id)
		join, leave := m.names(), m.names()
		m.Regroup(uint64(id), join, leave)
		m.take(c, leave)
		m.put(c, join)
		m.on(id.Loop(), func(*netpoll.Loop) {}) // no Settle is configured
	case 6:
		i := m.random.IntN(len(m.members))
		c := m.members[i]
		switch m.random.IntN(3) {
		case 0:
			c.CloseNow()
		case 1:
			c.client.Close(4000, "bye")
		default:
			if _, err := m.Close(m.t.Context(), Targets{Conn: c.id}, 0, ""); err != nil {
				m.t.Fatal(err)
			}
		}
		m.closed++
		m.app.count(m.t, "close", m.closed)
		m.leaves += uint64(len(c.in))
		m.members, m.gone = slices.Delete(m.members, i, i+1), append(m.gone, c)
		m.dialOne()
	default:
		names, message := m.names(), fmt.Sprint("message ", turn)
		t, want := Targets{Groups: names}, 0
		var left string
		if m.random.IntN(3) == 0 {
			left = m.members[m.random.IntN(len(m.members))].id
			t.Exclude = []string{left}
		}
		for _, c := range m.members {
			if c.id != left && c.inAnyOf(names) {
				c.heard = append(c.heard, message)
				want++
			}
		}
		if n := m.tell(t, message); n != want {
			m.t.Fatalf("turn %d: %d took it, want %d", turn, n, want)
		}
	}
}

// compare holds lists and counts to the model.
func (m *groupModel) compare() {
	m.t.Helper()
	want, memberships := map[string]int{}, 0
	for _, c := range m.members {
		var names []string
		for n := range c.in {
			want[n]++
			names = append(names, n)
		}
		memberships += len(names)
		slices.Sort(names)
		if got := m.groupsOf(c.client); !slices.Equal(got, names) {
			m.t.Fatalf("a connection is in %q, want %q", got, names)
		}
	}
	if got := m.listGroups(GroupQuery{Limit: 3}); !equalCounts(got, want) {
		m.t.Fatalf("groups are %v, want %v", got, want)
	}
	s := m.Stats()
	if int(s.Groups) != len(want) || int(s.Memberships) != memberships {
		m.t.Fatalf("%d groups and %d memberships, want %d and %d", s.Groups, s.Memberships, len(want), memberships)
	}
	if joins, leaves := s.Joins[ByCall]+s.Joins[ByAnswer], s.Leaves[ByCall]+s.Leaves[ByAnswer]+s.Leaves[ByClose]; joins != m.joins || leaves != m.leaves {
		m.t.Fatalf("%d joins and %d leaves, want %d and %d", joins, leaves, m.joins, m.leaves)
	}
	names := m.names()
	conns, users := 0, map[string]bool{}
	for _, c := range m.members {
		if c.inAnyOf(names) {
			conns++
			users[c.user] = true
		}
	}
	if c, u, err := m.CountMembers(m.t.Context(), names, Query{}); c != conns || u != len(users) || err != nil {
		m.t.Fatalf("%d connections of %d users are in %q, want %d of %d (%v)", c, u, names, conns, len(users), err)
	}
}

func TestGroupsAreWhatAMapSaysTheyAre(t *testing.T) {
	m := &groupModel{gateway: start(t, Config{}, netpoll.Config{Loops: 3}), random: rand.New(rand.NewPCG(11, 12))}
	for range 10 {
		m.dialOne()
	}
	for turn := range 1_500 {
		m.step(turn)
		if turn%50 == 0 {
			m.compare()
		}
	}
	m.compare()
	m.tell(Targets{All: true}, "end")
	for _, c := range m.members {
		c.hears(append(c.heard, "end")...)
	}
}

// Calls and closes go on while sends walk through large groups. Who stays hears all
// of them once and in their order; who comes and goes hears none twice.
func TestSendsMissNobodyWhileOthersJoinLeaveAndClose(t *testing.T) {
	const clients, sends = 540, 60 // of each loop's, more than a slice
	g := start(t, Config{}, netpoll.Config{Loops: 2})
	all := make([]*client, clients)
	var staying, moving []string
	for i := range all {
		all[i] = g.dial(fmt.Sprint("user", i%7))
		if i%9 == 0 {
			moving = append(moving, all[i].id)
		} else {
			staying = append(staying, all[i].id)
		}
	}
	g.join(Targets{All: true}, "a")
	g.join(Targets{Users: []string{"user1", "user2"}}, "b")
	g.join(Targets{Conns: staying[:50]}, "c")
	going, stop := context.WithCancel(t.Context())
	var movers sync.WaitGroup
	defer movers.Wait()
	defer stop()
	for mover := range 3 {
		mine := moving[mover*20 : mover*20+20]
		movers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(mover), 5))
			for closed := 0; going.Err() == nil; {
				one := mine[random.IntN(len(mine))]
				switch random.IntN(20) {
				default:
					g.join(Targets{Conn: one}, "a", "b", fmt.Sprint("own-", random.IntN(50)))
				case 0, 1, 2, 3, 4, 5, 6, 7:
					g.leave(Targets{Conns: []string{one, mine[0]}}, "a", "c")
				case 8, 9, 10:
					id, _ := g.parse(one)
					g.Regroup(uint64(id), []string{"c", "a"}, []string{"b"})
				case 11:
					if closed < 5 {
						closed++
						g.Close(t.Context(), Targets{Conn: one}, 0, "")
					}
				}
			}
		})
	}
	for n := range sends {
		g.tell(Targets{Groups: []string{"a", "c", "b"}[:1+2*(n%2)]}, strconv.Itoa(n))
	}
	stop()
	movers.Wait()
	g.tell(Targets{All: true}, "end")
	for _, c := range all {
		stays, next := slices.Contains(staying, c.id), 0
		for text := range c.messages {
			if text == "end" {
				if stays && next != sends {
					t.Errorf("one who stayed heard %d of %d", next, sends)
				}
				break
			}
			n, err := strconv.Atoi(text)
			if err != nil || n < next || stays && n != next {
				t.Fatalf("%q came (staying: %v), want %d", text, stays, next)
			}
			next = n + 1
		}
	}
}

func TestAConnectionIsInTheGroupsOfTheAnswerBeforeItIsOpen(t *testing.T) {
	g, questions := startAuthorizing(t, Config{MaxGroupsPerConnection: 2})
	dialed := g.attempt(t.Context(), "alice")
	q := <-questions
	yes := accepted
	yes.Join, yes.Leave = []string{"b", "a", "c"}, []string{"a"}
	q.answer(yes)
	k := <-dialed // the 101 is here: no task is waited for
	if k.err != nil {
		t.Fatal(k.err)
	}
	if n := g.tell(Targets{Groups: []string{"a"}}, "hello"); n != 1 {
		t.Errorf("%d took it", n)
	}
	if names, ok, err := g.GroupsOf(t.Context(), q.connID); !ok || err != nil || strings.Join(names, " ") != "a b" {
		t.Errorf("in %q, %v, %v", names, ok, err)
	}
	if s := g.Stats(); s.Joins[ByAnswer] != 2 || s.GroupsOverLimit != 1 {
		t.Errorf("joins %v, over %d", s.Joins, s.GroupsOverLimit)
	}
	dialed = g.attempt(t.Context(), "bob")
	no := (<-questions).answer
	refused := yes
	refused.Status, refused.Err = 403, forward.Rejected
	no(refused)
	if k := <-dialed; k.status != 403 {
		t.Errorf("answered %d", k.status)
	}
	if s := g.Stats(); s.Memberships != 2 {
		t.Errorf("%d memberships", s.Memberships)
	}
}
