package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"ws-gateway/e2e/harness"
)

// postApp is an app that keeps each POST as it came, batch or not.
type postApp struct {
	server *httptest.Server
	watched
	posts  []*posted
	answer func(*posted) reply // called with the lock held; nil: 200
}

// posted is a POST and what is in it.
type posted struct {
	header http.Header
	query  string
	body   []byte
	events []element // of a batch, or one
}

// element is an event, of a batch or by itself.
type element struct {
	event
	RequestID string            `json:"request_id"`
	Cookie    string            `json:"cookie"`
	Headers   map[string]string `json:"headers"`
}

// is reports whether it is this user's message.
func (e *element) is(user, data string) bool {
	return e.Action == "message" && e.User == user && string(e.Data) == data
}

func startPostApp(t testing.TB, answer func(*posted) reply) *postApp {
	t.Helper()
	a := &postApp{answer: answer}
	a.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := &posted{header: r.Header, query: r.URL.RequestURI()}
		var err error
		if p.body, err = io.ReadAll(r.Body); err != nil {
			return
		}
		if err := p.parse(); err != nil {
			t.Errorf("%v: %.200s", err, p.body)
		}
		a.Mu.Lock()
		a.posts = append(a.posts, p)
		answer := reply{}
		if a.answer != nil {
			answer = a.answer(p)
		}
		a.Changed()
		a.Mu.Unlock()
		if answer.hold != nil {
			select {
			case <-answer.hold:
			case <-r.Context().Done():
				return
			}
		}
		for name, value := range answer.header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(max(answer.status, http.StatusOK) + min(answer.status, 0))
		_, _ = io.WriteString(w, answer.body) // the gateway need not read it
	}))
	t.Cleanup(a.server.Close)
	return a
}

func (p *posted) parse() error {
	if p.body[0] == '[' {
		return json.Unmarshal(p.body, &p.events)
	}
	p.events = make([]element, 1)
	p.events[0].RequestID = p.header.Get("X-Request-Id")
	return json.Unmarshal(p.body, &p.events[0])
}

func (a *postApp) gateway(t testing.TB, args ...string) *gateway {
	t.Helper()
	return launch{args: append([]string{"--callback-url", a.server.URL}, args...)}.start(t)
}

func (a *postApp) awaitThat(t testing.TB, what string, cond func() bool) {
	t.Helper()
	if !a.Await(harness.Patience, cond) {
		t.Fatalf("waited %v in vain: %s", harness.Patience, what)
	}
}

// count is how many events of the action there were, repetitions included. The
// caller holds the lock.
func (a *postApp) count(action string) (n int) {
	for _, p := range a.posts {
		for _, e := range p.events {
			if e.Action == action {
				n++
			}
		}
	}
	return n
}

func nested(open, inner, closing string, n int) string {
	return strings.Repeat(open, n) + inner + strings.Repeat(closing, n)
}

// nasty are texts that some JSON parser gives up on, or that may be taken for JSON.
// verbatim says whether they travel as they are.
var nasty = []struct {
	text     string
	verbatim bool
}{
	{nested("[", "", "]", 498), true},
	{nested("[", "", "]", 499), false},
	{nested("[", "", "]", 511), false},
	{nested("[", "", "]", 2000), false},
	{nested("[", "", "]", 9_998), false},
	{nested("[", "", "]", 10_000), false},
	{nested("[", "", "]", 100_000), false},
	{nested(`{"a":`, "1", "}", 498), true},
	{nested(`{"a":`, "1", "}", 5_000), false},
	{strings.Repeat("[", 50_000), false},
	{strings.Repeat("1", 300), true},
	{strings.Repeat("1", 301), false},
	{strings.Repeat("9", 5_000), false},
	{`{"n":-` + strings.Repeat("9", 5_000) + `}`, false},
	{"0." + strings.Repeat("3", 5_000), false},
	{"1e308", true}, {"1e309", false}, {"-1e400", false}, {"[1E+400]", false}, {"1e99999999999999999999", false}, {"1e-99999999999999999999", false}, {"1e-400", true},
	{"18446744073709551616", true}, {"-0", true}, {"-0.0e0", true},
	{`"\ud800"`, false}, {`"\udfff"`, false}, {`["\ude00\ud83d"]`, false}, {`{"\ud800":1}`, false}, {`{"a":{"b":"x\udbff"}}`, false}, {`"\ud83d\ude00"`, true}, {`"\\ud800"`, true},
	{`{"\u0000":1}`, false}, {`{"a":[{"\u0000b":2}]}`, false}, {`{"a\u0000":1}`, true}, {`"\u0000"`, true}, {`{"":1}`, true}, {`{"__proto__":{"a":1}}`, true}, {`{"a":1,"a":2}`, true},
	{`{"` + strings.Repeat("k", 60_000) + `":1}`, false},
	{"\ufeff{}", false}, {"\ufffe", false}, {"\"\uffff\U0010ffff\"", true}, {"\u2028\u2029", false}, {"\"\u2028\x7f\"", true}, {"\x00\x01\x1f\x7f\u0080", false}, {"\xf0\x9f\x98\x80", false},
	{" \t\r\n{ } \n", true}, {"NaN", false}, {"Infinity", false}, {"{'a':1}", false}, {"[1,]", false}, {"// x\n1", false}, {"", false}, {" ", false}, {"01", false},
	{`"` + strings.Repeat("s", 200_000) + `"`, true},
	{"[" + strings.Repeat(`{"a":[]},`, 20_000) + "0]", true},
}

// parsers read one JSON text a line, in base64, and fail where they give up on one.
var parsers = map[string][]string{
	"Python": {"python3", "-c", `
import sys, json, base64
for n, line in enumerate(sys.stdin):
    try: json.loads(base64.b64decode(line))
    except Exception as e: print("text", n, type(e).__name__, str(e)[:200])
`},
	"PHP": {"php", "-d", "memory_limit=1G", "-r", `
for ($n = 0; ($line = fgets(STDIN)) !== false; $n++)
    foreach ([true, false] as $arrays) {
        json_decode(base64_decode($line), $arrays);
        if (json_last_error()) echo "text $n ", $arrays ? "arrays " : "objects ", json_last_error_msg(), "\n";
    }
`},
	"Node": {"node", "-e", `
require("fs").readFileSync(0, "utf8").trim().split("\n").forEach((line, n) => {
  try { JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.from(line, "base64"))); }
  catch (e) { console.log("text", n, e.message.slice(0, 200)); }
});
`},
}

// readAll lets a parser read the texts and reports those that it gives up on.
func readAll(t *testing.T, name string, texts [][]byte) {
	t.Helper()
	command := parsers[name]
	program, err := exec.LookPath(command[0])
	if err != nil {
		t.Fatalf("%s is missing: make tools installs it", command[0])
	}
	var in bytes.Buffer
	for _, text := range texts {
		in.WriteString(base64.StdEncoding.EncodeToString(text) + "\n")
	}
	run := exec.Command(program, command[1:]...)
	run.Stdin = &in
	if out, err := run.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%s gives up: %v\n%.2000s", name, err, out)
	}
}

func TestEveryParserReadsWhatIsPostedWhateverClientsSay(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"one by one": nil,
		"in batches": {"--callback-batch=100", "--callback-linger=50ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := startPostApp(t, nil)
			g := app.gateway(t, append(args, "--forward-header=Cookie", "--forward-header=X-Odd")...)
			said := map[string]string{}
			for n, each := range nasty {
				user := fmt.Sprint("user", n)
				// What is not UTF-8 in the handshake, and what a string must escape.
				r := g.raw(t)
				r.say("GET /ws?q=%ff%ed%a0%80\\\" HTTP/1.1\r\n" + strings.SplitN(g.handshake("X-Bfl-User: "+user,
					"Cookie: a=\xff\xed\xa0\x80\"\\\x80", "X-Odd: \xfe\"\\", "User-Agent: \xff\"\\\t\ufffe", "Origin: http://\xff\xc0\xaf"), "\r\n", 2)[1] + "\r\n")
				if response, body := r.response(); response.StatusCode != http.StatusSwitchingProtocols {
					t.Fatalf("handshake answered %d %q", response.StatusCode, body)
				}
				r.say(frame(fin|opText, each.text) + frame(fin|opClose, closePayload(4000, "\u0001\"\\\ufffe")))
				said[user] = each.text
			}
			app.awaitThat(t, "all close events", func() bool { return app.count("close") == len(nasty) })
			app.Mu.Lock()
			defer app.Mu.Unlock()
			var bodies [][]byte
			for _, p := range app.posts {
				bodies = append(bodies, p.body)
				var anything any
				if err := json.Unmarshal(p.body, &anything); err != nil {
					t.Errorf("Go gives up: %v", err)
				}
				for _, e := range p.events {
					if e.Action == "message" {
						e.carries(t, said[e.User])
					}
				}
			}
			for name := range parsers {
				readAll(t, name, bodies)
			}
		})
	}
}

// carries checks that an event has the message, in the form that nasty says.
func (e *element) carries(t *testing.T, text string) {
	t.Helper()
	got := strings.Trim(string(e.Data), " \t\r\n")
	if e.Encoding == "text" {
		if err := json.Unmarshal(e.Data, &got); err != nil {
			t.Error(err)
		}
	} else {
		text = strings.Trim(text, " \t\r\n")
	}
	if got != text {
		t.Errorf("%.60q became %.60q", text, got)
	}
	for _, each := range nasty {
		if each.text == text && each.verbatim != (e.Encoding == "") {
			t.Errorf("%.60q has encoding %q", text, e.Encoding)
		}
	}
}

func TestTheDepthThatTheAppsParserTakesIsAnOption(t *testing.T) {
	t.Parallel()
	app := startPostApp(t, nil)
	g := app.gateway(t, "--callback-json-depth=64")
	live := g.raw(t)
	live.say("GET /tapr/ws/conn/events?payload=1&action=message HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
	live.line("heartbeat")
	c := g.Dial(t, "alice")
	for n, depth := range []int{62, 63} {
		c.Send(nested("[", "", "]", depth))
		app.awaitThat(t, "the message", func() bool { return app.count("message") == n+1 })
	}
	app.Mu.Lock()
	defer app.Mu.Unlock()
	for _, p := range app.posts {
		for _, e := range p.events {
			want := ""
			if len(e.Data) > 2*62 {
				want = "text"
			}
			if e.Encoding != want {
				t.Errorf("%s has encoding %q", e.Data, e.Encoding)
			}
		}
	}
	// Who watches sees the same.
	if line := live.line(`"size":124`); strings.Contains(line, "encoding") {
		t.Errorf("live: %s", line)
	}
	if line := live.line(`"size":126`); !strings.Contains(line, `"encoding":"text"`) {
		t.Errorf("live: %s", line)
	}
}

// line reads lines up to one that has text in it.
func (r *raw) line(text string) string {
	r.t.Helper()
	for {
		line, err := r.in.ReadString('\n')
		if err != nil {
			r.t.Fatalf("no line with %q: %v", text, err)
		}
		if strings.Contains(line, text) {
			return line
		}
	}
}
