package admin

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

const (
	sendPath  = "/tapr/ws/conn/send"
	closePath = "/tapr/ws/conn/close"
	listPath  = "/tapr/ws/conn/list"
	countPath = "/tapr/ws/conn/count"
	getPath   = "/tapr/ws/conn/get"
)

// listed is the list as the seed document describes it, and what was added.
type listed struct {
	Code    int
	Message string
	Cursor  string
	Data    []struct {
		Name  string
		Conns []struct{ ID, UserAgent, ConnectedAt, RemoteAddr string }
	}
}

func (r *rig) list(query string) listed {
	r.t.Helper()
	got := r.do("GET", listPath+query, "")
	var l listed
	if err := json.Unmarshal([]byte(got.body), &l); err != nil || got.status != 200 {
		r.t.Fatalf("list answered %d %q: %v", got.status, got.body, err)
	}
	return l
}

// idOf returns the id of the user's only connection.
func (r *rig) idOf(user string) string {
	r.t.Helper()
	l := r.list("?user=" + user)
	if len(l.Data) != 1 || len(l.Data[0].Conns) != 1 {
		r.t.Fatalf("user %q has %+v", user, l.Data)
	}
	return l.Data[0].Conns[0].ID
}

// ok makes a call and requires its answer, to the byte.
func (r *rig) ok(path, body, want string) {
	r.t.Helper()
	if got := r.do("POST", path, body); got.status != 200 || got.body != want {
		r.t.Fatalf("%s answered %d %s, want %s", body, got.status, got.body, want)
	}
}

func TestTheSeedsCallsAreAnsweredAsItShows(t *testing.T) {
	r := newRig(t)
	if got := r.do("GET", listPath, ""); got.body != `{"code":0,"message":"success","data":[]}` {
		t.Fatalf("without connections the list is %s", got.body)
	}
	alice := r.dial("alice", "Mozilla/5.0 (X11; Linux x86_64)")
	id := r.idOf("alice")
	at := r.list("").Data[0].Conns[0]
	want := fmt.Sprintf(`{"code":0,"message":"success","data":[{"name":"alice","conns":[{"id":"%s","userAgent":"Mozilla/5.0 (X11; Linux x86_64)","connectedAt":"%s","remoteAddr":"%s"}]}]}`,
		id, at.ConnectedAt, at.RemoteAddr)
	if got := r.do("GET", listPath, ""); got.body != want || got.header.Get("Content-Type") != "application/json" {
		t.Fatalf("list answered %q %s, want %s", got.header.Get("Content-Type"), got.body, want)
	}
	if moment, err := time.Parse("2006-01-02T15:04:05.000Z", at.ConnectedAt); err != nil || time.Since(moment).Abs() > time.Minute {
		t.Fatalf("connectedAt is %q", at.ConnectedAt)
	}
	if !strings.HasPrefix(at.RemoteAddr, "127.0.0.1:") {
		t.Fatalf("remoteAddr is %q", at.RemoteAddr)
	}

	r.ok(sendPath, `{"payload": {}, "conn_id": "`+id+`", "users": []}`, success)
	r.expect(alice, websocket.MessageText, `{}`)
	r.ok(sendPath, `{"payload": {"b":1, "a":"\u00e9"}, "conn_id": "", "users": ["alice", "bob"]}`, success)
	r.expect(alice, websocket.MessageText, `{"b":1, "a":"\u00e9"}`)
	r.ok(closePath, `{"conns": ["`+id+`"], "users": []}`, success)
	r.expectClose(alice, 1000, "")
	if got := r.do("GET", listPath, ""); got.body != `{"code":0,"message":"success","data":[]}` {
		t.Fatalf("after the close the list is %s", got.body)
	}
}

func TestSendReachesWhomItNames(t *testing.T) {
	r := newRig(t)
	conns := map[string]*websocket.Conn{"a": r.dial("alice", ""), "b": r.dial("bob", ""), "n": r.dial("", "")}
	ids := map[string]string{"a": r.idOf("alice"), "b": r.idOf("bob"), "n": r.idOf("")}
	report := func(n int) string {
		return fmt.Sprintf(`{"code":0,"message":"success","data":{"matched":%d,"queued":%d,"slow":0}}`, n, n)
	}
	for i, c := range []struct{ targets, to string }{
		{`"conn_id":"` + ids["a"] + `"`, "a"},
		{`"users":["alice"]`, "a"},
		{`"users":["alice","bob","alice"]`, "ab"},
		{`"users":[""]`, "n"},
		{`"users":["nobody"]`, ""},
		{`"conn_id":"nobody"`, ""},
		{`"conn_id":"` + ids["a"] + `","users":["alice"]`, "a"},
		{`"conn_id":"` + ids["a"] + `","users":["bob"]`, ""},
		{`"all":true`, "abn"},
		{`"all":true,"exclude":["` + ids["b"] + `"]`, "an"},
		{`"users":["alice","bob"],"exclude":["` + ids["a"] + `","nobody"]`, "b"},
		{`"conn_id":"` + ids["a"] + `","exclude":["` + ids["a"] + `"]`, ""},
	} {
		body := fmt.Sprintf(`{"payload":%d,"report":true,%s}`, i, c.targets)
		r.ok(sendPath, body, report(len(c.to)))
		for _, name := range c.to {
			r.expect(conns[string(name)], websocket.MessageText, fmt.Sprint(i))
		}
	}
	r.ok(sendPath, `{"payload":"plain \u00e9","encoding":"text","users":["alice"]}`, success)
	r.expect(conns["a"], websocket.MessageText, "plain é")
	r.ok(sendPath, `{"payload":"AAH/","encoding":"base64","users":["alice"]}`, success)
	r.expect(conns["a"], websocket.MessageBinary, "\x00\x01\xff")
	// Nothing else was sent to anybody: the next message is the next send.
	r.ok(sendPath, `{"payload":null,"all":true}`, success)
	for _, c := range conns {
		r.expect(c, websocket.MessageText, "null")
	}
}

func TestCloseClosesTheUnionOfWhatItNames(t *testing.T) {
	r := newRig(t)
	a, b, c, n := r.dial("alice", ""), r.dial("bob", ""), r.dial("carol", ""), r.dial("", "")
	r.ok(closePath, `{"conns":["`+r.idOf("alice")+`","gone",""],"users":["bob"],"code":4001,"reason":"bye é"}`, success)
	r.expectClose(a, 4001, "bye é")
	r.expectClose(b, 4001, "bye é")
	if got := r.do("GET", countPath, ""); got.body != `{"code":0,"message":"success","data":{"connections":2,"users":2}}` {
		t.Fatalf("left are %s", got.body)
	}
	r.ok(closePath, `{"users":[""]}`, success)
	r.expectClose(n, 1000, "")
	r.ok(closePath, `{"all":true,"exclude":["`+r.idOf("carol")+`"]}`, success)
	r.ok(closePath, `{"all":true,"code":1000}`, success)
	r.expectClose(c, 1000, "")
}

func TestBadCommandsAreAnsweredWithCode400(t *testing.T) {
	r := newRig(t)
	conn := r.dial("alice", "")
	for _, c := range []struct{ path, body, want string }{
		{sendPath, ``, `{"code":400,"message":"request body is not valid JSON"}`},
		{sendPath, `{"payload":`, `{"code":400,"message":"request body is not valid JSON"}`},
		{sendPath, `[1]`, `{"code":400,"message":"request body is not a JSON object"}`},
		{sendPath, `{}`, `{"code":400,"message":"send message target is nil"}`},
		{sendPath, `{"payload":{}}`, `{"code":400,"message":"send message target is nil"}`},
		{sendPath, `{"users":["alice"]}`, `{"code":400,"message":"payload is missing"}`},
		{sendPath, `{"users":"alice","payload":1}`, `{"code":400,"message":"users must be an array of strings"}`},
		{sendPath, `{"users":["alice"],"payload":1,"encoding":"hex"}`, `{"code":400,"message":"encoding must be \"text\" or \"base64\""}`},
		{closePath, ``, `{"code":400,"message":"request body is not valid JSON"}`},
		{closePath, `{}`, `{"code":400,"message":"close target is nil: name conns or users, or set all"}`},
		{closePath, `{"users":["alice"],"code":1001}`, `{"code":400,"message":"code must be 1000 or a number from 3000 to 4999"}`},
	} {
		r.ok(c.path, c.body, c.want)
	}
	r.ok(sendPath, `{"payload":0,"all":true}`, success)
	r.expect(conn, websocket.MessageText, "0")
}

func TestCountAndGet(t *testing.T) {
	r := newRig(t)
	check := func(target, want string) {
		t.Helper()
		if got := r.do("GET", target, ""); got.status != 200 || got.body != want || got.header.Get("Content-Type") != "application/json" {
			t.Fatalf("%s answered %d %s, want %s", target, got.status, got.body, want)
		}
	}
	check(countPath, `{"code":0,"message":"success","data":{"connections":0,"users":0}}`)
	r.dial("alice", `say "hi" <é>`)
	r.dial("alice", "")
	r.dial("", "")
	check(countPath, `{"code":0,"message":"success","data":{"connections":3,"users":2}}`)
	for _, c := range r.list("?user=alice").Data[0].Conns {
		agent := ""
		if c.UserAgent != "" {
			agent = `say \"hi\" \u003cé\u003e`
		}
		check(getPath+"?conn_id="+c.ID, fmt.Sprintf(`{"code":0,"message":"success","data":{"id":"%s","name":"alice","userAgent":"%s","connectedAt":"%s","remoteAddr":"%s","groups":[]}}`,
			c.ID, agent, c.ConnectedAt, c.RemoteAddr))
	}
	check(getPath+"?conn_id=nobody", `{"code":404,"message":"no such connection"}`)
	check(getPath, `{"code":400,"message":"conn_id is missing"}`)
	check(getPath+"?conn_id=", `{"code":400,"message":"conn_id is missing"}`)
}

func TestTheListCanBeFilteredAndPaged(t *testing.T) {
	r := newRig(t)
	for i := range 9 {
		r.dial([]string{"alice", "bob", ""}[i%3], fmt.Sprint("agent ", i))
	}
	names := func(l listed) (found []string) {
		for _, u := range l.Data {
			found = append(found, fmt.Sprintf("%s:%d", u.Name, len(u.Conns)))
		}
		return found
	}
	if got := fmt.Sprint(names(r.list("?user=bob"))); got != "[bob:3]" {
		t.Fatalf("bob alone: %s", got)
	}
	if got := fmt.Sprint(names(r.list("?user="))); got != "[:3]" {
		t.Fatalf("the nameless alone: %s", got)
	}
	if got := fmt.Sprint(names(r.list("?user=bob&user=%61lice&user=nobody&user=bob"))); got != "[bob:3 alice:3]" {
		t.Fatalf("two of them: %s", got)
	}
	if got := fmt.Sprint(names(r.list("?user_prefix=a"))); got != "[alice:3]" {
		t.Fatalf("by prefix: %s", got)
	}
	own := r.list("?user=bob").Data[0].Conns[0].RemoteAddr
	for remote, want := range map[string]int{
		"127.0.0.1": 9, "127.0.0.0/8": 9, "::ffff:127.0.0.1": 9, "::ffff:127.0.0.0/104": 9, "10.0.0.0/8": 0, "::1": 0, "[::1]": 0, "::/0": 0,
		own: 1, "127.0.0.1:1": 0,
	} {
		found := 0
		for _, u := range r.list("?remote=" + url.QueryEscape(remote)).Data {
			found += len(u.Conns)
		}
		if found != want {
			t.Errorf("from %s: %d connections, want %d", remote, found, want)
		}
	}
	if got := r.list(""); got.Cursor != "" || len(got.Data) != 3 {
		t.Fatalf("without a limit: %+v", got)
	}
	for limit := 1; limit <= 10; limit++ {
		seen, cursor, pages := map[string]bool{}, "", 0
		for done := false; !done; pages++ {
			l := r.list(fmt.Sprintf("?limit=%d&cursor=%s", limit, cursor))
			for _, u := range l.Data {
				for _, c := range u.Conns {
					if seen[c.ID] {
						t.Fatalf("limit %d: %s is listed twice", limit, c.ID)
					}
					seen[c.ID] = true
				}
			}
			cursor, done = l.Cursor, l.Cursor == ""
		}
		if len(seen) != 9 || pages != (9+limit-1)/limit {
			t.Fatalf("limit %d: %d connections on %d pages", limit, len(seen), pages)
		}
	}
	for query, want := range map[string]string{
		"?limit=0":                 `{"code":400,"message":"limit must be a number from 1 to 100000"}`,
		"?limit=100001":            `{"code":400,"message":"limit must be a number from 1 to 100000"}`,
		"?limit=-1":                `{"code":400,"message":"limit must be a number from 1 to 100000"}`,
		"?limit=x":                 `{"code":400,"message":"limit must be a number from 1 to 100000"}`,
		"?limit=":                  `{"code":400,"message":"limit must be a number from 1 to 100000"}`,
		"?remote=localhost":        `{"code":400,"message":"remote must be an address, with or without its port, or a range such as 192.0.2.0/24"}`,
		"?remote=":                 `{"code":400,"message":"remote must be an address, with or without its port, or a range such as 192.0.2.0/24"}`,
		"?remote=10.0.0.0/33":      `{"code":400,"message":"remote must be an address, with or without its port, or a range such as 192.0.2.0/24"}`,
		"?limit=1&cursor=nonsense": `{"code":400,"message":"cursor is not one that this gateway gave out"}`,
		"?cursor=%00":              `{"code":400,"message":"cursor is not one that this gateway gave out"}`,
		"?user=nobody&&user=%&":    `{"code":0,"message":"success","data":[]}`,
		"?unknown=1&user=nobody":   `{"code":400,"message":"unknown query parameter unknown: this route takes user, user_prefix, remote, older_than, group, limit, cursor and scope"}`,
	} {
		if got := r.do("GET", listPath+query, ""); got.status != 200 || got.body != want {
			t.Errorf("list%s answered %d %s, want %s", query, got.status, got.body, want)
		}
	}
}
