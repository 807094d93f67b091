package hub

import (
	"net/netip"
	"testing"

	"github.com/coder/websocket"

	"ws-gateway/netpoll"
)

func TestConnectionsAreClosedAndCountedByAddress(t *testing.T) {
	g := start(t, Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, netpoll.Config{Loops: 2})
	byAddress := map[string]*client{}
	for _, address := range []string{"192.0.2.1", "192.0.2.2", "198.51.100.1", "2001:db8::1", "2001:db8:0:1::1"} {
		byAddress[address] = g.dial("u-"+address, func(o *websocket.DialOptions) { o.HTTPHeader.Set("X-Forwarded-For", address) })
	}
	count := func(within string) int {
		n, users, err := g.CountMembers(t.Context(), nil, Query{Remote: netip.MustParsePrefix(within)})
		if err != nil || n != users {
			t.Errorf("%s: %d of %d users, %v", within, n, users, err)
		}
		return n
	}
	for _, step := range []struct {
		to   Targets
		want int
		left int
	}{
		{Targets{Remote: netip.MustParsePrefix("203.0.113.0/24")}, 0, 5},
		{Targets{Remote: netip.MustParsePrefix("192.0.2.0/24"), Exclude: []string{byAddress["192.0.2.2"].id}}, 1, 4},
		{Targets{Remote: netip.MustParsePrefix("192.0.2.2/32"), RemotePort: 1}, 0, 4},
		{Targets{Remote: netip.MustParsePrefix("2001:db8::/64")}, 1, 3},
		{Targets{Remote: netip.MustParsePrefix("::/0")}, 1, 2},
		{Targets{Remote: netip.MustParsePrefix("0.0.0.0/0")}, 2, 0},
	} {
		before := count(step.to.Remote.String())
		r, err := g.Close(t.Context(), step.to, 4001, "not from there")
		if err != nil || r.Matched != step.want {
			t.Errorf("%v: %d matched, %v", step.to.Remote, r.Matched, err)
		}
		if after := count(step.to.Remote.String()); after != before-step.want {
			t.Errorf("%v: %d, then %d", step.to.Remote, before, after)
		}
		if n, _ := g.Count(); n != step.left {
			t.Errorf("%v: %d are left, want %d", step.to.Remote, n, step.left)
		}
	}
}

func TestACountThatSelectsUsersAndGroupsIsThatOfTheList(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{Loops: 2})
	for _, user := range []string{"ann", "ann", "andy", "bob", ""} {
		c := g.dial(user)
		if user != "bob" {
			g.join(Targets{Conn: c.id}, "room")
		}
	}
	for _, c := range []struct {
		groups       []string
		q            Query
		conns, users int
	}{
		{nil, Query{}, 5, 4},
		{nil, Query{UserPrefix: "an"}, 3, 2},
		{nil, Query{Users: []string{"ann", "", "nobody"}}, 3, 2},
		{nil, Query{Users: []string{}}, 0, 0},
		{[]string{"room"}, Query{}, 4, 3},
		{[]string{"room", "none"}, Query{UserPrefix: "an", Limit: 1, Cursor: "of no meaning"}, 3, 2},
		{[]string{"room"}, Query{Users: []string{"bob"}}, 0, 0},
		{nil, Query{OlderThan: 1 << 50}, 0, 0},
		{nil, Query{OlderThan: 1}, 5, 4},
	} {
		if conns, users, err := g.CountMembers(t.Context(), c.groups, c.q); conns != c.conns || users != c.users || err != nil {
			t.Errorf("%q %+v: %d of %d, %v; want %d of %d", c.groups, c.q, conns, users, err, c.conns, c.users)
		}
	}
}
