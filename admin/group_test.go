package admin

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

const (
	joinPath   = "/tapr/ws/group/join"
	leavePath  = "/tapr/ws/group/leave"
	groupsPath = "/tapr/ws/group/list"
)

// matched is the answer of a join or a leave.
func matched(n int) string {
	return fmt.Sprintf(`{"code":0,"message":"success","data":{"matched":%d}}`, n)
}

func TestJoinAndLeaveSayHowManyTheyWereFor(t *testing.T) {
	r := newRig(t)
	alice, bob := r.dial("alice", ""), r.dial("bob", "")
	a, b := r.idOf("alice"), r.idOf("bob")
	for _, c := range []struct {
		path, body string
		want       int
	}{
		{joinPath, `{"groups":["r"],"users":["alice"]}`, 1},
		{joinPath, `{"groups":["r","s"],"users":["alice","nobody"],"conns":["` + a + `","gone"]}`, 1},
		{joinPath, `{"groups":["r"],"all":true,"exclude":["` + a + `"]}`, 1},
		{joinPath, `{"groups":["t"],"conns":["gone"]}`, 0},
		{leavePath, `{"groups":["s","never"],"all":true}`, 2},
		{leavePath, `{"groups":["r"],"conns":["` + b + `"],"unknown":[{}]}`, 1},
	} {
		r.ok(c.path, c.body, matched(c.want))
	}
	if got := r.do("GET", groupsPath, "").body; got != successData+`[{"name":"r","connections":1}]}` {
		t.Errorf("the groups are %s", got)
	}
	r.ok(sendPath, `{"groups":["r"],"payload":1}`, success)
	r.ok(sendPath, `{"all":true,"payload":2}`, success)
	r.expect(alice, websocket.MessageText, "1")
	r.expect(alice, websocket.MessageText, "2")
	r.expect(bob, websocket.MessageText, "2")
}

func TestAGroupListIsTheseBytes(t *testing.T) {
	page := func(groups ...hub.Group) func(*listWriter) (string, error) {
		return func(out *listWriter) (string, error) { return "next", out.groups(groups) }
	}
	for _, c := range []struct {
		paged bool
		walk  func(*listWriter) (string, error)
		want  string
	}{
		{true, func(*listWriter) (string, error) { return "", nil }, successData + `[]}`},
		{true, page(), successData + `[],"cursor":"next"}`},
		{false, page(hub.Group{Name: `a"é<`, Connections: 3}, hub.Group{Name: "b", Connections: 1}), successData + `[{"name":"a\"é\u003c","connections":3},{"name":"b","connections":1}]}`},
		{true, func(out *listWriter) (string, error) {
			return "x", errors.Join(out.groups([]hub.Group{{Name: "a", Connections: 1}}), out.groups(nil), out.groups([]hub.Group{{Name: "b", Connections: 2}}))
		}, successData + `[{"name":"a","connections":1},{"name":"b","connections":2}],"cursor":"x"}`},
	} {
		if got, result := writtenBy(t, c.paged, c.walk); got != c.want || result != served {
			t.Errorf("%s, outcome %d, want %s", got, result, c.want)
		}
	}
	many := make([]hub.Group, 3000)
	for i := range many {
		many[i] = hub.Group{Name: strings.Repeat("\x7f", 255), Connections: 1 << 40} // six bytes each, as JSON
	}
	var out metered
	l := &listStream{done: func(outcome, error) {}, walk: page(many...)}
	if _, err := l.WriteTo(&out); err != nil || out.largest > streamBytes {
		t.Errorf("pieces of %d bytes, %v", out.largest, err)
	}
}

// members puts n connections of users of their own into a group.
func (r *rig) members(group string, n int) {
	r.t.Helper()
	for i := range n {
		r.dial(fmt.Sprint(group, " ", i), "")
	}
	r.ok(joinPath, `{"groups":["`+group+`"],"all":true}`, matched(n))
}

func TestListsOfMembersCountInTheMemoryOfLists(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Memory = 2 * listShare * listMemory })
	r.members("r", 20)
	var names []string // of all members
	for i := range 20 {
		names = append(names, fmt.Sprint("r+", i))
	}
	of20 := groupsPath + "?user=" + strings.Join(names, "&user=")
	for _, c := range []struct {
		room   int64 // that others leave
		target string
		status int
	}{
		{listMemory + 20*listedMember, listPath + "?group=r", 200},
		{listMemory + 20*listedMember - 1, listPath + "?group=r", 503},
		{listMemory + 20*listedMember - 1, listPath + "?group=none&group=s", 200},
		{listMemory + 20*listedGroup, of20, 200},
		{listMemory + 20*listedGroup - 1, of20, 503},
		{listMemory, groupsPath + "?user=nobody", 200},
		{20 * countedMember, countPath + "?group=r", 200},
		{20*countedMember - 1, countPath + "?group=r", 503},
		{0, countPath + "?group=none", 200},
		{0, countPath, 200},
	} {
		await(t, "the list before to be over", func() bool { return r.metric("ws_gateway_memory_used_bytes", "api") == 0 })
		others := r.admin.memory.lists.Reserve()
		if !others.Grow(2*listMemory - c.room) {
			t.Fatal("no room")
		}
		got := r.do("GET", c.target, "")
		if got.status != c.status || c.status == 503 && (got.header.Get("Retry-After") == "" || !strings.Contains(got.body, "--api-memory")) {
			t.Errorf("%d bytes for %s: %d %s, want %d", c.room, c.target, got.status, got.body, c.status)
		}
		others.Release()
	}
	for _, target := range []string{listPath + "?group=r", countPath + "?group=r", groupsPath, groupsPath + "?user=r+1"} {
		if got := r.do("GET", target, ""); got.status != 200 || !strings.HasPrefix(got.body, successData) {
			t.Errorf("%s: %d %s", target, got.status, got.body)
		}
	}
	await(t, "all memory to be free again", func() bool { return r.metric("ws_gateway_memory_used_bytes", "api") == 0 })
}

func TestGroupsThatEventLoopsDoNotTellInTimeAreCode504(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.hubTimeout = 50 * time.Millisecond })
	r.members("r", 4)
	id := r.idOf("r+0")
	r.ownListener() // the shared one is served by loops that now stand still
	over := make(chan struct{})
	defer close(over)
	for _, l := range r.sockets.Loops() {
		if err := l.Post(func(*netpoll.Loop) bool { <-over; return false }); err != nil {
			t.Fatal(err)
		}
	}
	for _, target := range []string{groupsPath, groupsPath + "?conn_id=" + id, groupsPath + "?user=r+0", listPath + "?group=r", countPath + "?group=r", getPath + "?conn_id=" + id} {
		if got := r.do("GET", target, ""); !strings.Contains(got.body, `"code":504`) || !strings.Contains(got.body, "in time") {
			t.Errorf("%s answered %d %s", target, got.status, got.body)
		}
	}
	for _, path := range []string{joinPath, leavePath} {
		if got := r.do("POST", path, `{"groups":["r","s"],"all":true}`); !strings.Contains(got.body, `"code":504`) || !strings.Contains(got.body, "in time") {
			t.Errorf("%s answered %d %s", path, got.status, got.body)
		}
	}
}
