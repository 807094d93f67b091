package demo

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"
)

// demoServer is the app alone, before a gateway that does not answer.
func demoServer(t *testing.T) (*app, *httptest.Server) {
	app, err := newApp(place{clients: "127.0.0.1:1", api: "http://127.0.0.1:1", path: "/ws", userHeader: "X-Bfl-User"}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(app.handler())
	t.Cleanup(server.Close)
	t.Cleanup(app.feed.end)
	return app, server
}

func request(t *testing.T, method, url, body string, header ...string) (status int, answer string, head http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text), response.Header
}

func TestTheAppAnswers204EvenWhenTheGatewaysAPIFails(t *testing.T) {
	app, server := demoServer(t)
	status, _, _ := request(t, "POST", server.URL+callbackPath, `{"action":"open","user_name":"a","conn_id":"1","data":{}}`)
	if status != http.StatusNoContent || app.feed.last != 1 {
		t.Errorf("status %d, %d entries: any other answer would have the event sent again", status, app.feed.last)
	}
	if status, _, _ := request(t, "POST", server.URL+callbackPath, `{`); status != http.StatusBadRequest {
		t.Errorf("no JSON: status %d", status)
	}
}

func TestOtherSitesCannotMakeTheBrowserUseTheApp(t *testing.T) {
	_, server := demoServer(t)
	for _, path := range []string{"/close", callbackPath} {
		if status, _, _ := request(t, "POST", server.URL+path, "conn_id=1", "Sec-Fetch-Site", "cross-site", "Content-Type", "application/x-www-form-urlencoded"); status != http.StatusForbidden {
			t.Errorf("%s: status %d", path, status)
		}
	}
	status, page, head := request(t, "GET", server.URL+"/", "")
	if status != http.StatusOK || !strings.Contains(page, "<title>ws-gateway demo</title>") || !strings.Contains(head.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("status %d, %v", status, head)
	}
}

func TestThePageNamesNoOutsideResource(t *testing.T) {
	for _, file := range []string{"index.html", "style.css", "app.js", "icon.svg"} {
		text, err := pageFiles.ReadFile("page/" + file)
		if err != nil {
			t.Fatal(err)
		}
		plain := strings.ReplaceAll(string(text), "http://www.w3.org/2000/svg", "")
		for _, bad := range []string{"http://", "https://", "innerHTML", "document.write", "insertAdjacentHTML", " style="} {
			if strings.Contains(plain, bad) {
				t.Errorf("%s contains %s", file, bad)
			}
		}
	}
}

func TestAUserNameIsMadeFitForAHeader(t *testing.T) {
	for typed, want := range map[string]string{
		"":                       "guest",
		" \t":                    "guest",
		" Ada ":                  "Ada",
		"a\r\nX-Bfl-User: root":  "aX-Bfl-User: root",
		"Zoë 山":                  "Zoë 山",
		"\xff":                   "\uFFFD",
		strings.Repeat("ä", 100): strings.Repeat("ä", 32),
	} {
		if got := userName(typed); got != want {
			t.Errorf("%q: got %q, want %q", typed, got, want)
		}
	}
}

func TestThePageGetsWhatItMissedAndThenWhatComes(t *testing.T) {
	app, server := demoServer(t)
	for i := range feedKept + 5 {
		app.feed.publish(feedEntry{RequestID: fmt.Sprint(i), Body: json.RawMessage(`{}`)})
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Last-Event-ID", fmt.Sprint(feedKept+3))
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	next := func() string {
		for lines.Scan() {
			if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
				return id
			}
		}
		return "end"
	}
	for n := feedKept + 4; n <= feedKept+5; n++ {
		if got := next(); got != fmt.Sprint(n) {
			t.Fatalf("got entry %s, want %d", got, n)
		}
	}
	app.feed.publish(feedEntry{Body: json.RawMessage(`{}`)})
	if got := next(); got != fmt.Sprint(feedKept+6) {
		t.Errorf("got entry %s", got)
	}
	app.feed.end()
	if got := next(); got != "end" {
		t.Errorf("got entry %s after the end", got)
	}
}

func TestALineThatIsCutLetsNothingPassUntilItIsMended(t *testing.T) {
	l := lines{all: map[string]*line{}}
	first, done, ok := l.pass(t.Context(), "a")
	if !ok || !l.cut("a") || first.Err() == nil || l.cut("a") || l.cut("b") || l.cut("") {
		t.Errorf("passes %v, then %v", ok, first.Err())
	}
	done()
	if _, _, ok := l.pass(t.Context(), "a"); ok {
		t.Error("passes while it is cut")
	}
	l.mend("a")
	second, done, ok := l.pass(t.Context(), "a")
	third, doneToo, _ := l.pass(t.Context(), "a")
	if !ok || second.Err() != nil {
		t.Error("does not pass")
	}
	if done(); !l.cut("a") || third.Err() == nil {
		t.Error("the end of one has hidden the other")
	}
	doneToo()
	l.mend("a")
	if len(l.all) != 0 {
		t.Errorf("%d lines are left", len(l.all))
	}
}

func TestLinesThatCannotBeRememberedPassAllTheSame(t *testing.T) {
	l := lines{all: map[string]*line{}}
	for i := range maxLines + 1 {
		_, done, ok := l.pass(t.Context(), fmt.Sprint(i))
		if !ok {
			t.Fatalf("line %d does not pass", i)
		}
		defer done()
	}
	if l.cut(fmt.Sprint(maxLines)) || !l.cut("0") {
		t.Error("what can be cut")
	}
}

func TestAPageThatDoesNotKeepUpIsCutOff(t *testing.T) {
	f := newFeed()
	_, slow := f.subscribe(0)
	for range feedWaiting + 1 {
		f.publish(feedEntry{})
	}
	for range feedWaiting {
		if _, ok := <-slow; !ok {
			t.Fatal("cut off too early")
		}
	}
	if _, ok := <-slow; ok {
		t.Error("not cut off")
	}
	if missed, _ := f.subscribe(feedWaiting); len(missed) != 1 {
		t.Errorf("coming back it gets %d entries", len(missed))
	}
	f.end()
	if _, after := f.subscribe(0); after == nil {
		t.Error("no channel after the end")
	} else if _, ok := <-after; ok {
		t.Error("an entry after the end")
	}
}

// gatewayAPI records the calls of the gateway's API. It refuses the group that is called
// refused.
func gatewayAPI(t *testing.T) (at string, calls func() []string) {
	var mu sync.Mutex
	var all []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, path.Base(r.URL.Path)+" "+strings.TrimSpace(string(body)))
		if strings.Contains(string(body), `"groups":["refused"]`) {
			io.WriteString(w, `{"code":400,"message":"no such name"}`)
			return
		}
		io.WriteString(w, `{"code":0,"message":"success"}`)
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string{}, all...)
	}
}

func TestRoomsAreGroupsOfTheGateway(t *testing.T) {
	at, calls := gatewayAPI(t)
	app, err := newApp(place{clients: "127.0.0.1:1", api: at, path: "/ws", userHeader: "X-Bfl-User"}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(app.api.CloseIdle)
	for _, data := range []string{
		`{"event":"join","data":{"room":"red"}}`, `{"event":"chat","data":{"text":"hi","room":"red"}}`, `{"event":"leave","data":{"room":"red"}}`,
		`{"event":"join","data":{"room":"refused"}}`, `{"event":"number","data":{"n":7}}`, `{"event":"dance"}`, `{"event":"join","data":1}`,
	} {
		if err := app.act(t.Context(), event{Action: "message", UserName: "ada", ConnID: "1", Data: json.RawMessage(data)}); err != nil {
			t.Errorf("%s: %v", data, err)
		}
	}
	const unknown = `send {"conn_id":"1","payload":{"event":"error","data":"this app knows the events chat, join, leave and number"}}`
	want := []string{
		`join {"groups":["red"],"conns":["1"]}`,
		`send {"groups":["red"],"payload":{"event":"joined","data":{"conn_id":"1","room":"red","user":"ada"}}}`,
		`send {"groups":["red"],"payload":{"event":"chat","data":{"from":"ada","room":"red","text":"hi","to":""}}}`,
		`leave {"groups":["red"],"conns":["1"]}`,
		`send {"conn_id":"1","payload":{"event":"left","data":{"conn_id":"1","room":"red","user":"ada"}}}`,
		`send {"groups":["red"],"payload":{"event":"left","data":{"conn_id":"1","room":"red","user":"ada"}}}`,
		`join {"groups":["refused"],"conns":["1"]}`,
		`send {"conn_id":"1","payload":{"event":"error","data":"no such name"}}`,
		`send {"conn_id":"1","payload":{"event":"counted","data":{"n":7}}}`,
		unknown, unknown,
	}
	if got := calls(); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
