package e2e_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTheListDescribesEveryConnectionAndPages(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	before := time.Now().Add(-2 * time.Second)
	want := map[string]int{"alice": 3, "bob": 2, "": 2, `quo"te é`: 1}
	locals := map[string]bool{}
	for user, n := range want {
		for range n {
			c := g.Connect(t, visitor{User: user, Header: map[string]string{"User-Agent": user + "'s agent"}})
			locals[c.Local()] = true
		}
	}
	users, cursor := g.list("")
	if cursor != "" {
		t.Errorf("a whole list has the cursor %q", cursor)
	}
	got := map[string]int{}
	all := map[string]bool{}
	for user, conns := range users {
		got[user] = len(conns)
		for _, c := range conns {
			all[c.ID] = true
			at, err := time.Parse(time.RFC3339Nano, c.ConnectedAt)
			if err != nil || at.Before(before) || at.After(time.Now().Add(2*time.Second)) {
				t.Errorf("connectedAt %q: %v", c.ConnectedAt, err)
			}
			if c.UserAgent != user+"'s agent" || !locals[c.RemoteAddr] {
				t.Errorf("user %q is listed with %+v", user, c)
			}
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the list has %v, want %v", got, want)
	}
	if users, _ := g.list("?user=alice&user=bob&user=nobody"); len(users) != 2 || len(users["alice"]) != 3 || len(users["bob"]) != 2 {
		t.Errorf("alice and bob are listed as %v", users)
	}
	if users, _ := g.list("?user="); len(users) != 1 || len(users[""]) != 2 {
		t.Errorf("the anonymous are listed as %v", users)
	}
	for limit := 1; limit <= 9; limit++ {
		paged := map[string]bool{}
		query, pages := fmt.Sprintf("?limit=%d", limit), 0
		for cursor := "start"; cursor != "" && pages < 20; pages++ {
			users, next := g.list(query)
			n := 0
			for _, conns := range users {
				for _, c := range conns {
					n++
					if paged[c.ID] {
						t.Errorf("limit %d: %s is on two pages", limit, c.ID)
					}
					paged[c.ID] = true
				}
			}
			if n > limit {
				t.Errorf("limit %d: a page of %d", limit, n)
			}
			cursor = next
			query = fmt.Sprintf("?limit=%d&cursor=%s", limit, next)
		}
		if !reflect.DeepEqual(paged, all) {
			t.Errorf("limit %d: the pages have %d connections, want %d", limit, len(paged), len(all))
		}
	}
	for _, query := range []string{"?limit=x", "?limit=-1", "?limit=1&cursor=nonsense", "?limit=1&cursor=%00"} {
		if p := g.get(listPath + query).parse(t); p.Code != 400 {
			t.Errorf("%s: code %d %q, want 400", query, p.Code, p.Message)
		}
	}
}

func TestCountAndGetSpeakOfWhatThereIs(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	if a := g.get(countPath); a.body != `{"code":0,"message":"success","data":{"connections":0,"users":0}}` {
		t.Errorf("count answered %q", a.body)
	}
	g.Dial(t, "alice")
	g.Dial(t, "alice")
	g.Dial(t, "bob")
	if a := g.get(countPath); a.body != `{"code":0,"message":"success","data":{"connections":3,"users":2}}` {
		t.Errorf("count answered %q", a.body)
	}
	id := g.only("bob")
	a := g.get(getPath + "?conn_id=" + id)
	var fields map[string]any
	if err := json.Unmarshal(a.parse(t).Data, &fields); err != nil || !slices.Contains([]any{fields["id"], fields["conn_id"]}, any(id)) {
		t.Errorf("get answered %q", a.body)
	}
	if !strings.Contains(a.body, `"bob"`) {
		t.Errorf("get does not name the user: %q", a.body)
	}
	for _, query := range []string{"?conn_id=unknown", "?conn_id=" + id + "x", "?conn_id=" + strings.Repeat("A", 4000)} {
		if p := g.get(getPath + query).parse(t); p.Code != 404 {
			t.Errorf("get%.30s: code %d, want 404", query, p.Code)
		}
	}
	for _, query := range []string{"", "?conn_id="} {
		if p := g.get(getPath + query).parse(t); p.Code == 0 {
			t.Errorf("get%s: code 0", query)
		}
	}
}
