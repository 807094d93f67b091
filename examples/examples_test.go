//go:build examples

package examples

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ws-gateway/e2e/harness"
)

var all = []example{
	{"django", "start"},
	{"express", "start"},
	{"fastapi", "start"},
	{"fastify", "start"},
	{"flask", "start"},
	{"flask", "development"},
	{"go", "start"},
	{"php", "start"},
	{"php", "fpm"},
	{"sinatra", "start"},
}

// tests are what each example is held to.
var tests = []struct {
	name string
	run  func(*testing.T, *started)
}{
	{"who is not logged in gets 401", strangers},
	{"who is logged in is that user, whatever the client says", users},
	{"what is said in a room is heard there", rooms},
	{"names of rooms may have commas and letters of all kinds", names},
	{"who leaves a room hears no more of it", leaving},
	{"the lobby hears who has gone", gone},
	{"what the chat does not know is an error, and the connection stays", nonsense},
	{"what one says is heard in order", order},
	{"many who talk at once hear everything", crowd},
	{"an answer that is lost comes again, and the app acts once", lostAnswers},
	{"a call that fails is made again with the event", failedCalls},
	{"a callback with a wrong signature is answered with X-Ws-Error: signature, and nothing happens", forgeries},
	{"the largest message arrives", largest},
	{"the README says what becomes of numbers", numbers},
}

func TestEachExampleIsTheSameChat(t *testing.T) {
	for _, e := range all {
		name := e.folder
		if e.block != "start" {
			name += ": " + e.block
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chat(t, start(t, e))
		})
	}
}

// chat runs all tests.
func chat(t *testing.T, s *started) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, s) })
	}
}

func strangers(t *testing.T, s *started) {
	cookies, _ := s.login(t, "ada")
	for _, cookie := range []string{"", "session=ada", "nonsense", strings.ReplaceAll(cookies, "=", "=x")} {
		_, answer, err := s.door().TryConnect(t, harness.Visitor{User: "ada", Cookie: cookie})
		if err == nil || answer == nil || answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("with the cookie %q: %v, %v", cookie, answer, err)
		}
	}
	if _, status := s.login(t, "Ada, the first"); status != http.StatusBadRequest {
		t.Errorf("a name that is none is answered with %d", status)
	}
}

func users(t *testing.T, s *started) {
	p := s.enter(t, "grace")
	defer p.leaves()
	answer, err := s.gateway.HTTP.Get("http://" + s.faults.addr() + "/tapr/ws/conn/list?user=grace&group=lobby")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, _ := io.ReadAll(answer.Body); !strings.Contains(string(text), `"name":"grace"`) {
		t.Errorf("grace is not in the lobby: %s", text)
	}
}

func rooms(t *testing.T, s *started) {
	ada, bob, eve := s.enter(t, "ada"), s.enter(t, "bob"), s.enter(t, "eve")
	ada.join("tea")
	bob.join("tea")
	ada.hears(`{"event":"came","data":{"room":"tea","user":"bob"}}`)
	eve.join("chess")
	ada.say("say", said("tea", "hello <b>\"Bob\"</b> & grüße 👋"))
	for _, p := range []*person{ada, bob} {
		p.hearsEvent("said", map[string]string{"room": "tea", "user": "ada", "text": "hello <b>\"Bob\"</b> & grüße 👋"})
	}
	eve.say("say", said("chess", "I am alone")) // and has heard nothing else before
	eve.hearsEvent("said", map[string]string{"room": "chess", "user": "eve", "text": "I am alone"})
	for _, p := range []*person{ada, bob, eve} {
		p.leaves()
	}
}

func names(t *testing.T, s *started) {
	p := s.enter(t, "ada")
	defer p.leaves()
	for _, name := range []string{"a, b", "100 %", "größe/茶室 🍵", "a+b c", "a%20b", ";=\"'&?#"} {
		p.join(name)
		p.say("say", said(name, "here"))
		p.hearsEvent("said", map[string]string{"room": name, "user": "ada", "text": "here"})
	}
}

func leaving(t *testing.T, s *started) {
	ada, bob := s.enter(t, "ada"), s.enter(t, "bob")
	ada.join("a, b")
	bob.join("a, b")
	ada.hears(`{"event":"came","data":{"room":"a, b","user":"bob"}}`)
	bob.say("leave", room("a, b"))
	bob.hearsEvent("left", room("a, b"))
	ada.say("say", said("a, b", "is anybody here?"))
	ada.hearsEvent("said", map[string]string{"room": "a, b", "user": "ada", "text": "is anybody here?"})
	bob.say("echo", 1)
	bob.hears(`{"event":"echo","data":1}`) // nothing before it
	ada.leaves()
	bob.leaves()
}

func gone(t *testing.T, s *started) {
	ada := s.enter(t, "ada")
	defer ada.leaves()
	s.enter(t, "polite").leaves()
	ada.hearsGone("polite")
	s.enter(t, "rude").HangUp()
	ada.hearsGone("rude")
}

func nonsense(t *testing.T, s *started) {
	p := s.enter(t, "ada")
	defer p.leaves()
	for _, text := range []string{
		`hello`, `""`, `"hello"`, `7`, `null`, `true`, `[]`, `[1,2]`, `{}`, `{"event":7}`, `{"event":"join"}`, `{"event":"join","data":null}`,
		`{"event":"join","data":[]}`, `{"event":"join","data":"tea"}`, `{"event":"join","data":{"room":7}}`, `{"event":"join","data":{"room":""}}`, `{"event":"say","data":{"room":"a\u0000b","text":"x"}}`,
		`{"event":"join","data":{"room":"` + strings.Repeat("x", 61) + `"}}`, `{"event":"say","data":{"room":["tea"],"text":"x"}}`, `{"event":"say","data":{"room":"tea","text":7}}`, `{"event":"dance","data":{"room":"tea"}}`,
		strings.Repeat("[", 600) + strings.Repeat("]", 600), `{"event":"join","data":{"room":"\ud800"}}`,
	} {
		p.Send(text)
		p.hearsError()
	}
	p.SendBinary("\x00\xff")
	p.hearsError()
	p.join("tea")
}

func order(t *testing.T, s *started) {
	p := s.enter(t, "ada")
	defer p.leaves()
	p.join("order")
	const lines = 50
	for i := range lines {
		p.say("say", said("order", fmt.Sprint(i)))
	}
	for i := range lines {
		p.hearsEvent("said", map[string]string{"room": "order", "user": "ada", "text": fmt.Sprint(i)})
	}
}

func crowd(t *testing.T, s *started) {
	people := make([]*person, 20)
	for i := range people {
		people[i] = s.enter(t, fmt.Sprintf("user%d", i))
		people[i].say("join", room("crowd"))
	}
	// Who comes hears of those who come later, in whatever order that is.
	for _, p := range people {
		for !strings.Contains(p.next(), `"joined"`) {
		}
	}
	for _, p := range people {
		p.say("say", said("crowd", "it is "+p.name))
	}
	for _, p := range people {
		heard := map[string]int{}
		for len(heard) < len(people) {
			var got struct {
				Event string
				Data  struct{ User, Text string }
			}
			if err := json.Unmarshal([]byte(p.next()), &got); err != nil {
				t.Fatal(err)
			}
			if got.Event == "said" && got.Data.Text == "it is "+got.Data.User {
				heard[got.Data.User]++
			}
		}
		for user, n := range heard {
			if n != 1 {
				t.Errorf("%s hears %s %d times", p.name, user, n)
			}
		}
	}
	for _, p := range people {
		p.leaves()
	}
}

func lostAnswers(t *testing.T, s *started) {
	ada, bob := s.enter(t, "ada"), s.enter(t, "bob")
	ada.join("lost")
	s.relay.order(spoil{about: `"join"`, lose: true})
	bob.join("lost") // the answer that counts joins, and is a reply
	ada.hears(`{"event":"came","data":{"room":"lost","user":"bob"}}`)
	s.relay.order(spoil{about: "only once", lose: true})
	bob.say("say", said("lost", "only once"))
	bob.say("say", said("lost", "and then"))
	for _, text := range []string{"only once", "and then"} {
		for _, p := range []*person{ada, bob} {
			p.hearsEvent("said", map[string]string{"room": "lost", "user": "bob", "text": text})
		}
	}
	attempts := s.relay.about("only once", 2)
	first, second := attempts[0].request.Header, attempts[1].request.Header
	if first.Get("X-Request-Id") != second.Get("X-Request-Id") || second.Get("X-Attempt") == "1" {
		t.Errorf("the attempts were %v and %v", first, second)
	}
	s.relay.order(spoil{about: `"close"`, lose: true})
	bob.leaves()
	ada.hearsGone("bob")
	ada.say("echo", "gone once")
	for echoed := false; !echoed; {
		_, text, err := ada.Read()
		if err != nil {
			t.Fatal(err)
		}
		echoed = strings.Contains(text, "gone once")
		if !echoed && (!strings.Contains(text, `"gone"`) || strings.Contains(text, `"bob"`)) { // those of earlier tests may go late
			t.Errorf("after bob has gone ada hears %s", text)
		}
	}
	ada.leaves()
}

func failedCalls(t *testing.T, s *started) {
	p := s.enter(t, "ada")
	defer p.leaves()
	p.join("fault")
	for _, f := range []fault{
		{"number 0", http.StatusServiceUnavailable, "shutting down"},
		{"number 1", http.StatusOK, `{"code":504,"message":"try again"}`},
		{"number 2", http.StatusUnauthorized, `{"code":401,"message":"no token"}`},
	} {
		s.faults.order(f)
		p.say("say", said("fault", f.about))
		p.hearsEvent("said", map[string]string{"room": "fault", "user": "ada", "text": f.about})
		if first := s.relay.about(f.about, 2)[0].answer; first.StatusCode < 500 || first.Header.Get("X-Ws-Error") != "" {
			t.Errorf("a call that failed with %d is answered with %s", f.status, first.Status)
		}
	}
}

func forgeries(t *testing.T, s *started) {
	p := s.enter(t, "ada")
	defer p.leaves()
	p.join("seal")
	s.relay.order(spoil{about: "forged on its way", forged: true})
	p.say("say", said("seal", "forged on its way"))
	p.hearsEvent("said", map[string]string{"room": "seal", "user": "ada", "text": "forged on its way"})
	refused(t, s.relay.about("forged on its way", 2)[0].answer)

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: harness.Patience}
	body := `{"data":{"event":"say","data":{"room":"seal","text":"psst"}},"action":"message","user_name":"eve","conn_id":"000000000000000000000000"}`
	now := time.Now()
	for what, signature := range map[string]string{
		"none":          "",
		"without parts": "nonsense",
		"another key":   sign("guessed", body, now),
		"an old one":    sign("change me", body, now.Add(-time.Hour)),
		"for later":     sign("change me", body, now.Add(time.Hour)),
		"no time":       strings.Replace(sign("change me", body, now), fmt.Sprint("t=", now.Unix()), "t=now", 1),
		"no hex":        fmt.Sprintf("t=%d,v1=xyz,v1=ü,v1", now.Unix()),
	} {
		answer := post(t, client, s.app+"/ws/message", body, signature)
		if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("X-Ws-Error") != "signature" {
			t.Errorf("a signature that is wrong (%s) is answered with %s, %v", what, answer.Status, answer.Header)
		}
	}
	// While a secret is changed there are two.
	two := sign("the next", "another body", now) + "," + strings.SplitN(sign("change me", body, now), ",", 2)[1]
	if answer := post(t, client, s.app+"/ws/message", body, two); answer.StatusCode/100 != 2 {
		t.Errorf("one signature of two that is right is answered with %s", answer.Status)
	}
	p.hearsEvent("said", map[string]string{"room": "seal", "user": "eve", "text": "psst"}) // once: from the last
	p.say("echo", 1)
	p.hears(`{"event":"echo","data":1}`)
}

func refused(t *testing.T, answer *http.Response) {
	t.Helper()
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("X-Ws-Error") != "signature" {
		t.Errorf("a forgery is answered with %s, %v", answer.Status, answer.Header)
	}
}

func sign(secret, body string, at time.Time) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil)))
}

func post(t *testing.T, client *http.Client, target, body, signature string) *http.Response {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Request-Id", "000000000000000000000000-2")
	request.Header.Set("X-Attempt", "1")
	if signature != "" {
		request.Header.Set("X-Ws-Signature", signature)
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer
}

// The gateway takes messages of 1 MiB, and JSON may make six times as much of it.
func largest(t *testing.T, s *started) {
	p := s.enter(t, "ada")
	defer p.leaves()
	p.join("large")
	const frame = `{"event":"say","data":{"room":"large","text":""}}`
	text := strings.Repeat("x", 1<<20-len(frame))
	p.say("say", said("large", text))
	p.hearsEvent("said", map[string]string{"room": "large", "user": "ada", "text": text})
	p.Send(strings.Repeat("\x01", 1<<20))
	p.hearsError()
	p.Send(strings.Repeat("茶", 1<<20/3))
	p.hearsError()
	if err := p.Write(websocket.MessageBinary, strings.Repeat("\xff", 1<<20)); err != nil {
		t.Fatal(err)
	}
	p.hearsError()
	const small = `{"event":"echo","data":""}`
	long := strings.Repeat("x", 60<<10-len(small)) // replies may have 64 KiB
	p.say("echo", long)
	p.hearsEvent("echo", long)
}

// What a client sends through the framework's JSON and back may not be what it was. The
// table in this folder's README says how.
func numbers(t *testing.T, s *started) {
	p := s.enter(t, "ada")
	defer p.leaves()
	row := "| " + s.folder + " |"
	for _, number := range []string{"1.50", "1.0", "1e2", "12345678901234567890", "0.1234567890123456789"} {
		p.Send(`{"event":"echo","data":` + number + `}`)
		var heard struct{ Data json.RawMessage }
		if err := json.Unmarshal([]byte(p.next()), &heard); err != nil {
			t.Fatal(err)
		}
		if got := string(heard.Data); got == number {
			row += " the same |"
		} else {
			row += " " + got + " |"
		}
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(readme, []byte(row+"\n")) {
		t.Errorf("README.md lacks the row\n%s", row)
	}
}
