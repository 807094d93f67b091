package hub

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/coder/websocket"

	"ws-gateway/forward"
	"ws-gateway/netpoll"
)

// question is a call of Authorize.
type question struct {
	src    forward.Source
	connID string
	req    forward.Request
	answer func(forward.Answer)
}

// startAuthorizing starts a gateway whose app is asked through questions.
func startAuthorizing(t *testing.T, cfg Config) (*gateway, chan question) {
	questions := make(chan question, 100)
	cfg.Authorize = func(src forward.Source, req forward.Request, done func(forward.Answer)) {
		questions <- question{src, string(src.ConnID), req, done}
	}
	return start(t, cfg, netpoll.Config{}), questions
}

// attempt dials in the background, as user, and hands over the outcome.
func (g *gateway) attempt(ctx context.Context, user string) <-chan attempted {
	done := make(chan attempted, 1)
	go func() {
		c, r, err := websocket.Dial(ctx, "ws://"+g.addr+"/ws?room=1", &websocket.DialOptions{
			HTTPHeader:   http.Header{"X-Bfl-User": {user}, "Cookie": {"a=b"}},
			Subprotocols: []string{"chat"},
		})
		k := attempted{conn: c, err: err}
		if r != nil {
			k.status, k.header = r.StatusCode, r.Header
			if r.StatusCode != http.StatusSwitchingProtocols {
				k.body, _ = io.ReadAll(r.Body) // what the client keeps of it
			}
		}
		if c != nil {
			g.t.Cleanup(func() { c.CloseNow() })
		}
		done <- k
	}()
	return done
}

type attempted struct {
	conn   *websocket.Conn
	status int
	header http.Header
	body   []byte
	err    error
}

var accepted = forward.Answer{Status: 200, Err: forward.Delivered}

func TestAnAuthorisedConnectionIsTheUserThatTheAppNames(t *testing.T) {
	g, questions := startAuthorizing(t, Config{})
	dialed := g.attempt(t.Context(), "claimed")
	q := <-questions
	if q.src.User != "claimed" || q.src.Seq != 1 || q.src.Headers != "a=b" || q.req.URI != "/ws?room=1" {
		t.Errorf("the app was asked %+v, %+v", q.src, q.req)
	}
	if n, _ := g.Count(); n != 0 {
		t.Errorf("%d connections are listed before the app has agreed", n)
	}
	yes := accepted
	yes.User, yes.HasUser = "real", true
	q.answer(yes)
	k := <-dialed
	if k.err != nil || k.conn.Subprotocol() != "chat" {
		t.Fatalf("%+v", k)
	}
	if info, ok := g.Get(q.connID); !ok || info.User != "real" {
		t.Errorf("listed as %+v, %v", info, ok)
	}
	k.conn.Write(t.Context(), websocket.MessageText, []byte(`"hello"`))
	events := g.app.count(t, "message", 1)
	if e := events[0]; e.src.User != "real" || e.src.Seq != 2 || e.id != q.connID {
		t.Errorf("the message is %+v", e)
	}
	if r, err := g.Send(t.Context(), Targets{Users: []string{"real"}}, netpoll.NewFrame(1, []byte("to real")), true); err != nil || r.Queued != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, data, err := k.conn.Read(t.Context()); string(data) != "to real" {
		t.Errorf("received %q, %v", data, err)
	}
	k.conn.Close(1000, "")
	events = g.app.count(t, "close", 1)
	if e := events[len(events)-1]; len(events) != 2 || e.src.Seq != 3 || e.end.Initiator != "client" {
		t.Errorf("events: %+v", events)
	}
}

func TestARefusalOfTheAppReachesTheClientAsItIs(t *testing.T) {
	g, questions := startAuthorizing(t, Config{})
	for _, c := range []struct {
		answer     forward.Answer
		status     int
		kind, body string
		retry      string
	}{
		{forward.Answer{Status: 403, Err: forward.Rejected, Body: []byte(`{"error":"no"}`), ContentType: "application/json"}, 403, "application/json", `{"error":"no"}`, ""},
		{forward.Answer{Status: 401, Err: forward.Rejected}, 401, "text/plain; charset=utf-8", "refused by the app\n", ""},
		{forward.Answer{Status: 500, Err: forward.Unavailable, Body: []byte("secret")}, 503, "text/plain; charset=utf-8", "the app could not be asked\n", "5"},
		{forward.Answer{Status: 302, Err: forward.Rejected}, 503, "text/plain; charset=utf-8", "the app could not be asked\n", "5"},
		{forward.Answer{Err: forward.TimedOut}, 503, "text/plain; charset=utf-8", "the app could not be asked\n", "5"},
		{forward.Answer{Status: 200, Err: forward.Delivered, User: "\xff", HasUser: true}, 503, "text/plain; charset=utf-8", "the user name is not UTF-8\n", ""},
	} {
		dialed := g.attempt(t.Context(), "u")
		q := <-questions
		q.answer(c.answer)
		k := <-dialed
		if k.status != c.status || k.header.Get("Content-Type") != c.kind || !bytes.Equal(k.body, []byte(c.body)) || k.header.Get("Retry-After") != c.retry {
			t.Errorf("%+v became %d %v %q", c.answer, k.status, k.header, k.body)
		}
	}
	events := g.app.count(t, "close", 1) // of the one that the app had accepted, and of no other
	if len(events) != 1 || events[0].end.Code != 1013 {
		t.Errorf("events: %+v", events)
	}
	if n, _ := g.Count(); n != 0 || g.authorizing.Load() != 0 {
		t.Errorf("%d connections, %d still waiting", n, g.authorizing.Load())
	}
}

func TestAClientThatLeavesBeforeTheAppAgreesGivesACloseEvent(t *testing.T) {
	g, questions := startAuthorizing(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	dialed := g.attempt(ctx, "u")
	q := <-questions
	cancel()
	<-dialed
	loop := g.server.Loops()[netpoll.ID(q.src.Key).Loop()]
	gone := make(chan struct{})
	loop.Post(func(l *netpoll.Loop) bool {
		if l.Parked(netpoll.ID(q.src.Key)) {
			return true
		}
		close(gone)
		return false
	})
	<-gone
	q.answer(accepted)
	events := g.app.count(t, "close", 1)
	if e := events[0]; len(events) != 1 || e.src.Seq != 2 || e.id != q.connID || e.end != (forward.End{Code: 1006, Initiator: "network"}) {
		t.Errorf("events: %+v", events)
	}
}

func TestOnlySoManyHandshakesWaitForTheApp(t *testing.T) {
	g, questions := startAuthorizing(t, Config{MaxPendingAuthorizations: 2})
	first, second := g.attempt(t.Context(), "a"), g.attempt(t.Context(), "b")
	one, two := <-questions, <-questions
	if k := <-g.attempt(t.Context(), "c"); k.status != 503 || k.header.Get("Retry-After") == "" {
		t.Errorf("the third got %+v", k)
	}
	if n := g.Stats().RefusedPending; n != 1 {
		t.Errorf("%d are counted", n)
	}
	one.answer(accepted)
	two.answer(accepted)
	for _, dialed := range []<-chan attempted{first, second} {
		if k := <-dialed; k.err != nil {
			t.Error(k.err)
		}
	}
}

func TestLimitsHoldForAuthorisedConnectionsToo(t *testing.T) {
	g, questions := startAuthorizing(t, Config{MaxConnections: 2, MaxConnectionsPerUser: 1})
	first, second := g.attempt(t.Context(), "same"), g.attempt(t.Context(), "same")
	one, two := <-questions, <-questions
	if k := <-g.attempt(t.Context(), "third"); k.status != 503 {
		t.Errorf("over MaxConnections, those that wait included: %+v", k)
	}
	one.answer(accepted)
	two.answer(accepted)
	statuses := map[int]int{}
	for _, dialed := range []<-chan attempted{first, second} {
		statuses[(<-dialed).status]++
	}
	if statuses[101] != 1 || statuses[429] != 1 {
		t.Errorf("the two of one user got %v", statuses)
	}
	if events := g.app.count(t, "close", 1); len(events) != 1 || events[0].end.Initiator != "gateway" {
		t.Errorf("events: %+v", events)
	}
}

func TestAnAnswerThatComesWhileDrainingRefuses(t *testing.T) {
	g, questions := startAuthorizing(t, Config{})
	dialed := g.attempt(t.Context(), "u")
	q := <-questions
	g.SetDraining()
	q.answer(accepted)
	if k := <-dialed; k.status != 503 {
		t.Errorf("%+v", k)
	}
	g.app.count(t, "close", 1)
}
