package peers

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
)

// event is what a gateway tells the app, as docs/protocol.md has it.
type event struct {
	Data      json.RawMessage
	Action    string
	User      string `json:"user_name"`
	ID        string `json:"conn_id"`
	Encoding  string
	Code      int
	Reason    string
	Initiator string
	Request   struct {
		URI        string
		RemoteAddr string `json:"remote_addr"`
		UserAgent  string `json:"user_agent"`
		Origin     string
	}

	header http.Header
}

// gateway runs the gateway in C in front of an app. An event is answered when answer
// returns, with what it writes.
func gateway(t *testing.T, answer func(event, http.ResponseWriter), args ...string) (addr string) {
	t.Helper()
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("there is no C compiler")
	}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		e := event{header: r.Header}
		if err == nil {
			err = json.Unmarshal(body, &e)
		}
		if err != nil || r.Method != "POST" || r.URL.Path != "/callback" {
			t.Errorf("%s %s with %q: %v", r.Method, r.URL, body, err)
		}
		answer(e, w)
	}))
	t.Cleanup(app.Close)
	return start(t, cGateway, append([]string{"--callback-url", app.URL + "/callback"}, args...)...)
}

// queue collects events for a test.
func queue() (chan event, func(event, http.ResponseWriter)) {
	events := make(chan event, 100)
	return events, func(e event, _ http.ResponseWriter) { events <- e }
}

func due(t *testing.T, ctx context.Context, events chan event) event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-ctx.Done():
		t.Fatal("no event came")
		return event{}
	}
}

func connect(t *testing.T, ctx context.Context, addr, user string) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(ctx, "ws://"+addr+"/ws?room=1", &websocket.DialOptions{HTTPHeader: http.Header{
		"X-Bfl-User": {user}, "Cookie": {"session=" + user}, "Origin": {"http://" + addr}, "User-Agent": {"test"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return c
}

// call makes a send call and returns the code of its answer.
func call(t *testing.T, ctx context.Context, addr, body string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, "POST", "http://"+addr+"/tapr/ws/conn/send", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var said struct {
		Code    *int
		Message string
	}
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil || said.Code == nil || (*said.Code == 0) != (said.Message == "success") {
		t.Fatalf("%s was answered %+v: %v", body, said, err)
	}
	return *said.Code
}

func TestTheGatewayTellsTheAppOfEachEventInTurn(t *testing.T) {
	ctx := patience(t)
	events, answer := queue()
	addr := gateway(t, answer)
	c := connect(t, ctx, addr, `al"ice`)
	open := due(t, ctx, events)
	if open.Action != "open" || open.User != `al"ice` || len(open.ID) != 24 || string(open.Data) != "{}" || open.Request.URI != "/ws?room=1" ||
		open.Request.Origin != "http://"+addr || open.Request.UserAgent != "test" || !strings.HasPrefix(open.Request.RemoteAddr, "127.0.0.1:") {
		t.Errorf("the open event is %+v", open)
	}
	for i, m := range []struct {
		op                   websocket.MessageType
		text, data, encoding string
	}{
		{websocket.MessageText, `{"n": 1.50,"a":[true,null,-1e5,"\u00e4"]}`, `{"n": 1.50,"a":[true,null,-1e5,"\u00e4"]}`, ""},
		{websocket.MessageText, ` 7 `, ` 7 `, ""},
		{websocket.MessageText, "say \"hello\"\n", `"say \"hello\"\u000a"`, "text"},
		{websocket.MessageText, `{"n":01}`, `"{\"n\":01}"`, "text"},
		{websocket.MessageText, `[1,]`, `"[1,]"`, "text"},
		{websocket.MessageText, "", `""`, "text"},
		{websocket.MessageBinary, "\x00\xff", `"AP8="`, "base64"},
		{websocket.MessageText, "[" + strings.Repeat(`"more than a read takes",`, 10_000) + "1]", "", ""},
	} {
		send(t, ctx, c, m.op, []byte(m.text))
		e := due(t, ctx, events)
		if m.data == "" {
			m.data = m.text
		}
		// Blanks around a value are not the decoder's to keep.
		if e.Action != "message" || string(e.Data) != strings.TrimSpace(m.data) || e.Encoding != m.encoding || e.User != `al"ice` || e.ID != open.ID {
			t.Errorf("%.40q became %.200q, %+v", m.text, e.Data, e.Encoding)
		}
		if id := e.header.Get("X-Request-Id"); id != open.ID+"-"+string(rune('2'+i)) || e.header.Get("X-Attempt") != "1" ||
			e.header.Get("Cookie") != `session=al"ice` || e.header.Get("X-Ws-Epoch") == "" || e.header.Get("Content-Type") != "application/json" {
			t.Errorf("headers are %v", e.header)
		}
	}
	send(t, ctx, c, websocket.MessageText, []byte(`{"event":"ping"}`))
	expect(t, ctx, c, websocket.MessageText, []byte(`{"event":"pong"}`))
	_ = c.Close(4000, "see you") // its error depends on who reads the answer first
	if e := due(t, ctx, events); e.Action != "close" || e.Code != 4000 || e.Reason != "see you" || e.Initiator != "client" {
		t.Errorf("the close event is %+v", e)
	}
	connect(t, ctx, addr, "bob").CloseNow()
	due(t, ctx, events)
	if e := due(t, ctx, events); e.Action != "close" || e.User != "bob" || e.Code != 1006 || e.Initiator != "network" {
		t.Errorf("the close event is %+v", e)
	}
}

func TestTheGatewaySendsToConnectionsAndUsers(t *testing.T) {
	ctx := patience(t)
	events, answer := queue()
	addr := gateway(t, answer)
	first, second, other := connect(t, ctx, addr, "alice"), connect(t, ctx, addr, "alice"), connect(t, ctx, addr, "bob")
	ids := map[string]string{}
	for range 3 {
		e := due(t, ctx, events)
		ids[e.User] = e.ID
	}
	for body, code := range map[string]int{
		`{"users":["alice","nobody","alice"],"payload":{"n": 1.50}}`: 0, `{"payload":"for bob","conn_id":"` + ids["bob"] + `"}`: 0,
		`{"conns":["000000000000000000000000","x"],"payload":1}`: 0, `{"payload":1}`: 400, `{"users":["alice"]}`: 400, `[]`: 400,
		`{"all":true,"payload":1}`: 400, `{"payload":1} x`: 400,
	} {
		if got := call(t, ctx, addr, body); got != code {
			t.Errorf("%s was answered with code %d", body, got)
		}
	}
	expect(t, ctx, first, websocket.MessageText, []byte(`{"n": 1.50}`))
	expect(t, ctx, second, websocket.MessageText, []byte(`{"n": 1.50}`))
	expect(t, ctx, other, websocket.MessageText, []byte(`"for bob"`))
	for i, c := range []*websocket.Conn{first, second, other} { // nothing came twice
		call(t, ctx, addr, `{"users":["alice","bob"],"payload":"the last"}`)
		for range i + 1 {
			expect(t, ctx, c, websocket.MessageText, []byte(`"the last"`))
		}
	}
}

func TestTheGatewayPassesOnTheAppsAnswersIfItIsToldTo(t *testing.T) {
	ctx := patience(t)
	addr := gateway(t, func(e event, w http.ResponseWriter) {
		if e.Action == "message" {
			w.Header().Set("Content-Type", map[bool]string{true: "application/octet-stream", false: "application/json"}[e.Encoding == "base64"])
			w.Write(e.Data)
		}
	}, "--callback-reply")
	c := connect(t, ctx, addr, "alice")
	for range 50 {
		send(t, ctx, c, websocket.MessageText, []byte(`{"n":1}`))
		send(t, ctx, c, websocket.MessageBinary, []byte("\x00\xff"))
	}
	for range 50 {
		expect(t, ctx, c, websocket.MessageText, []byte(`{"n":1}`))
		expect(t, ctx, c, websocket.MessageBinary, []byte(`"AP8="`))
	}
}

func TestTheGatewayHasOneEventOfAConnectionUnderWay(t *testing.T) {
	ctx := patience(t)
	var underWay [2]atomic.Int32
	events := make(chan event, 2_000)
	addr := gateway(t, func(e event, _ http.ResponseWriter) {
		if who := &underWay[e.User[0]-'a']; who.Add(1) > 1 {
			t.Error("two events of a connection are under way")
		} else {
			events <- e
			who.Add(-1)
		}
	})
	a, b := connect(t, ctx, addr, "a"), connect(t, ctx, addr, "b")
	const many = 600 // more than may wait
	for i := range many {
		for _, c := range []*websocket.Conn{a, b} {
			send(t, ctx, c, websocket.MessageText, []byte(string(rune('0'+i%10))))
		}
	}
	seen := map[string]int{}
	for range 2 * (many + 1) {
		e := due(t, ctx, events)
		if n := seen[e.ID]; n > 0 && string(e.Data) != string(rune('0'+(n-1)%10)) {
			t.Fatalf("event %d of %s is %s", n, e.User, e.Data)
		}
		seen[e.ID]++
	}
}

func TestTheGatewaySendsAnEventAgainWhoseConnectionBroke(t *testing.T) {
	ctx := patience(t)
	events := make(chan event, 10)
	addr := gateway(t, func(e event, w http.ResponseWriter) {
		events <- e
		if e.header.Get("X-Attempt") != "3" {
			panic(http.ErrAbortHandler)
		}
	})
	connect(t, ctx, addr, "alice").CloseNow()
	for _, want := range []string{"open 1", "open 2", "open 3", "close 1", "close 2", "close 3"} {
		if e := due(t, ctx, events); e.Action+" "+e.header.Get("X-Attempt") != want {
			t.Fatalf("%s was due, %s %s came", want, e.Action, e.header.Get("X-Attempt"))
		}
	}
}
