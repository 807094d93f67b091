package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const (
	metaPath   = "/tapr/ws/conn/meta"
	keepsMeta  = "--max-meta=1KiB"
	metaHeader = "X-Ws-Meta"
)

// metaOf is the metadata that get shows of a connection, "" for none.
func (g *gateway) metaOf(conn string) string {
	g.T.Helper()
	var data struct{ Meta json.RawMessage }
	if err := json.Unmarshal(g.get(getPath+"?conn_id="+conn).parse(g.T).Data, &data); err != nil {
		g.T.Fatal(err)
	}
	return string(data.Meta)
}

// The app has no memory: it counts the messages of each connection in its metadata. The
// client does not wait, so most messages are there before the answer to the one before.
func TestAnAppWithoutMemoryCountsInTheMetadata(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(func(c *call) reply {
		var kept struct{ N int }
		if c.event.Meta != nil {
			if err := json.Unmarshal(c.event.Meta, &kept); err != nil {
				t.Error(err)
			}
		}
		kept.N++
		return reply{header: map[string]string{metaHeader: asJSON(kept)}}
	})
	for _, mode := range []string{"notify", "authorize"} {
		g := startGateway(t, app, keepsMeta, "--callback-open="+mode)
		const clients, messages = 8, 50
		for n := range clients {
			c := g.Dial(t, fmt.Sprint(mode, n))
			for i := range messages {
				c.Send(fmt.Sprint(i))
			}
			c.Close(1000, "")
		}
		for n := range clients {
			if got, want := string(app.closed(fmt.Sprint(mode, n)).event.Meta), fmt.Sprintf(`{"N":%d}`, messages+1); got != want {
				t.Errorf("%s: the close event has %s, want %s", mode, got, want)
			}
		}
		g.awaitMetric(t, `ws_gateway_callbacks_delivered_total{action="close"}`, clients)
		for _, gauge := range []string{"ws_gateway_meta_connections", "ws_gateway_meta_bytes", "ws_gateway_meta_unreadable_total"} {
			g.expectMetric(t, gauge, 0)
		}
	}
}

func TestMetadataOfAnAuthorisingAnswerIsThereBeforeThe101(t *testing.T) {
	t.Parallel()
	value := `{"name":"Zoë, 100%","tags":["a"]}`
	b := startBouncer(t, func(w http.ResponseWriter, e event) {
		w.Header().Set(metaHeader, url.PathEscape(value))
		if e.User == "mallory" {
			w.WriteHeader(http.StatusForbidden)
		}
	})
	g := b.guarded(t, keepsMeta)
	c := g.Dial(t, "alice")
	conn := b.await(t, "open", 1)[0].Conn
	if got := g.metaOf(conn); got != value {
		t.Errorf("get has %q", got)
	}
	if got := g.get(listPath).body; !strings.Contains(got, `"meta":`+value+`}`) {
		t.Errorf("list has %s", got)
	}
	c.Send("1")
	if got := string(b.await(t, "message", 1)[0].Meta); got != value {
		t.Errorf("the message has %q", got)
	}
	if _, _, err := g.TryConnect(t, visitor{User: "mallory"}); err == nil {
		t.Error("mallory is in")
	}
	g.expectMetric(t, "ws_gateway_meta_connections", 1)
}

func TestACallGivesConnectionsMetadata(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--max-meta=64")
	alice, bob := g.Dial(t, "alice"), g.Dial(t, "bob")
	a, b := app.opened("alice"), app.opened("bob")
	g.join(`{"groups":["room"],"conns":["` + b + `"]}`)
	for _, step := range []struct {
		body         string
		matched      int
		wantA, wantB string
	}{
		{`{"users":["alice","nobody"],"meta":{"n":1}}`, 1, `{"n":1}`, ""},
		{`{"groups":["room"],"meta": [ 1.50 , "räume" ] }`, 1, `{"n":1}`, `[ 1.50 , "räume" ]`},
		{`{"all":true,"exclude":["` + a + `"],"meta":"x"}`, 1, `{"n":1}`, `"x"`},
		{`{"conns":["` + a + `","gone"],"meta":null}`, 1, "", `"x"`},
		{`{"all":true,"scope":"local","meta":2}`, 2, "2", "2"},
		{`{"conns":["gone"],"meta":3}`, 0, "2", "2"},
	} {
		if n := g.regroup(metaPath, step.body); n != step.matched {
			t.Errorf("%s matched %d", step.body, n)
		}
		if gotA, gotB := g.metaOf(a), g.metaOf(b); gotA != step.wantA || gotB != step.wantB {
			t.Errorf("after %s they have %q and %q", step.body, gotA, gotB)
		}
	}
	long := `"` + strings.Repeat("x", 63) + `"`
	for _, c := range []struct{ body, want string }{
		{`{"users":["alice"]}`, "meta is missing: give a JSON value, or null for none"},
		{`{"meta":1}`, "meta target is nil: name conns, users or groups, or set all"},
		{`{"conn_id":"` + a + `","meta":1}`, "conn_id is a member of send alone: name connections in conns"},
		{`{"users":["alice"],"meta":` + long + `}`, "metadata has 65 bytes, and --max-meta allows 64"},
		{`{"users":["alice"],"meta":1e400}`, "metadata must be JSON that every parser takes: not nested more deeply than --callback-json-depth allows, no number out of the range of a 64-bit float, no half of a surrogate pair"},
		{`{"users":["alice"],"groups":["room"],"meta":1}`, "groups cannot be combined with conn_id, conns, users or all: use a call for each"},
	} {
		if p := g.post(metaPath, c.body).parse(t); p.Code != 400 || p.Message != c.want {
			t.Errorf("%s: %d %q", c.body, p.Code, p.Message)
		}
	}
	alice.Send("1")
	bob.Send("2")
	for _, user := range []string{"alice", "bob"} {
		if got := app.awaitCall("message of "+user, func(c *call) bool { return c.is("message", user) }); string(got.event.Meta) != "2" {
			t.Errorf("%s", got.body)
		}
	}
}

func TestTheCommandKeepsMetadata(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, keepsMeta)
	c := g.Dial(t, "alice")
	g.cli(t, "", "meta", "--user", "alice", "--report", `{"room":1}`).done(t, "matched 1\n")
	if out := g.cli(t, "", "list", "--json"); out.code != 0 || !strings.Contains(out.stdout, `"meta":{"room":1}`) {
		t.Errorf("%+v", out)
	}
	g.cli(t, "", "meta", "--all", "null").done(t, "")
	if out := g.cli(t, "", "list", "--json"); strings.Contains(out.stdout, "meta") {
		t.Errorf("%+v", out)
	}
	if out := g.cli(t, "", "meta", "--all", "lobby"); out.code != exitUsage || !strings.Contains(out.stderr, "must be JSON") {
		t.Errorf("%+v", out)
	}
	if out := g.cli(t, "", "meta", "--fail-if-none", "--user", "bob", "1"); out.code != 4 {
		t.Errorf("%+v", out)
	}
	g.cli(t, "", "meta", "--all", "1").done(t, "")
	c.Close(1000, "")
	g.expectMetric(t, "ws_gateway_meta_connections", 0) // though no close event is sent
}

func TestPastTheMemoryNobodyIsGivenMetadata(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, keepsMeta, "--group-memory=1MiB")
	const clients = 1000
	for range clients {
		g.Dial(t, "crowd")
	}
	large := `"` + strings.Repeat("x", 1022) + `"`
	a := g.post(metaPath, `{"all":true,"meta":`+large+`}`)
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "--group-memory") {
		t.Errorf("%+v", a)
	}
	g.expectMetric(t, "ws_gateway_meta_connections", 0)
	g.expectMetric(t, `ws_gateway_meta_over_memory_total{origin="call"}`, 1)
	if n := g.regroup(metaPath, `{"all":true,"meta":1}`); n != clients {
		t.Errorf("matched %d", n)
	}
	if a := g.post(joinPath, `{"groups":["`+strings.Repeat("g", 200)+`"],"all":true}`); a.status != http.StatusOK {
		t.Errorf("a join beside it: %d", a.status)
	}
}

func TestWithoutTheOptionThereIsNoMetadata(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(func(*call) reply { return reply{header: map[string]string{metaHeader: "{"}} })
	g := startGateway(t, app)
	c := g.Dial(t, "alice")
	c.Send("1")
	if got := app.message("alice", 1); got.event.Meta != nil {
		t.Errorf("%s", got.body)
	}
	g.awaitMetric(t, `ws_gateway_callbacks_delivered_total{action="message"}`, 1) // the answer has been read
	g.expectMetric(t, "ws_gateway_meta_unreadable_total", 0)
	if p := g.post(metaPath, `{"all":true,"meta":1}`).parse(t); p.Code != 400 || !strings.Contains(p.Message, "--max-meta") {
		t.Errorf("%+v", p)
	}
}

func TestAnAnswerWhoseMetadataCannotBeReadIsCountedAndLoggedOnce(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(func(*call) reply { return reply{header: map[string]string{metaHeader: "lobby"}} })
	g := startGateway(t, app, keepsMeta)
	c := g.Dial(t, "alice")
	c.Send("1")
	app.message("alice", 1)
	g.awaitMetric(t, "ws_gateway_meta_unreadable_total", 2)
	lines := g.logged(t, 1, "x-ws-meta")
	if !lines[0].Has("must be JSON") || lines[0].Has("lobby") {
		t.Errorf("%v", lines)
	}
}

func TestTheCloseEventOfAJournalHasTheMetadata(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(func(c *call) reply {
		return reply{header: map[string]string{metaHeader: `{"seq":` + fmt.Sprint(c.seq) + `}`}}
	})
	journal := "--journal=" + t.TempDir()
	g := startGateway(t, app, keepsMeta, journal)
	c := g.Dial(t, "alice")
	c.Send("1")
	g.awaitMetric(t, `ws_gateway_callbacks_delivered_total{action="message"}`, 1)
	g.post(metaPath, `{"users":["alice"],"meta":{"by":"call"}}`)
	g.awaitMetric(t, "ws_gateway_journal_records_total", 4)
	g.kill()
	startGateway(t, app, keepsMeta, journal)
	if got := string(app.closed("alice").event.Meta); got != `{"by":"call"}` {
		t.Errorf("it has %q", got)
	}
}

func TestMetadataGoesThroughAnyGatewayOfACluster(t *testing.T) {
	t.Parallel()
	_, all := startCluster(t, 2, keepsMeta)
	a, b := all[0], all[1]
	a.Dial(t, "alice")
	b.Dial(t, "alice")
	if got, want := a.ask(t, "POST", metaPath, `{"users":["alice"],"meta":{"n":1}}`), `{"code":0,"message":"success","data":{"matched":2}}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, g := range all {
		list := g.ask(t, "GET", listPath, "")
		if strings.Count(list, `"meta":{"n":1}`) != 2 {
			t.Errorf("%s", list)
		}
	}
	local := b.ask(t, "GET", listPath+"?scope=local", "")
	_, id, _ := strings.Cut(local, `"id":"`)
	id = id[:24]
	if got := a.ask(t, "GET", getPath+"?conn_id="+id, ""); !strings.Contains(got, `"meta":{"n":1}`) {
		t.Errorf("%s", got)
	}
	if got, want := a.ask(t, "POST", metaPath, `{"all":true,"scope":"local","meta":null}`), `{"code":0,"message":"success","data":{"matched":1}}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := a.ask(t, "GET", listPath, ""); strings.Count(got, `"meta":{"n":1}`) != 1 {
		t.Errorf("%s", got)
	}
}

func TestAGatewayOfAClusterHoldsToItsOwnLimitOfMetadata(t *testing.T) {
	t.Parallel()
	nats, all := startCluster(t, 1, keepsMeta)
	b := startInstance(t, nats.URL(), "b", "--max-meta=8")
	all[0].awaitInstances(t, 1)
	b.awaitInstances(t, 1)
	all[0].Dial(t, "alice")
	b.Dial(t, "bob")
	got := all[0].ask(t, "POST", metaPath, `{"all":true,"meta":"123456789"}`)
	if !strings.Contains(got, `"code":400`) || !strings.Contains(got, "another gateway of the cluster: metadata has 11 bytes, and --max-meta allows 8") {
		t.Errorf("%s", got)
	}
}
