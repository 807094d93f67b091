package e2e_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"ws-gateway/e2e/harness"
)

// groupModel is what a gateway should know of its groups, held in maps.
type groupModel struct {
	*gateway
	rnd     *rand.Rand
	members map[string]*member // by id
	groups  map[string]map[string]bool
	sent    int
}

// member is a connection, and what has been sent to it.
type member struct {
	*client
	user string
	due  []string
}

const modelLimit = 5 // groups that a connection may be in

var modelUsers, modelGroups = []string{"", "a", "b", "c"}, []string{"1", "2", "3", "4", "5", "6", "7", "é 8"}

func TestARandomHistoryOfGroupsIsThatOfAMap(t *testing.T) {
	t.Parallel()
	steps := 400
	if testing.Short() {
		steps = 100
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	m := &groupModel{
		gateway: startPushOnly(t, "--loops", "3", "--max-groups-per-connection", fmt.Sprint(modelLimit)),
		rnd:     rand.New(rand.NewPCG(seed, 0)), members: map[string]*member{}, groups: map[string]map[string]bool{},
	}
	for step := range steps {
		switch n := m.rnd.IntN(100); {
		case n < 12 && len(m.members) < 16:
			m.connects()
		case n < 17:
			m.leavesByItself()
		case n < 20:
			m.closes()
		case n < 50:
			m.joins()
		case n < 65:
			m.leaves()
		case n < 90:
			m.sends()
		default:
			m.looks()
		}
		if t.Failed() {
			t.Fatalf("at step %d", step)
		}
	}
	m.looks()
	for _, one := range m.members {
		for _, message := range one.due {
			one.Receive(message)
		}
	}
	m.send(`{"payload":"end","all":true}`)
	for _, one := range m.members {
		one.Receive(`"end"`) // and nothing before it
	}
}

// some picks up to most of all, some of them twice.
func (m *groupModel) some(all []string, most int) (picked []string) {
	for range m.rnd.IntN(most + 1) {
		if len(all) > 0 {
			picked = append(picked, all[m.rnd.IntN(len(all))])
		}
	}
	return picked
}

func (m *groupModel) ids() []string { return slices.Sorted(maps.Keys(m.members)) }

// whom picks connections as a call names them.
func (m *groupModel) whom() (body string, ids []string) {
	conns, users, exclude := m.some(append(m.ids(), "gone"), 3), m.some(modelUsers, 2), m.some(m.ids(), 1)
	all := m.rnd.IntN(10) == 0
	for _, id := range m.ids() {
		named := all || slices.Contains(conns, id) || slices.Contains(users, m.members[id].user)
		if named && !slices.Contains(exclude, id) {
			ids = append(ids, id)
		}
	}
	if !all && len(conns)+len(users) == 0 {
		conns = []string{"gone"}
	}
	return fmt.Sprintf(`"conns":%s,"users":%s,"exclude":%s,"all":%v`, quoted(conns...), quoted(users...), quoted(exclude...), all), ids
}

// in is the members of groups without those that are excluded.
func (m *groupModel) in(groups, exclude []string) (ids []string) {
	for _, id := range m.ids() {
		if !slices.Contains(exclude, id) && slices.ContainsFunc(groups, func(name string) bool { return m.groups[name][id] }) {
			ids = append(ids, id)
		}
	}
	return ids
}

// of is the groups that a connection is in.
func (m *groupModel) of(id string) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(m.groups)) {
		if m.groups[name][id] {
			names = append(names, name)
		}
	}
	return names
}

// remove forgets a connection, or its membership of one group.
func (m *groupModel) remove(id string, groups ...string) {
	for _, name := range groups {
		if delete(m.groups[name], id); len(m.groups[name]) == 0 {
			delete(m.groups, name)
		}
	}
}

func (m *groupModel) connects() {
	user := modelUsers[m.rnd.IntN(len(modelUsers))]
	c := m.Dial(m.T, user)
	users, _ := m.list("")
	for _, listed := range users[user] {
		if m.members[listed.ID] == nil {
			m.members[listed.ID] = &member{client: c, user: user}
		}
	}
}

func (m *groupModel) leavesByItself() {
	for _, id := range m.some(m.ids(), 1) {
		m.members[id].HangUp()
		harness.Poll(m.T, "the connection to be gone", func() bool { return strings.Contains(m.get(getPath+"?conn_id="+id).body, `"code":404`) })
		m.remove(id, m.of(id)...)
		delete(m.members, id)
		if n := m.join(`{"groups":["1"],"conns":["` + id + `"]}`); n != 0 {
			m.T.Errorf("a join of one that is gone matched %d", n)
		}
	}
}

func (m *groupModel) closes() {
	groups, exclude := m.some(modelGroups, 1), m.some(m.ids(), 2)
	if len(groups) == 0 {
		return
	}
	ids := m.in(groups, exclude)
	a := m.post(closePath, fmt.Sprintf(`{"groups":%s,"exclude":%s,"report":true}`, quoted(groups...), quoted(exclude...)))
	if a.report(m.T).Matched != len(ids) {
		m.T.Errorf("a close of %q without %q: %s, want %d", groups, exclude, a.body, len(ids))
	}
	for _, id := range ids {
		for _, message := range m.members[id].due {
			m.members[id].Receive(message)
		}
		m.members[id].ClosedWith(1000, "")
		m.remove(id, m.of(id)...)
		delete(m.members, id)
	}
}

func (m *groupModel) joins() {
	whom, ids := m.whom()
	groups := m.some(modelGroups, 4)
	if len(groups) == 0 {
		return
	}
	over := false
	for _, id := range ids {
		now := m.of(id)
		would := slices.Compact(slices.Sorted(slices.Values(slices.Concat(now, groups))))
		over = over || len(would) > modelLimit && len(would) > len(now)
	}
	a := m.post(joinPath, `{"groups":`+quoted(groups...)+`,`+whom+`}`)
	switch p := a.parse(m.T); {
	case over && p.Code != 400:
		m.T.Errorf("join of %q by %s: %s, want 400", groups, whom, a.body)
	case !over && (p.Code != 0 || a.report(m.T).Matched != len(ids)):
		m.T.Errorf("join of %q by %s: %s, want %d", groups, whom, a.body, len(ids))
	case !over && len(ids) > 0:
		for _, name := range groups {
			if m.groups[name] == nil {
				m.groups[name] = map[string]bool{}
			}
			for _, id := range ids {
				m.groups[name][id] = true
			}
		}
	}
}

func (m *groupModel) leaves() {
	whom, ids := m.whom()
	groups := m.some(modelGroups, 4)
	if len(groups) == 0 {
		return
	}
	if n := m.leave(`{"groups":` + quoted(groups...) + `,` + whom + `}`); n != len(ids) {
		m.T.Errorf("leave of %q by %s matched %d, want %d", groups, whom, n, len(ids))
	}
	for _, id := range ids {
		m.remove(id, groups...)
	}
}

func (m *groupModel) sends() {
	groups, exclude := m.some(modelGroups, 4), m.some(m.ids(), 2)
	if len(groups) == 0 {
		return
	}
	m.sent++
	message := fmt.Sprint(m.sent)
	ids := m.in(groups, exclude)
	a := m.post(sendPath, fmt.Sprintf(`{"groups":%s,"exclude":%s,"report":true,"payload":%s}`, quoted(groups...), quoted(exclude...), message))
	if a.status != http.StatusOK || a.report(m.T) != (report{len(ids), len(ids), 0}) {
		m.T.Errorf("a send to %q without %q: %s, want %d", groups, exclude, a.body, len(ids))
	}
	for _, id := range ids {
		m.members[id].due = append(m.members[id].due, message)
	}
}

// looks compares all that the gateway shows.
func (m *groupModel) looks() {
	want := map[string]int{}
	for name, ids := range m.groups {
		want[name] = len(ids)
	}
	if got, _ := m.gateway.groups(""); !maps.Equal(got, want) {
		m.T.Errorf("there are the groups %v, want %v", got, want)
	}
	for id := range m.members {
		if got, want := m.groupsOf(id), m.of(id); !slices.Equal(got, want) {
			m.T.Errorf("%s is in %q, want %q", id, got, want)
		}
	}
	for _, id := range m.some(m.ids(), 1) {
		if got, _ := m.gateway.groups("?conn_id=" + id); len(got) != len(m.of(id)) {
			m.T.Errorf("the groups of %s are %v, want %q", id, got, m.of(id))
		}
	}
	names := m.some(modelGroups, 3)
	if len(names) == 0 {
		return
	}
	var listed []string
	users, _ := m.list(groupQuery(names))
	for user, conns := range users {
		for _, c := range conns {
			listed = append(listed, c.ID)
			if m.members[c.ID].user != user {
				m.T.Errorf("%s is listed under %q", c.ID, user)
			}
		}
	}
	ids := m.in(names, nil)
	if slices.Sort(listed); !slices.Equal(listed, ids) {
		m.T.Errorf("in %q are listed %q, want %q", names, listed, ids)
	}
	if conns, n := m.countIn(names...); conns != len(ids) || n != len(users) {
		m.T.Errorf("in %q are %d connections of %d users, want %d of %d", names, conns, n, len(ids), len(users))
	}
}
