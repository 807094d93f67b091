package cluster

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

func TestASendReachesTheTargetsOfAllInstancesInOrder(t *testing.T) {
	_, all := together(t, 3)
	a, b, c := all[0], all[1], all[2]
	alice, bob, alice2 := b.dial("alice"), c.dial("bob"), a.dial("alice")
	const n = 50
	for i := range n {
		a.mustSend(hub.Targets{Users: []string{"alice"}}, fmt.Sprint("to alice ", i))
		a.mustSend(hub.Targets{Conn: bob.id, Owned: true}, fmt.Sprint("to bob ", i))
		a.mustSend(hub.Targets{All: true, Exclude: []string{alice2.id}}, fmt.Sprint("to all but one ", i))
	}
	for i := range n {
		alice.expect(fmt.Sprint("to alice ", i), fmt.Sprint("to all but one ", i))
		bob.expect(fmt.Sprint("to bob ", i), fmt.Sprint("to all but one ", i))
		alice2.expect(fmt.Sprint("to alice ", i))
	}
}

func TestAPayloadThatIsLongerThanAPacketArrivesWhole(t *testing.T) {
	_, all := together(t, 2)
	alice := all[1].dial("alice")
	alice.SetReadLimit(-1)
	long := strings.Repeat("0123456789", 300_000)
	all[0].mustSend(hub.Targets{All: true}, long)
	all[0].mustSend(hub.Targets{All: true}, "short")
	alice.expect(long, "short")
}

func TestAReportIsAboutAllInstances(t *testing.T) {
	_, all := together(t, 3)
	for _, i := range all {
		i.dial("alice")
	}
	all[2].dial("bob")
	r, err := all[0].SendThen(t.Context(), hub.Targets{All: true}, netpoll.NewFrame(ws.OpText, []byte("x")), true, nil)
	if want := (hub.Report{Matched: 4, Queued: 4}); r != want || err != nil {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = all[1].Close(t.Context(), hub.Targets{Users: []string{"alice"}}, 4000, "enough")
	if want := (hub.Report{Matched: 3}); r != want || err != nil {
		t.Errorf("%+v, %v", r, err)
	}
	if conns, users, err := all[2].CountMembers(t.Context(), nil, hub.Query{}); conns != 1 || users != 1 || err != nil {
		t.Errorf("%d connections of %d users are left, %v", conns, users, err)
	}
}

func TestListsAndCountsAreAboutAllInstances(t *testing.T) {
	_, all := together(t, 3)
	for n, i := range all {
		i.dial("alice")
		i.dial(fmt.Sprint("user", n))
	}
	const everybody = "alice@a alice@b alice@c user0@a user1@b user2@c"
	for _, i := range all {
		if pages, err := i.listed(all, nil, hub.Query{}); err != nil || len(pages) != 1 || pages[0] != everybody {
			t.Errorf("%s: %q, %v", i.cfg.Name, pages, err)
		}
		if pages, err := i.listed(all, nil, hub.Query{Users: []string{"alice"}}); err != nil || pages[0] != "alice@a alice@b alice@c" {
			t.Errorf("%s: %q, %v", i.cfg.Name, pages, err)
		}
		if conns, users, err := i.CountMembers(t.Context(), nil, hub.Query{}); conns != 6 || users != 4 || err != nil {
			t.Errorf("%s: %d connections of %d users, %v", i.cfg.Name, conns, users, err)
		}
		for limit := range 7 {
			pages, err := i.listed(all, nil, hub.Query{Limit: limit})
			if words := len(strings.Fields(strings.Join(pages, " "))); err != nil || words != 6 {
				t.Errorf("%s: pages of %d: %q, %v", i.cfg.Name, limit, pages, err)
			}
		}
	}
	next, _ := all[0].ListMembers(t.Context(), nil, hub.Query{Limit: 1}, func(string, []hub.Info) error { return nil })
	for _, q := range []hub.Query{{Cursor: next, UserPrefix: "a"}, {Cursor: next[1:]}, {Cursor: "x"}} {
		if _, err := all[1].listed(all, nil, q); !errors.Is(err, hub.ErrCursor) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

func TestGroupsAreAboutAllInstances(t *testing.T) {
	_, all := together(t, 2)
	a, b := all[0], all[1]
	alice, bob := a.dial("alice"), b.dial("bob")
	b.dial("carol")
	join := func(to hub.Targets, matched int, groups ...string) {
		t.Helper()
		if n, err := a.Join(t.Context(), to, groups); n != matched || err != nil {
			t.Errorf("%d joined, %v", n, err)
		}
	}
	join(hub.Targets{All: true}, 3, "all")
	join(hub.Targets{Users: []string{"bob", "alice"}}, 2, "some", "more")
	join(hub.Targets{Conns: []string{bob.id}}, 1, "one")
	var listed []string
	collect := func(page []hub.Group) error {
		for _, g := range page {
			listed = append(listed, fmt.Sprint(g.Name, g.Connections))
		}
		return nil
	}
	q := hub.GroupQuery{Limit: 3}
	for more := true; more; more = q.Cursor != "" {
		var err error
		if q.Cursor, err = b.ListGroups(t.Context(), q, collect); err != nil {
			t.Fatal(err)
		}
		listed = append(listed, "|")
	}
	if got, want := strings.Join(listed, " "), "all3 more2 one1 | some2 |"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if n, err := b.Leave(t.Context(), hub.Targets{Users: []string{"alice"}}, []string{"more"}); n != 1 || err != nil {
		t.Error(n, err)
	}
	b.mustSend(hub.Targets{Groups: []string{"some", "one"}}, "1")
	b.mustSend(hub.Targets{Groups: []string{"more"}}, "2")
	b.mustSend(hub.Targets{Groups: []string{"all"}}, "3")
	alice.expect("1", "3")
	bob.expect("1", "2", "3")
	if pages, err := a.listed(all, []string{"more", "one"}, hub.Query{}); err != nil || pages[0] != "bob@b" {
		t.Errorf("%q, %v", pages, err)
	}
	if conns, users, err := a.CountMembers(t.Context(), []string{"all"}, hub.Query{}); conns != 3 || users != 3 || err != nil {
		t.Error(conns, users, err)
	}
	info, groups, ok, err := a.Describe(t.Context(), bob.id)
	if err != nil || !ok || info.User != "bob" || info.ID != bob.id || strings.Join(groups, " ") != "all more one some" {
		t.Errorf("%+v %q %v %v", info, groups, ok, err)
	}
	long := make([]string, 101)
	for i := range long {
		long[i] = fmt.Sprint("g", i)
	}
	var limit *hub.GroupLimitError
	if _, err := a.Join(t.Context(), hub.Targets{Conns: []string{bob.id}}, long[:98]); !errors.As(err, &limit) || limit.Conn != bob.id || limit.Groups != 102 {
		t.Errorf("%v", err)
	}
}
