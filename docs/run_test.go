package docs_test

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ws-gateway/e2e/harness"
)

// What the documents call the gateway, the app and the connections of a scene, in
// the order in which they open.
const (
	shownGateway = "127.0.0.1:40010"
	shownApp     = "127.0.0.1:8888"
)

var shownIDs = []string{"cU0yq1pJ7wsAAAAAAAAAAAAB", "cU0yq1pJ7wsAAAAAAAEAAAAB", "cU0yq1pJ7wsAAAAAAAIAAAAB", "cU0yq1pJ7wsAAAAAAAMAAAAB"}

// play is a scene under way.
type play struct {
	t        *testing.T
	document string
	scene    scene
	dir      string
	app      *stage
	g        *harness.Gateway

	actors map[string]*actor
	opens  map[string]int    // connections that a user has had
	ids    map[string]string // as shown, by the real one
	caller net.Conn          // of the last request
	reader *bufio.Reader
}

// actor is a client.
type actor struct {
	*harness.Client
	asking chan asked // a handshake that the app decides about
}

type asked struct {
	c        *harness.Client
	response *http.Response
	body     string
	err      error
}

func TestTheExamplesOfTheDocsAreTrue(t *testing.T) {
	for _, document := range documents(t) {
		if !strings.Contains(read(t, document), "<!-- scene: ") {
			continue
		}
		for _, scene := range scenesOf(t, document) {
			t.Run(scene.name, func(t *testing.T) {
				t.Parallel()
				(&play{t: t, document: filepath.Base(document), scene: scene}).run()
			})
		}
	}
}

func (p *play) run() {
	p.app = startStage(p.t)
	p.dir = p.t.TempDir()
	p.actors, p.opens, p.ids = map[string]*actor{}, map[string]int{}, map[string]string{}
	if err := os.WriteFile(filepath.Join(p.dir, ".curlrc"), []byte("silent\nshow-error\n"), 0o600); err != nil { // as on a terminal
		p.t.Fatal(err)
	}
	p.start()
	steps := p.scene.steps
	for i := 0; i < len(steps); i++ {
		switch s := steps[i]; s.kind {
		case "clients":
			for line := range strings.Lines(s.text) {
				p.perform(s, strings.TrimSpace(line))
			}
		case "run":
			p.transcribe(s)
		case "request":
			p.request(s)
		case "response":
			p.response(s)
		case "callback":
			h := p.callback(s)
			answer := plainly
			if i+1 < len(steps) && steps[i+1].kind == "answer" {
				i++
				answer = onTheWire(p.real(steps[i].text))
				if err := describedCallbackAnswer(answer); err != nil {
					p.t.Errorf("%s:%d: openapi.yaml: %v", p.document, steps[i].line, err)
				}
			}
			p.app.say(h, answer)
		default:
			p.t.Fatalf("%s:%d: an %s that nothing precedes", p.document, s.line, s.kind)
		}
	}
	p.app.relent(true)
}

// start starts the gateway in the scene's folder, with its app unless the scene
// says otherwise.
func (p *play) start() {
	args := append([]string(nil), p.scene.args...)
	if !strings.Contains(strings.Join(args, " "), "--no-callback") {
		args = append(args, "--callback-url", "http://"+p.app.listener.Addr().String()+"/ws/message")
	}
	for i, arg := range args { // files are the scene's
		name, path, found := strings.Cut(arg, "=./")
		if found {
			args[i] = name + "=" + filepath.Join(p.dir, path)
		}
	}
	p.g = harness.Launch{Args: args}.Start(p.t)
}

// perform carries out what a line says of a client, or of the gateway.
func (p *play) perform(s step, line string) {
	p.t.Helper()
	who, rest, _ := strings.Cut(line, " ")
	verb, what := rest, ""
	for _, known := range []string{"connects", "asks to connect", "is connected", "is refused with", "sends bytes", "sends", "gets bytes", "gets",
		"closes with", "is closed with", "breaks off"} {
		if after, found := strings.CutPrefix(rest, known); found && (after == "" || after[0] == ' ') {
			verb, what = known, strings.TrimSpace(after)
			break
		}
	}
	a := p.actors[who]
	if a == nil {
		a = &actor{}
		p.actors[who] = a
	}
	if a.Client != nil {
		a.Client.T = p.t
	}
	code, reason, _ := strings.Cut(what, " ")
	number, _ := strconv.Atoi(code)
	switch verb {
	case "connects":
		a.Client = p.g.Connect(p.t, visitorOf(who, what))
		p.learn(who)
	case "asks to connect":
		p.ask(who, a, what)
	case "is connected":
		got := <-a.asking
		if got.err != nil {
			p.t.Fatalf("%s:%d: %s: %v", p.document, s.line, line, got.err)
		}
		a.Client = got.c
		p.t.Cleanup(func() { _ = got.c.WS.CloseNow() })
	case "is refused with":
		got := <-a.asking
		if got.response == nil || got.response.StatusCode != number || got.body != reason {
			p.t.Fatalf("%s:%d: %s: %+v", p.document, s.line, line, got)
		}
	case "sends":
		a.Send(what)
	case "sends bytes":
		a.SendBinary(p.bytes(what))
	case "gets":
		a.Receive(what)
	case "gets bytes":
		a.ReceiveBinary(p.bytes(what))
	case "closes with":
		_ = a.WS.Close(websocket.StatusCode(number), reason)
	case "is closed with":
		a.ClosedWith(websocket.StatusCode(number), reason)
	case "breaks off":
		a.HangUp()
	default:
		p.direct(s, line)
	}
}

// direct carries out what a line says of the gateway.
func (p *play) direct(s step, line string) {
	switch line {
	case "the gateway is killed":
		p.g.Signal(syscall.SIGKILL)
		p.g.Wait(harness.Patience)
	case "the gateway starts again":
		p.app.relent(true) // it may have to tell the app something first
		p.start()
		p.app.relent(false)
	case "the gateway is told to stop":
		p.g.Signal(syscall.SIGTERM)
	case "the app answers":
		p.app.relent(true)
		p.app.relent(false)
	default:
		p.t.Fatalf("%s:%d: nobody knows how to do this: %s", p.document, s.line, line)
	}
}

func (p *play) bytes(text string) string {
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

// visitorOf reads "to PATH with NAME: VALUE".
func visitorOf(user, how string) harness.Visitor {
	v := harness.Visitor{User: user, Header: map[string]string{"User-Agent": "example/1.0"}}
	if user == "somebody" {
		v.User = ""
	}
	if after, found := strings.CutPrefix(how, "to "); found {
		v.Target, how, _ = strings.Cut(after, " ")
	}
	if after, found := strings.CutPrefix(how, "with "); found {
		for field := range strings.SplitSeq(after, ", ") {
			name, value, _ := strings.Cut(field, ": ")
			if name == "Sec-WebSocket-Protocol" {
				v.Subprotocols = append(v.Subprotocols, value)
				continue
			}
			v.Header[name] = value
		}
	}
	return v
}

// ask begins a handshake that the app decides about.
func (p *play) ask(user string, a *actor, how string) {
	a.asking = make(chan asked, 1)
	asking := a.asking
	go func() {
		c, response, err := p.g.TryConnect(p.t, visitorOf(user, how))
		got := asked{c: c, response: response, err: err}
		if err != nil && response != nil {
			b := make([]byte, 4096)
			n, _ := response.Body.Read(b)
			got.body = strings.TrimSpace(string(b[:n]))
		}
		asking <- got
	}()
	p.learn(user)
}

// learn takes note of the id of the connection that user has opened last.
func (p *play) learn(user string) {
	p.t.Helper()
	if strings.Contains(strings.Join(p.scene.args, " "), "--no-callback") {
		return
	}
	if user == "somebody" {
		user = ""
	}
	p.opens[user]++
	ids, err := p.app.opened(user, p.opens[user])
	if err != nil {
		p.t.Fatal(err)
	}
	p.ids[ids[len(ids)-1]] = shownIDs[len(p.ids)]
}

// real turns what is shown into what is there.
func (p *play) real(text string) string {
	for id, shown := range p.ids {
		text = strings.ReplaceAll(text, shown, id)
	}
	text = strings.ReplaceAll(text, shownGateway, p.g.Addr)
	return strings.ReplaceAll(text, shownApp, p.app.listener.Addr().String())
}

// shown is the reverse.
func (p *play) shown(text string) string {
	for id, shown := range p.ids {
		text = strings.ReplaceAll(text, id, shown)
	}
	text = strings.ReplaceAll(text, p.g.Addr, shownGateway)
	return strings.ReplaceAll(text, p.app.listener.Addr().String(), shownApp)
}

// transcribe runs the commands of a transcript and compares what they print.
func (p *play) transcribe(s step) {
	p.t.Helper()
	var command, want string
	run := func() {
		if command != "" {
			got, shown := p.shell(command), likeness(p.t, want)
			for end := time.Now().Add(soon); onlyLooks(command) && !shown.MatchString(got) && time.Now().Before(end); {
				got = p.shell(command)
			}
			s.compare(p.t, p.document, "$ "+command+"\n"+want, "$ "+command+"\n"+got)
			if err := describedAnswer(command, got); err != nil {
				p.t.Errorf("%s:%d: openapi.yaml: %s: %v\n%s", p.document, s.line, command, err, got)
			}
		}
		command, want = "", ""
	}
	for line := range strings.Lines(s.text) {
		if after, found := strings.CutPrefix(line, "$ "); found {
			run()
			command = strings.TrimSpace(after)
			continue
		}
		want += line
	}
	run()
}

// soon is within what a gateway has read what the app has answered, on a machine that is busy. An
// example that lies is found out after that.
const soon = 10 * time.Second

// onlyLooks reports whether a command asks the gateway for something and changes nothing. What
// it is to show may come a moment later: the gateway has yet to read what the app has answered.
func onlyLooks(command string) bool {
	return strings.HasPrefix(command, "curl ") && !strings.Contains(command, " -d ") && !strings.Contains(command, " -X ") && !strings.Contains(command, "/events")
}

// shell runs a command where the gateway's files are. While it runs the app
// answers whatever comes.
func (p *play) shell(command string) string {
	p.t.Helper()
	p.app.relent(true)
	defer p.app.relent(false)
	sh := exec.CommandContext(p.t.Context(), "sh", "-c", p.real(command))
	sh.Dir = p.dir
	sh.Env = []string{"PATH=" + filepath.Dir(harness.Binary(p.t)) + ":" + os.Getenv("PATH"), "HOME=" + p.dir, "GORACE=atexit_sleep_ms=20"}
	out, err := sh.CombinedOutput()
	text := strings.ReplaceAll(p.shown(string(out)), "\r\n", "\n")
	if err != nil {
		text = strings.TrimRight(text, "\n") + fmt.Sprintf("\n(%v)", err)
	}
	return text
}

func onTheWire(text string) string {
	head, body, _ := strings.Cut(text, "\n\n")
	head = strings.ReplaceAll(strings.TrimSuffix(head, "\n"), "\n", "\r\n")
	if !strings.Contains(head, "Content-Length: ") {
		head += fmt.Sprintf("\r\nContent-Length: %d", len(body))
	}
	return head + "\r\n\r\n" + body
}

// request sends bytes to the gateway.
func (p *play) request(s step) {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.g.Addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(harness.Soon()); err != nil {
		p.t.Fatal(err)
	}
	head, body, _ := strings.Cut(s.text, "\n\n")
	if _, err := conn.Write([]byte(p.real(strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + body))); err != nil {
		p.t.Fatal(err)
	}
	p.caller, p.reader = conn, bufio.NewReader(conn)
}

// response compares what the gateway answers to the last request.
func (p *play) response(s step) {
	p.t.Helper()
	var got strings.Builder
	length := 0
	for {
		line, err := p.reader.ReadString('\n')
		if err != nil {
			p.t.Fatalf("%s:%d: %v after %s", p.document, s.line, err, got.String())
		}
		line = strings.TrimRight(line, "\r\n")
		got.WriteString(line + "\n")
		if after, found := strings.CutPrefix(line, "Content-Length: "); found {
			length, _ = strconv.Atoi(after)
		}
		if line == "" {
			break
		}
	}
	for range length {
		b, err := p.reader.ReadByte()
		if err != nil {
			p.t.Fatal(err)
		}
		got.WriteByte(b)
	}
	s.compare(p.t, p.document, s.text, p.shown(got.String()))
}

// callback compares the next callback of the action and user that the example
// names.
func (p *play) callback(s step) *heard {
	p.t.Helper()
	m := whose.FindStringSubmatch(s.text)
	if m == nil {
		p.t.Fatalf("%s:%d: a callback without action and user", p.document, s.line)
	}
	h, err := p.app.next(m[1], m[2])
	if err != nil {
		p.t.Fatalf("%s:%d: %v", p.document, s.line, err)
	}
	if !s.hidden {
		s.compare(p.t, p.document, s.text, p.shown(h.raw))
	}
	return h
}
