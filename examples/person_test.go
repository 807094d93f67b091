//go:build examples

package examples

import (
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"ws-gateway/e2e/harness"
)

// person is a client of the chat.
type person struct {
	t    *testing.T
	name string
	*harness.Client
}

// login is what the page does before it connects. It returns the cookies as a browser sends
// them.
func (s *started) login(t *testing.T, user string) (cookies string, status int) {
	t.Helper()
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar, Timeout: harness.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
	site, _ := url.Parse(s.site)
	page, err := client.Get(s.site + "/")
	if err != nil {
		t.Fatal(err)
	}
	page.Body.Close()
	request, _ := http.NewRequest(http.MethodPost, s.site+"/login", strings.NewReader(url.Values{"user": {user}}.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, cookie := range jar.Cookies(site) {
		if cookie.Name == "csrftoken" {
			request.Header.Set("X-CSRFToken", cookie.Value)
		}
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	var pairs []string
	for _, cookie := range jar.Cookies(site) {
		pairs = append(pairs, cookie.Name+"="+cookie.Value)
	}
	return strings.Join(pairs, "; "), answer.StatusCode
}

// door is where clients connect.
func (s *started) door() *harness.Gateway { return &harness.Gateway{Addr: s.clients} }

// enter logs in and connects.
func (s *started) enter(t *testing.T, user string) *person {
	t.Helper()
	cookies, status := s.login(t, user)
	if status/100 != 2 {
		t.Fatalf("the login was answered with %d", status)
	}
	// A stranger says to be somebody else, too: no proxy is there to stop it.
	p := &person{t, user, s.door().Connect(t, harness.Visitor{User: "mallory", Cookie: cookies})}
	p.hears(`{"event":"welcome","data":{"user":"` + user + `"}}`)
	return p
}

// say sends {"event":event,"data":data}.
func (p *person) say(event string, data any) {
	p.t.Helper()
	message, err := json.Marshal(map[string]any{"event": event, "data": data})
	if err != nil {
		p.t.Fatal(err)
	}
	p.Send(string(message))
}

// room is data for say.
func room(name string) map[string]string { return map[string]string{"room": name} }

func said(room, text string) map[string]string { return map[string]string{"room": room, "text": text} }

// join asks for rooms and waits until they are joined.
func (p *person) join(rooms ...string) {
	p.t.Helper()
	for _, name := range rooms {
		p.say("join", room(name))
		p.hearsEvent("joined", room(name))
	}
}

// next returns the next message, except that others have gone: the connections of earlier
// tests may still be closing.
func (p *person) next() string {
	p.t.Helper()
	for {
		kind, text, err := p.Read()
		if err != nil || kind != websocket.MessageText {
			p.t.Fatalf("%s waits for a message: %v %v", p.name, kind, err)
		}
		if !strings.Contains(text, `"gone"`) {
			return text
		}
	}
}

// hears requires the next message to be this JSON, in whatever notation.
func (p *person) hears(want string) {
	p.t.Helper()
	var got, wanted any
	text := p.next()
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		p.t.Fatalf("%s hears %.200q: %v", p.name, text, err)
	}
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		p.t.Fatal(err)
	}
	if !reflect.DeepEqual(got, wanted) {
		p.t.Fatalf("%s hears %.200s, want %.200s", p.name, text, want)
	}
}

func (p *person) hearsEvent(event string, data any) {
	p.t.Helper()
	want, err := json.Marshal(map[string]any{"event": event, "data": data})
	if err != nil {
		p.t.Fatal(err)
	}
	p.hears(string(want))
}

// hearsError requires the next message to be an error with a text.
func (p *person) hearsError() {
	p.t.Helper()
	var got struct {
		Event string
		Data  struct{ Text string }
	}
	if text := p.next(); json.Unmarshal([]byte(text), &got) != nil || got.Event != "error" || got.Data.Text == "" {
		p.t.Fatalf("%s hears %.200s, want an error", p.name, text)
	}
}

// hearsGone reads until somebody has gone.
func (p *person) hearsGone(user string) {
	p.t.Helper()
	for {
		_, text, err := p.Read()
		if err != nil {
			p.t.Fatal(err)
		}
		var got struct {
			Event string
			Data  struct{ User string }
		}
		if json.Unmarshal([]byte(text), &got) == nil && got.Event == "gone" && got.Data.User == user {
			return
		}
	}
}

// leaves closes the connection.
func (p *person) leaves() { p.Close(websocket.StatusNormalClosure, "") }
