package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"ws-gateway/e2e/harness"
)

func TestTheSeedsRequestsGetTheSeedsResponses(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	c := g.Connect(t, visitor{User: "alice", Header: map[string]string{"User-Agent": "seed/1"}})
	conn := app.opened("alice")

	if got, want := g.get(listPath).parse(t), fmt.Sprintf(`"id":"%s","userAgent":"seed/1"`, conn); !strings.Contains(string(got.Data), want) {
		t.Errorf("the list is %s, want it to contain %s", got.Data, want)
	}
	for _, body := range []string{
		`{"payload": {}, "conn_id": "` + conn + `", "users": []}`,
		`{"payload": {}, "conn_id": "` + conn + `"}`,
		`{"payload": {}, "conn_id": "", "users": ["alice", "bob"]}`,
		`{"payload": {}, "users": ["alice"], "unknown": {"field": [1]}}`,
	} {
		g.send(body)
		c.Receive(`{}`)
	}
	for _, body := range []string{
		`{"conns": ["` + conn + `"], "users": []}`,
		`{"conns": ["` + conn + `", "gone"], "users": ["alice", "nobody"]}`,
	} {
		g.closeConns(body)
	}
	c.ClosedWith(1000, "")
	if a := g.get(listPath); a.body != `{"code":0,"message":"success","data":[]}` {
		t.Errorf("the empty list is %q", a.body)
	}
}

func TestEveryAnswerIsJSONWithAContentTypeWhateverTheRequestsWas(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	for _, header := range [][]string{nil, {"Content-Type: text/plain"}, {"Content-Type: application/x-www-form-urlencoded"}} {
		a := g.post(sendPath, `{"payload":1,"users":["x"]}`, header...)
		if a.body != success || !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
			t.Errorf("%v: %q as %q", header, a.body, a.header.Get("Content-Type"))
		}
	}
	for _, target := range []string{listPath, countPath, getPath + "?conn_id=x"} {
		if got := g.get(target).header.Get("Content-Type"); !strings.HasPrefix(got, "application/json") {
			t.Errorf("%s: Content-Type %q", target, got)
		}
	}
}

func TestAPayloadsBytesAreTheTextFrameUntouched(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	c := g.Dial(t, "alice")
	for _, payload := range []string{
		`{"b":1,"a":{"z":0,"y":[1, 2]}}`, `{ "spaced" : true }`, `{"a":1,"a":2}`,
		`12345678901234567890.1234567890123456789`, `1E400`, `-0`, `"\u00e9\/\ud83d"`, `"é😀<&>"`, `null`, `true`, `[]`, `""`,
	} {
		g.send(`{"payload":` + payload + `,"users":["alice"]}`)
		c.Receive(payload)
	}
	g.send("{\"users\":[\"alice\"] , \"payload\" : \t{\"last\":1}\n}")
	c.Receive(`{"last":1}`)
}

func TestEncodingTextSendsAStringsTextAndBase64ABinaryFrame(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	c := g.Dial(t, "alice")
	g.send(`{"payload":"plain \"text\" \u00e9\n\ud83d\ude00","encoding":"text","users":["alice"]}`)
	c.Receive("plain \"text\" é\n😀")
	g.send(`{"payload":"","encoding":"text","users":["alice"]}`)
	c.Receive("")
	g.send(`{"payload":"AP/+","encoding":"base64","users":["alice"]}`)
	c.ReceiveBinary("\x00\xff\xfe")
	g.send(`{"payload":"","encoding":"base64","users":["alice"]}`)
	c.ReceiveBinary("")
	for _, body := range []string{
		`{"payload":{},"encoding":"text","users":["alice"]}`,
		`{"payload":1,"encoding":"base64","users":["alice"]}`,
		`{"payload":"?","encoding":"base64","users":["alice"]}`,
		`{"payload":"x","encoding":"rot13","users":["alice"]}`,
		`{"payload":"x","encoding":7,"users":["alice"]}`,
	} {
		if p := g.post(sendPath, body).parse(t); p.Code != 400 {
			t.Errorf("%s: code %d %q, want 400", body, p.Code, p.Message)
		}
	}
	g.send(`{"payload":"end","users":["alice"]}`)
	c.Receive(`"end"`)
}

func TestASendReachesExactlyItsTargets(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	clients := map[string]*client{}
	ids := map[string]string{}
	for _, name := range []string{"a1", "a2", "b1", "anonymous"} {
		user := map[string]string{"a1": "a", "a2": "a", "b1": "b"}[name]
		clients[name] = g.Connect(t, visitor{User: user, Target: "/ws?" + name})
		ids[name] = app.awaitCall("open of "+name, func(c *call) bool {
			return c.event.Request != nil && c.event.Request.URI == "/ws?"+name
		}).event.Conn
	}
	for i, test := range []struct {
		targets string
		want    []string
	}{
		{`"conn_id":"$a1"`, []string{"a1"}},
		{`"conn_id":"$anonymous"`, []string{"anonymous"}},
		{`"users":["a"]`, []string{"a1", "a2"}},
		{`"users":["a","a","b","nobody"]`, []string{"a1", "a2", "b1"}},
		{`"users":[""]`, []string{"anonymous"}},
		{`"conn_id":"$a1","users":["a"]`, []string{"a1"}},
		{`"conn_id":"$a1","users":["b"]`, []string{}},
		{`"conn_id":"$a1","users":["b","a"]`, []string{"a1"}},
		{`"conn_id":"","users":["b"]`, []string{"b1"}},
		{`"conn_id":"$a1","users":[]`, []string{"a1"}},
		{`"conn_id":"$a1","users":null`, []string{"a1"}},
		{`"conn_id":null,"users":["b"]`, []string{"b1"}},
		{`"all":true`, []string{"a1", "a2", "anonymous", "b1"}},
		{`"all":true,"exclude":["$a1","$b1","unknown"]`, []string{"a2", "anonymous"}},
		{`"users":["a"],"exclude":["$a2"]`, []string{"a1"}},
		{`"conn_id":"$a1","exclude":["$a1"]`, []string{}},
		{`"conn_id":"unknown"`, []string{}},
		{`"conns":["$a1","$b1"]`, []string{"a1", "b1"}},
		{`"conns":["$a1","$a1","unknown","","$a1"]`, []string{"a1"}},
		{`"conn_id":"$a2","conns":["$a1","$a2"]`, []string{"a1", "a2"}},
		{`"conns":["$a1","$b1","$anonymous"],"users":["b","nobody",""]`, []string{"anonymous", "b1"}},
		{`"conn_id":"$a2","conns":["$b1"],"users":["a"]`, []string{"a2"}},
		{`"conns":["unknown"],"users":["a"]`, []string{}},
		{`"conns":[],"users":["b"]`, []string{"b1"}},
		{`"conns":[""],"users":["b"]`, []string{"b1"}},
		{`"conns":null,"conn_id":"$a1"`, []string{"a1"}},
		{`"conns":["$a1","$a2","$b1"],"exclude":["$a2"]`, []string{"a1", "b1"}},
		{`"conns":["$a1"],"all":true`, []string{"a1", "a2", "anonymous", "b1"}},
		{`"conn_id":"` + strings.Repeat("x", 5000) + `"`, []string{}},
		{`"users":["nobody"]`, []string{}},
	} {
		targets := test.targets
		for name, id := range ids {
			targets = strings.ReplaceAll(targets, `"$`+name+`"`, `"`+id+`"`)
		}
		a := g.post(sendPath, fmt.Sprintf(`{"payload":%d,"report":true,%s}`, i, targets))
		p := a.parse(t)
		if n := len(test.want); p.Code != 0 || a.report(t) != (report{n, n, 0}) {
			t.Errorf("%s: %s, want %d matched and queued", test.targets, a.body, n)
		}
		for _, name := range test.want {
			clients[name].Receive(fmt.Sprint(i))
		}
	}
	// Whatever reached somebody too many would come before this.
	g.send(`{"payload":"end","all":true}`)
	for _, c := range clients {
		c.Receive(`"end"`)
	}
}

func TestABadSendIsCode400AndSaysWhy(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	for body, why := range map[string]string{
		``:                               "",
		`{`:                              "",
		`nonsense`:                       "",
		`[]`:                             "",
		`"x"`:                            "",
		`null`:                           "",
		`{"payload":{}`:                  "",
		`{"payload":{}} trailing`:        "",
		`{"payload":01,"users":["a"]}`:   "",
		`{}`:                             "",
		`{"payload":{}}`:                 "send message target is nil",
		`{"payload":{},"conn_id":""}`:    "send message target is nil",
		`{"payload":{},"users":[]}`:      "send message target is nil",
		`{"payload":{},"conns":[""]}`:    "send message target is nil",
		`{"payload":{},"conns":"a"}`:     "conns",
		`{"payload":{},"conns":[1]}`:     "conns",
		`{"payload":{},"all":false}`:     "send message target is nil",
		`{"users":["a"]}`:                "payload",
		`{"payload":{},"users":"a"}`:     "users",
		`{"payload":{},"users":[1]}`:     "users",
		`{"payload":{},"users":{"a":1}}`: "users",
		`{"payload":{},"conn_id":7}`:     "conn_id",
		`{"payload":{},"conn_id":["a"]}`: "conn_id",
		`{"payload":{},"all":"yes"}`:     "all",
		`{"payload":{},"all":true,"exclude":"x"}`:          "exclude",
		`{"payload":"x","users":["a"],"encoding":"rot13"}`: "encoding",
		strings.Repeat(`{"payload":`, 100_000):             "",
		`{"payload":` + strings.Repeat(`[`, 100_000) + `}`: "",
		"{\"payload\":\"a\nb\",\"users\":[\"a\"]}":         "",
		"{\"payload\":\"\xff\",\"users\":[\"a\"]}":         "",
		"{\"payload\":{},\"users\":[\"a\"]\x00}":           "",
		"\xef\xbb\xbf{\"payload\":{},\"users\":[\"a\"]} x": "",
	} {
		a := g.post(sendPath, body)
		p := a.parse(t)
		if a.status != http.StatusOK || p.Code != 400 || p.Message == "" || p.Message == "success" || !strings.Contains(p.Message, why) {
			t.Errorf("%.60q: %d %.200s, want code 400 naming %q", body, a.status, a.body, why)
		}
	}
	if !g.Running() {
		t.Error("the gateway died")
	}
}

func TestCloseEndsExactlyItsTargetsAndTakesThemOffTheListAtOnce(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	clients := map[string]*client{}
	for _, user := range []string{"a", "b", "c", "d", "e"} {
		clients[user] = g.Dial(t, user)
		app.opened(user)
	}
	closes := func(body string, code int, reason string, users ...string) {
		t.Helper()
		g.closeConns(body)
		left, _ := g.list("")
		for _, user := range users {
			if len(left[user]) != 0 {
				t.Errorf("%s is still listed after %s", user, body)
			}
			clients[user].ClosedWith(websocket.StatusCode(code), reason)
			delete(clients, user)
			if closed := app.closedAs(t, user, code, "app"); closed.event.Reason != reason {
				t.Errorf("the reason of %s is %q", user, closed.event.Reason)
			}
		}
		if len(left) != len(clients) {
			t.Errorf("%d users are left after %s, want %d", len(left), body, len(clients))
		}
	}
	closes(`{"conns":["nobody"],"users":["nobody"]}`, 0, "")
	closes(`{"conns":["`+app.opened("a")+`"]}`, 1000, "", "a")
	closes(`{"conns":["`+app.opened("b")+`"],"users":["c"],"code":3000,"reason":"both"}`, 3000, "both", "b", "c")
	closes(`{"users":["d"],"code":4999,"reason":"`+strings.Repeat("é", 61)+`"}`, 4999, strings.Repeat("é", 61), "d")
	closes(`{"all":true,"code":1000}`, 1000, "", "e")
	closes(`{"all":true}`, 1000, "")
}

func TestACloseWithAReportSaysHowManyItWasFor(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	a1, a2, b := g.Dial(t, "a"), g.Dial(t, "a"), g.Dial(t, "b")
	for _, test := range []struct{ body, data string }{
		{`{"users":["nobody"],"conns":["unknown"],"report":true}`, `,"data":{"matched":0}`},
		{`{"users":["a"],"conns":["` + g.only("b") + `"],"exclude":["` + g.only("b") + `"],"report":true}`, `,"data":{"matched":2}`},
		{`{"users":["b"],"report":false}`, ``},
		{`{"all":true,"report":true}`, `,"data":{"matched":0}`},
	} {
		if a := g.post(closePath, test.body); a.body != `{"code":0,"message":"success"`+test.data+`}` {
			t.Errorf("%s: %s", test.body, a.body)
		}
	}
	for _, c := range []*client{a1, a2, b} {
		c.ClosedWith(1000, "")
	}
}

func TestABadCloseIsCode400AndClosesNobody(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	g.Dial(t, "a")
	for _, body := range []string{
		``, `{`, `[]`, `{}`, `{"conns":[],"users":[]}`, `{"all":false}`, `{"code":1000}`,
		`{"users":"a"}`, `{"conns":{"a":1}}`, `{"users":["a",1]}`,
		`{"users":["a"],"code":999}`, `{"users":["a"],"code":1001}`, `{"users":["a"],"code":1005}`, `{"users":["a"],"code":2999}`,
		`{"users":["a"],"code":5000}`, `{"users":["a"],"code":-1}`, `{"users":["a"],"code":"1000"}`, `{"users":["a"],"code":1000.5}`,
		`{"users":["a"],"code":99999999999999999999}`,
		`{"users":["a"],"reason":"` + strings.Repeat("x", 124) + `"}`, `{"users":["a"],"reason":"` + strings.Repeat("é", 62) + `"}`,
		`{"users":["a"],"reason":7}`, `{"users":["a"]} x`, `{"users":["a"],"report":1}`,
	} {
		a := g.post(closePath, body)
		if p := a.parse(t); a.status != http.StatusOK || p.Code != 400 || p.Message == "" || p.Message == "success" {
			t.Errorf("%.80q: %d %.200s, want code 400", body, a.status, a.body)
		}
	}
	if n := g.connections(); n != 1 {
		t.Errorf("%d connections are left, want 1", n)
	}
}

func TestAClientThatIgnoresTheCloseFrameLosesTCPAfterTheCloseTimeout(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--close-timeout", "1s")
	r := g.rawClient(t, "deaf")
	app.opened("deaf")
	before := g.Descriptors()
	g.closeConns(`{"users":["deaf"]}`)
	r.expect(fin|opClose, closePayload(1000, ""))
	r.expectEnd() // although it never answered
	harness.Poll(t, "the descriptor to be given back", func() bool { return g.Descriptors() < before })
	app.closedAs(t, "deaf", 1000, "app")
}

func TestTwoSendsReachAConnectionInTheOrderInWhichTheyWereAccepted(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	var clients []*client
	for range 8 {
		clients = append(clients, g.Dial(t, "alice"))
	}
	ids, _ := g.list("?user=alice")
	one := ids["alice"][0].ID
	for n := range 100 {
		g.send(fmt.Sprintf(`{"payload":%d,"users":["alice"]}`, 3*n))
		one := [...]string{`"conn_id":"` + one + `"`, `"conns":["unknown","` + one + `"]`}[n%2]
		g.send(fmt.Sprintf(`{"payload":%d,%s}`, 3*n+1, one))
		g.send(fmt.Sprintf(`{"payload":%d,"all":true}`, 3*n+2))
	}
	extra := 0
	for _, c := range clients {
		for n := range 100 {
			c.Receive(fmt.Sprint(3 * n))
			_, got, err := c.Read()
			if err == nil && got == fmt.Sprint(3*n+1) {
				extra++
				_, got, err = c.Read()
			}
			if err != nil || got != fmt.Sprint(3*n+2) {
				t.Fatalf("got %q (%v), want %d", got, err, 3*n+2)
			}
		}
	}
	if extra != 100 {
		t.Errorf("%d messages reached the one connection, want 100", extra)
	}
}
