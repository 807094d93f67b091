package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"ws-gateway/e2e/harness"
)

// regroup makes a join or a leave, requires success, and returns how many connections
// it was for.
func (g *gateway) regroup(path, body string) (matched int) {
	g.T.Helper()
	a := g.post(path, body)
	if p := a.parse(g.T); a.status != http.StatusOK || p.Code != 0 || p.Message != "success" {
		g.T.Fatalf("%s %.200s answered %d %.300q", path, body, a.status, a.body)
	}
	return a.report(g.T).Matched
}

func (g *gateway) join(body string) (matched int) {
	g.T.Helper()
	return g.regroup(joinPath, body)
}

func (g *gateway) leave(body string) (matched int) {
	g.T.Helper()
	return g.regroup(leavePath, body)
}

// groups asks for the list of groups, and returns how many connections each has.
func (g *gateway) groups(query string) (sizes map[string]int, cursor string) {
	g.T.Helper()
	a := g.get(groupsPath + query)
	p := a.parse(g.T)
	if a.status != http.StatusOK || p.Code != 0 || p.Message != "success" {
		g.T.Fatalf("the list of groups %s answered %d %.300q", query, a.status, a.body)
	}
	var data []struct {
		Name        string
		Connections int
	}
	if err := json.Unmarshal(p.Data, &data); err != nil || data == nil {
		g.T.Fatalf("the list of groups: %v: %.300q", err, a.body)
	}
	sizes = make(map[string]int)
	for _, group := range data {
		if _, twice := sizes[group.Name]; twice || group.Connections < 1 {
			g.T.Errorf("the list of groups has %+v, twice: %v", group, twice)
		}
		sizes[group.Name] = group.Connections
	}
	return sizes, p.Cursor
}

// groupsOf is what get says that a connection is in.
func (g *gateway) groupsOf(conn string) (names []string) {
	g.T.Helper()
	var data struct{ Groups []string }
	if err := json.Unmarshal(g.get(getPath+"?conn_id="+conn).parse(g.T).Data, &data); err != nil || data.Groups == nil {
		g.T.Fatalf("get of %s: %v", conn, err)
	}
	return data.Groups
}

// countIn asks how many connections are in groups.
func (g *gateway) countIn(groups ...string) (connections, users int) {
	g.T.Helper()
	var count struct{ Connections, Users int }
	if err := json.Unmarshal(g.get(countPath+groupQuery(groups)).parse(g.T).Data, &count); err != nil {
		g.T.Fatalf("count: %v", err)
	}
	return count.Connections, count.Users
}

// groupQuery is a query that names groups.
func groupQuery(groups []string) string { return "?" + url.Values{"group": groups}.Encode() }

// quoted is names as a JSON array.
func quoted(names ...string) string {
	text, err := json.Marshal(slices.Concat([]string{}, names))
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestASendToGroupsReachesEachMemberOnceAndNobodyElse(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	clients, ids := map[string]*client{}, map[string]string{}
	for _, name := range []string{"a1", "a2", "b1", "anonymous"} {
		user := map[string]string{"a1": "a", "a2": "a", "b1": "b"}[name]
		clients[name] = g.Connect(t, visitor{User: user, Target: "/ws?" + name})
		ids[name] = app.awaitCall("open of "+name, func(c *call) bool {
			return c.event.Request != nil && c.event.Request.URI == "/ws?"+name
		}).event.Conn
	}
	real := func(text string) string {
		for name, id := range ids {
			text = strings.ReplaceAll(text, "$"+name, id)
		}
		return text
	}
	for body, want := range map[string]int{
		`{"groups":["as"],"users":["a","nobody","a"]}`:                       2,
		`{"groups":["as","one"],"conns":["$a1","gone","$a1",""]}`:            1,
		`{"groups":["mixed"],"conns":["$b1"],"users":["",""],"unknown":{}}`:  2,
		`{"groups":["everybody"],"all":true,"report":true}`:                  4,
		`{"groups":["but b"],"all":true,"exclude":["$b1","gone"]}`:           3,
		`{"groups":["none"],"users":["nobody"]}`:                             0,
		`{"groups":["none"],"conns":["$a1x"]}`:                               0,
		`{"groups":["none"],"users":["b"],"exclude":["$b1"]}`:                0,
		`{"groups":["twice","twice"],"users":["b"],"conns":["$b1"],"all":0}`: -1,
	} {
		if want < 0 {
			if p := g.post(joinPath, real(body)).parse(t); p.Code != 400 {
				t.Errorf("%s: %+v", body, p)
			}
			continue
		}
		if got := g.join(real(body)); got != want {
			t.Errorf("%s matched %d, want %d", body, got, want)
		}
	}
	for i, test := range []struct {
		targets string
		want    []string
	}{
		{`"groups":["as"]`, []string{"a1", "a2"}},
		{`"groups":["as","one","as","none"]`, []string{"a1", "a2"}},
		{`"groups":["one","mixed"]`, []string{"a1", "anonymous", "b1"}},
		{`"groups":["everybody","as","one","mixed","but b"]`, []string{"a1", "a2", "anonymous", "b1"}},
		{`"groups":["everybody","mixed"],"exclude":["$a1","$b1","gone"]`, []string{"a2", "anonymous"}},
		{`"groups":["but b"],"conn_id":"","conns":[],"users":null,"all":false`, []string{"a1", "a2", "anonymous"}},
		{`"groups":["none"]`, nil},
		{`"groups":["As"]`, nil},
		{`"groups":["mixed"],"exclude":["$b1","$anonymous"]`, nil},
	} {
		a := g.post(sendPath, fmt.Sprintf(`{"payload":%d,"report":true,%s}`, i, real(test.targets)))
		if n := len(test.want); a.report(t) != (report{n, n, 0}) {
			t.Errorf("%s: %s, want %d matched and queued", test.targets, a.body, n)
		}
		for _, name := range test.want {
			clients[name].Receive(fmt.Sprint(i))
		}
	}
	if got := g.leave(real(`{"groups":["everybody","never"],"users":["a"],"conns":["$b1","gone"]}`)); got != 3 {
		t.Errorf("the leave matched %d", got)
	}
	g.send(`{"payload":"left","groups":["everybody"]}`)
	clients["anonymous"].Receive(`"left"`)
	// Whatever reached somebody too many would come before this.
	g.send(`{"payload":"end","all":true}`)
	for _, c := range clients {
		c.Receive(`"end"`)
	}
	if got := g.groupsOf(ids["a1"]); !slices.Equal(got, []string{"as", "but b", "one"}) {
		t.Errorf("a1 is in %q", got)
	}
	for series, want := range map[string]float64{
		`ws_gateway_groups`:                             5,
		`ws_gateway_group_memberships`:                  9,
		`ws_gateway_group_joins_total{origin="call"}`:   12,
		`ws_gateway_group_leaves_total{origin="call"}`:  3,
		`ws_gateway_group_leaves_total{origin="close"}`: 0,
		`ws_gateway_sends_total{target="group"}`:        10,
	} {
		g.expectMetric(t, series, want)
	}
}

func TestGroupsAreListedCountedAndClosed(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	clients, ids := map[string]*client{}, map[string]string{}
	for _, user := range []string{"a", "b", "c"} {
		clients[user] = g.Dial(t, user)
		ids[user] = app.opened(user)
	}
	if sizes, cursor := g.groups(""); len(sizes) != 0 || cursor != "" {
		t.Errorf("at first there are %v %q", sizes, cursor)
	}
	g.join(`{"groups":["r","s"],"users":["a"]}`)
	g.join(`{"groups":["s","t","é ,%\"\\"],"users":["b"]}`)
	for query, want := range map[string]map[string]int{
		"":                                  {"r": 1, "s": 2, "t": 1, `é ,%"\`: 1},
		"?conn_id=" + ids["a"]:              {"r": 1, "s": 2},
		"?conn_id=" + ids["c"]:              {},
		"?conn_id=gone":                     {},
		"?user=b":                           {"s": 2, "t": 1, `é ,%"\`: 1},
		"?user=b&user=a&user=nobody":        {"r": 1, "s": 2, "t": 1, `é ,%"\`: 1},
		"?user=":                            {},
		"?user=nobody":                      {},
		"?limit=100000&conn_id=" + ids["a"]: {"r": 1, "s": 2},
	} {
		if got, cursor := g.groups(query); !maps.Equal(got, want) || cursor != "" {
			t.Errorf("%s: %v %q, want %v", query, got, cursor, want)
		}
	}
	for groups, want := range map[string]string{"r": "a", "s": "a b", "t r": "a b", "never": "", `é ,%"\`: "b"} {
		names := []string{groups}
		if groups == "t r" {
			names = []string{"t", "r"}
		}
		users, _ := g.list(groupQuery(names))
		if got := strings.Join(slices.Sorted(maps.Keys(users)), " "); got != want {
			t.Errorf("in %q are listed %q, want %q", names, got, want)
		}
		if conns, n := g.countIn(names...); conns != len(users) || n != len(users) {
			t.Errorf("in %q are %d connections of %d users", names, conns, n)
		}
	}
	if users, _ := g.list("?group=s&user=b&user=c"); len(users) != 1 || len(users["b"]) != 1 {
		t.Errorf("of b and c in s: %v", users)
	}
	for query, why := range map[string]string{
		groupsPath + "?limit=0":                "limit must be a number from 1 to 100000",
		groupsPath + "?cursor=x":               "cursor is not one that this gateway gave out",
		groupsPath + "?conn_id=":               "conn_id is missing",
		groupsPath + "?conn_id=x&user=a":       "conn_id and user select groups differently: give one of them",
		groupsPath + "?conn_id=x&conn_id=y":    "query parameter conn_id is there twice: give it once",
		groupsPath + "?group=r":                "unknown query parameter group: this route takes conn_id, user, limit, cursor and scope",
		listPath + "?group=":                   `"" cannot be the name of a group: it is empty`,
		countPath + "?group=r&group=%0a":       `"\n" cannot be the name of a group: it contains a control character`,
		countPath + "?group=%ff":               `"\xff" cannot be the name of a group: it is not UTF-8`,
		listPath + "?group=r&limit=1&cursor=x": "cursor is not one that this gateway gave out",
	} {
		if p := g.get(query).parse(t); p.Code != 400 || p.Message != why {
			t.Errorf("%s: code %d %q, want 400 %q", query, p.Code, p.Message, why)
		}
	}
	if a := g.post(closePath, `{"groups":["s","r"],"exclude":["`+ids["a"]+`"],"code":4001,"reason":"out","report":true}`); a.report(t).Matched != 1 {
		t.Errorf("the close answered %s", a.body)
	}
	clients["b"].ClosedWith(4001, "out")
	if got, _ := g.groups(""); !maps.Equal(got, map[string]int{"r": 1, "s": 1}) {
		t.Errorf("after the close there are %v", got)
	}
	app.closedAs(t, "b", 4001, "app")
	g.closeConns(`{"groups":["never"]}`)
	g.closeConns(`{"groups":["r","s"]}`)
	clients["a"].ClosedWith(1000, "")
	if users, _ := g.list(""); len(users) != 1 || len(users["c"]) != 1 {
		t.Errorf("left are %v", users)
	}
}

func TestTheListOfGroupsPages(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--max-groups-per-connection", "1000")
	g.Dial(t, "a")
	g.Dial(t, "b")
	want := map[string]int{}
	for i := range 600 {
		want[fmt.Sprint("room ", i)] = 1
	}
	g.join(`{"groups":` + quoted(slices.Collect(maps.Keys(want))...) + `,"users":["a"]}`)
	g.join(`{"groups":["room 3","b's"],"users":["b"]}`)
	ofA := maps.Clone(want)
	ofA["room 3"], want["room 3"], want["b's"] = 2, 2, 1
	for query, want := range map[string]map[string]int{"": want, "user=a": ofA, "conn_id=" + g.only("a"): ofA} {
		if got, cursor := g.groups("?" + query); !maps.Equal(got, want) || cursor != "" {
			t.Errorf("%q: %d groups in one page, cursor %q", query, len(got), cursor)
		}
		for _, limit := range []int{7, 256, 300, 600, 601, 100_000} {
			got, pages := map[string]int{}, 0
			for cursor := ""; pages == 0 || cursor != ""; pages++ {
				var page map[string]int
				page, cursor = g.groups(fmt.Sprintf("?%s&limit=%d&cursor=%s", query, limit, cursor))
				for name, n := range page {
					if _, twice := got[name]; twice {
						t.Errorf("limit %d: %q is on two pages", limit, name)
					}
					got[name] = n
				}
				if len(page) > limit || cursor != "" && len(page) < limit {
					t.Errorf("limit %d: a page of %d", limit, len(page))
				}
			}
			if !maps.Equal(got, want) || pages != (len(want)+limit-1)/limit {
				t.Errorf("%q, limit %d: %d groups on %d pages", query, limit, len(got), pages)
			}
		}
	}
	_, cursor := g.groups("?limit=5&user=a")
	for _, query := range []string{"?limit=5", "?user=b", "?user=a&user=b", "?conn_id=" + g.only("a")} {
		if p := g.get(groupsPath + query + "&cursor=" + cursor).parse(t); p.Code != 400 {
			t.Errorf("a cursor of another list with %s: code %d", query, p.Code)
		}
	}
}

func TestAConnectionIsOutOfItsGroupsBeforeItsCloseEventWhateverEndsIt(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--max-message-size", "1KiB")
	var mu sync.Mutex
	seen := map[string]string{} // what the app learned when a user's close event came
	app.respond(func(c *call) reply {
		if c.event.Action != "close" {
			return reply{}
		}
		room := "room of " + c.event.User
		said := ""
		for _, ask := range []struct{ method, target, body string }{
			{"GET", countPath + groupQuery([]string{room}), ""},
			{"GET", groupsPath + "?conn_id=" + c.event.Conn, ""},
			{"GET", groupsPath + "?user=" + c.event.User, ""},
			{"POST", sendPath, `{"payload":1,"report":true,"groups":` + quoted(room) + `}`},
			{"POST", joinPath, `{"groups":` + quoted(room) + `,"conns":["` + c.event.Conn + `"],"users":["` + c.event.User + `"]}`},
			{"GET", listPath + groupQuery([]string{room}), ""},
		} {
			a, err := g.tryRequest("http://"+g.Addr, ask.method, ask.target, ask.body)
			_, data, _ := strings.Cut(a.body, `"data":`)
			said += fmt.Sprint(data, " ")
			if err != nil {
				said += err.Error()
			}
		}
		mu.Lock()
		defer mu.Unlock()
		seen[c.event.User] = said
		return reply{}
	})
	const want = `{"connections":0,"users":0}} []} []} {"matched":0,"queued":0,"slow":0}} {"matched":0}} []} `
	ends := map[string]func(c *client, user string){
		"close":      func(c *client, _ string) { c.Close(4000, "bye") },
		"hang-up":    func(c *client, _ string) { c.HangUp() },
		"reset":      func(c *client, _ string) { c.Reset() },
		"api":        func(_ *client, user string) { g.closeConns(`{"users":["` + user + `"]}`) },
		"by-group":   func(_ *client, user string) { g.closeConns(`{"groups":["room of ` + user + `"]}`) },
		"too-large":  func(c *client, _ string) { c.Send(strings.Repeat("x", 2000)) },
		"with-other": func(_ *client, user string) { g.closeConns(`{"groups":["all","room of ` + user + `"]}`) },
	}
	users := slices.Sorted(maps.Keys(ends)) // with-other, which closes all, is the last
	clients := map[string]*client{}
	for _, user := range users {
		clients[user] = g.Dial(t, user)
		if n := g.join(`{"groups":["all","room of ` + user + `"],"conns":["` + app.opened(user) + `"]}`); n != 1 {
			t.Fatalf("the join of %s matched %d", user, n)
		}
	}
	clients["bystander"] = g.Dial(t, "bystander")
	g.join(`{"groups":["all","room of bystander"],"users":["bystander"]}`)
	for i, user := range users {
		if n, _ := g.countIn("all"); n != len(users)+1-i {
			t.Errorf("before the end of %s there are %d in the group, want %d", user, n, len(users)+1-i)
		}
		ends[user](clients[user], user)
		app.closed(user)
		mu.Lock()
		if seen[user] != want {
			t.Errorf("at the close event of %s the API says %s, want %s", user, seen[user], want)
		}
		mu.Unlock()
	}
	if sizes, _ := g.groups(""); len(sizes) != 0 {
		t.Errorf("at last there are the groups %v", sizes)
	}
	g.expectMetric(t, `ws_gateway_group_leaves_total{origin="close"}`, float64(2*len(users)+2))
}

func TestTheNameOfAGroupIsUpTo255BytesOfUTF8WithoutControlCharacters(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	c := g.Dial(t, "a")
	names := []string{"x", " ", "room/1?a=b&c#d%20,", "Ω≈ç√∫😀", strings.Repeat("é", 127) + "x", strings.Repeat("y", 255), "\u2028", `"\`, "<script>"}
	g.join(`{"groups":` + quoted(names...) + `,"users":["a"]}`)
	want := map[string]int{}
	for i, name := range names {
		want[name] = 1
		g.send(fmt.Sprintf(`{"payload":%d,"groups":%s}`, i, quoted(name)))
		c.Receive(fmt.Sprint(i))
		if n, _ := g.countIn(name); n != 1 {
			t.Errorf("%q has %d", name, n)
		}
	}
	if got, _ := g.groups(""); !maps.Equal(got, want) {
		t.Errorf("there are %v, want %v", got, want)
	}
	if got := g.groupsOf(g.only("a")); !slices.Equal(got, slices.Sorted(slices.Values(names))) {
		t.Errorf("a is in %q", got)
	}
	for _, bad := range []string{``, strings.Repeat("y", 256), strings.Repeat("é", 128), `\u0000`, `a\nb`, `\u007f`, `\u0085`, `\t`} {
		for path, body := range map[string]string{
			joinPath:  `{"groups":["good","` + bad + `"],"users":["a"]}`,
			leavePath: `{"groups":["x","` + bad + `"],"users":["a"]}`,
			sendPath:  `{"groups":["x","` + bad + `"],"payload":0}`,
			closePath: `{"groups":["x","` + bad + `"]}`,
		} {
			if p := g.post(path, body).parse(t); p.Code != 400 || !strings.Contains(p.Message, "cannot be the name of a group: it ") {
				t.Errorf("%s %.100s: code %d %.400q", path, body, p.Code, p.Message)
			}
		}
	}
	if got, _ := g.groups(""); !maps.Equal(got, want) {
		t.Errorf("after all that there are %v", got)
	}
}

func TestACallForGroupsThatIsWrongSaysWhy(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	c := g.Dial(t, "a")
	g.join(`{"groups":["r"],"users":["a"]}`)
	const (
		beside = "groups cannot be combined with conn_id, conns, users or all: use a call for each"
		nobody = "group target is nil: name conns or users, or set all"
		which  = "groups is missing: name those to join or to leave"
		array  = "groups must be an array of strings"
		connID = "conn_id is a member of send alone: name connections in conns"
	)
	for _, test := range []struct{ path, body, why string }{
		{sendPath, `{"payload":0,"groups":["r"],"conn_id":"x"}`, beside},
		{sendPath, `{"payload":0,"groups":["r"],"conns":["x"]}`, beside},
		{sendPath, `{"payload":0,"groups":["r"],"users":[""]}`, beside},
		{sendPath, `{"payload":0,"groups":["r"],"all":true}`, beside},
		{sendPath, `{"payload":0,"groups":"r"}`, array},
		{sendPath, `{"payload":0,"groups":[]}`, "send message target is nil"},
		{sendPath, `{"groups":["r"]}`, "payload is missing"},
		{closePath, `{"groups":["r"],"conn_id":"x"}`, beside},
		{closePath, `{"groups":["r"],"conns":["x"]}`, beside},
		{closePath, `{"groups":["r"],"users":["a"]}`, beside},
		{closePath, `{"groups":["r"],"all":true}`, beside},
		{closePath, `{"groups":[7]}`, array},
		{closePath, `{"groups":["r"],"code":1001}`, "code must be 1000 or a number from 3000 to 4999"},
		{joinPath, ``, "request body is not valid JSON"},
		{joinPath, `[]`, "request body is not a JSON object"},
		{joinPath, `{"users":["a"]}`, which},
		{joinPath, `{"groups":[],"users":["a"]}`, which},
		{joinPath, `{"groups":"s","users":["a"]}`, array},
		{joinPath, `{"groups":["s"]}`, nobody},
		{joinPath, `{"groups":["s"],"users":[],"conns":[""],"all":false}`, nobody},
		{joinPath, `{"groups":["s"],"conn_id":"x"}`, connID},
		{joinPath, `{"groups":["s"],"conn_id":"x","users":["a"]}`, connID},
		{joinPath, `{"groups":["s"],"users":"a"}`, "users must be an array of strings"},
		{leavePath, `{"groups":["r"]}`, nobody},
		{leavePath, `{"users":["a"]}`, which},
		{leavePath, `{"groups":["r"],"conn_id":"x","users":["a"]}`, connID},
		{leavePath, `{"groups":["r"],"all":"yes"}`, "all must be true or false"},
	} {
		a := g.post(test.path, test.body)
		if p := a.parse(t); a.status != http.StatusOK || p.Code != 400 || p.Message != test.why {
			t.Errorf("%s %s: %d %s, want %q", test.path, test.body, a.status, a.body, test.why)
		}
	}
	for target, allow := range map[string]string{joinPath: "POST", leavePath: "POST"} {
		if a := g.get(target); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != allow {
			t.Errorf("GET %s: %d, Allow %q", target, a.status, a.header.Get("Allow"))
		}
	}
	g.send(`{"payload":1,"groups":["r"]}`)
	c.Receive("1")
	if got, _ := g.groups(""); !maps.Equal(got, map[string]int{"r": 1}) {
		t.Errorf("after all that there are %v", got)
	}
}

func TestMoreGroupsThanAConnectionMayBeInAreJoinedByNobodyAndAReloadChangesTheLimit(t *testing.T) {
	t.Parallel()
	s := steer(t, nil, "max-groups-per-connection: 3")
	s.Dial(t, "a")
	s.Dial(t, "b")
	a, b := s.only("a"), s.only("b")
	s.join(`{"groups":["1","2","3"],"users":["a"]}`)
	s.join(`{"groups":["1","2","3","1"],"users":["a"]}`) // that it is in already
	refused := func(body, conn string, groups, limit int) {
		t.Helper()
		answer := s.post(joinPath, body)
		want := fmt.Sprintf("connection %s would be in %d groups, and may be in %d: leave some first, or allow more with --max-groups-per-connection", conn, groups, limit)
		if p := answer.parse(t); answer.status != http.StatusOK || p.Code != 400 || p.Message != want {
			t.Errorf("%s: %d %s, want %q", body, answer.status, answer.body, want)
		}
	}
	refused(`{"groups":["4"],"conns":["`+a+`"]}`, a, 4, 3)
	refused(`{"groups":["4"],"all":true}`, a, 4, 3)
	s.join(`{"groups":["1"],"users":["b"]}`)
	refused(`{"groups":["4","5","6"],"users":["b","nobody"]}`, b, 4, 3)
	const named = "4 groups are named, and a connection may be in 3: allow more with --max-groups-per-connection"
	for _, whom := range []string{`"users":["b"]`, `"conns":["gone"]`, `"all":true`} {
		if p := s.post(joinPath, `{"groups":["4","5","6","7","7"],`+whom+`}`).parse(t); p.Code != 400 || p.Message != named {
			t.Errorf("four groups by %s: %+v, want %q", whom, p, named)
		}
	}
	s.leave(`{"groups":["1"],"users":["b"]}`)
	if got := s.groupsOf(b); len(got) != 0 {
		t.Errorf("b is in %q", got)
	}
	s.reload([]string{"max-groups-per-connection: 5"}, "max-groups-per-connection")
	s.join(`{"groups":["4","5"],"users":["a"]}`)
	refused(`{"groups":["6"],"users":["a"]}`, a, 6, 5)
	s.reload([]string{"max-groups-per-connection: 2"}, "max-groups-per-connection")
	if got := s.groupsOf(a); len(got) != 5 { // nobody is thrown out
		t.Errorf("a is in %q", got)
	}
	refused(`{"groups":["6"],"users":["a"]}`, a, 6, 2)
	s.leave(`{"groups":["1","2","3","4"],"users":["a"]}`)
	s.join(`{"groups":["6"],"users":["a"]}`)
	s.expectMetric(t, "ws_gateway_group_joins_over_limit_total", 8)
}

func TestAJoinForWhichThereIsNoMemoryIsRefusedAsAWhole(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--group-memory", "1MiB", "--max-groups-per-connection", "1000")
	for i := range 10 {
		g.Dial(t, fmt.Sprint("a", i))
	}
	g.Dial(t, "b")
	g.join(`{"groups":["before"],"users":["b"]}`)
	fill := strings.Repeat("x", 200)
	names := func(from, n int) (names []string) {
		for i := range n {
			names = append(names, fmt.Sprint(fill, from+i))
		}
		return names
	}
	joined := 0
	for ; joined < 10_000; joined += 100 {
		a := g.post(joinPath, fmt.Sprintf(`{"groups":%s,"users":["a%d"]}`, quoted(names(joined, 100)...), joined/1000))
		if a.status == http.StatusServiceUnavailable {
			if a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "--group-memory") {
				t.Errorf("refused with %v %s", a.header, a.body)
			}
			break
		}
		if a.report(t).Matched != 1 {
			t.Fatalf("after %d joins: %s", joined, a.body)
		}
	}
	if a := g.post(joinPath, `{"groups":`+quoted(names(10_000, 900)...)+`,"users":["b"]}`); a.status != http.StatusServiceUnavailable {
		t.Errorf("for many at once: %d %s", a.status, a.body)
	}
	if sizes, _ := g.groups(""); len(sizes) != joined+1 || joined < 1000 {
		t.Errorf("there are %d groups, want %d", len(sizes), joined+1)
	}
	g.expectMetric(t, `ws_gateway_memory_gave_way_total{budget="groups"}`, 2)
	g.leave(`{"groups":` + quoted(names(0, joined)...) + `,"all":true}`)
	if n := g.join(`{"groups":` + quoted(names(0, 100)...) + `,"all":true}`); n != 11 {
		t.Errorf("after the leave a join matches %d", n)
	}
}

func TestManyNamesAreBoundedLikeAnyOther(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--max-api-body", "64KiB")
	g.Dial(t, "a")
	many := func(n int) string { return `"groups":["r"` + strings.Repeat(`,"s"`, n-1) + `]` }
	for path, rest := range map[string]string{joinPath: `,"users":["a"]}`, leavePath: `,"users":["a"]}`, sendPath: `,"payload":1}`, closePath: `}`} {
		if a := g.post(path, `{`+many(700)+rest); a.status != http.StatusRequestEntityTooLarge || !strings.Contains(a.body, "--max-api-body") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
		if a := g.post(path, `{`+many(20_000)+rest); a.status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s of 80 kB: %d %s", path, a.status, a.body)
		}
	}
	if n := g.connections(); n != 1 {
		t.Errorf("%d connections are left", n)
	}
	g.join(`{` + many(680) + `,"users":["a"]}`)
}

func TestGroupsWorkWhileConnectionsDrainAndAreGoneWithTheLast(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--drain-delay", "1h", "--shutdown-timeout", "2h")
	c := g.Dial(t, "a")
	g.Signal(syscall.SIGTERM)
	harness.Poll(t, "readyz to say 503", func() bool { return g.get("/readyz").status == http.StatusServiceUnavailable })
	if n := g.join(`{"groups":["r"],"all":true}`); n != 1 {
		t.Errorf("a join matched %d", n)
	}
	g.send(`{"groups":["r"],"payload":1}`)
	c.Receive("1")
	g.closeConns(`{"groups":["r"]}`)
	c.ClosedWith(1000, "")
	if sizes, _ := g.groups(""); len(sizes) != 0 {
		t.Errorf("at last there are %v", sizes)
	}
}

func TestWhileTheLastCallbacksAreDeliveredAJoinMatchesNothing(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--drain-period", "0s")
	c := g.Dial(t, "a")
	conn := app.opened("a")
	g.join(`{"groups":["r"],"users":["a"]}`)
	release := make(chan struct{})
	app.respond(func(c *call) reply {
		if c.event.Action == "close" {
			return reply{hold: release}
		}
		return reply{}
	})
	g.Signal(syscall.SIGTERM)
	c.ClosedWith(1001, "going away")
	app.awaitCall("the close event", func(c *call) bool { return c.is("close", "a") })
	if n := g.join(`{"groups":["r"],"all":true,"conns":["` + conn + `"]}`); n != 0 {
		t.Errorf("a join matched %d", n)
	}
	if sizes, _ := g.groups(""); len(sizes) != 0 {
		t.Errorf("there are %v", sizes)
	}
	close(release)
	if code := g.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
