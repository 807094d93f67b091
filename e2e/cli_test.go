package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/coder/websocket"

	"ws-gateway/e2e/harness"
)

const cliToken = secret + "token"

// typed is what somebody types, and what comes of it.
type typed struct {
	code           int
	stdout, stderr string
}

// cli runs a client's command to its end.
func cli(t *testing.T, stdin string, env []string, args ...string) typed {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, harness.Plain(t), args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=20"}, env...)
	got := typed{harness.ExitCode(cmd.Run()), stdout.String(), stderr.String()}
	if all := got.stdout + got.stderr; strings.Contains(all, secret) || strings.Contains(all, "DATA RACE") || strings.Contains(all, "panic:") {
		t.Errorf("%q shows what nobody may see:\n%s", args, all)
	}
	return got
}

// cli runs a command that asks this gateway.
func (g *gateway) cli(t *testing.T, stdin string, args ...string) typed {
	t.Helper()
	return cli(t, stdin, []string{"WS_GATEWAY_GATEWAY=http://" + g.Addr}, args...)
}

// done requires success and that nothing but want is printed.
func (c typed) done(t *testing.T, want string) {
	t.Helper()
	if c.code != 0 || c.stdout != want || c.stderr != "" {
		t.Errorf("exit code %d, %q, %q; want %q", c.code, c.stdout, c.stderr, want)
	}
}

// failed requires a failure of one line.
func (c typed) failed(t *testing.T, code int, part string) {
	t.Helper()
	if c.code != code || c.stdout != "" || strings.Count(c.stderr, "\n") != 1 || !strings.Contains(c.stderr, part) {
		t.Errorf("exit code %d, %q, %q; want %d, %q", c.code, c.stdout, c.stderr, code, part)
	}
}

func TestSendReachesWhomItNamesWithWhatItIsGiven(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	alice, bob := g.Dial(t, "alice"), g.Dial(t, "bob, the second")
	g.cli(t, "", "send", "--user", "alice", ` {"a":1.50} `).done(t, "")
	alice.Receive(` {"a":1.50} `)
	g.cli(t, "héllo\n", "send", "--user", "bob, the second", "--report").done(t, "matched 1, queued 1, slow 0\n")
	bob.Receive("héllo")
	g.cli(t, "\x00\n", "send", "--all", "--exclude", g.only("alice"), "--binary", "--json").done(t, success+"\n")
	bob.ReceiveBinary("\x00\n")
	g.cli(t, "unused", "send", "--conn", g.only("alice"), "--file", harness.WriteFile(t, "m", "[1,\n2]\r\n")).done(t, "")
	alice.Receive("[1,\n2]")
	g.cli(t, "", "send", "--user", "alice", "--text", "{not JSON").done(t, "")
	alice.Receive("{not JSON")
	g.cli(t, "", "send", "--user", "alice", "--", "--all").done(t, "")
	alice.Receive("--all")
	g.cli(t, "", "send", "--user", "nobody", "--report", "x").done(t, "matched 0, queued 0, slow 0\n")

	g.cli(t, "", "send", "--user", "alice", "{not JSON").failed(t, exitUsage, "--text")
	g.cli(t, "\xff", "send", "--user", "alice").failed(t, exitUsage, "--binary")
	g.cli(t, "", "send", "x").failed(t, exitUsage, "to whom")
	g.cli(t, "", "send", "--all", "--user", "alice", "x").failed(t, exitUsage, "--all")
	g.cli(t, "", "send", "--user", "alice", "--file", "/none", "x").failed(t, exitUsage, "--file")
	g.cli(t, "", "send", "--user", "alice", "--file", "/none").failed(t, exitUsage, "no such file")
	g.cli(t, "", "send", "--usr", "alice", "x").failed(t, exitUsage, "--usr")
}

func TestCloseClosesWhomItNamesWithItsCodeAndReason(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	alice, bob, carol := g.Dial(t, "alice"), g.Dial(t, "bob"), g.Dial(t, "carol")
	g.cli(t, "", "close", "--user", "alice", "--conn", g.only("bob"), "--code", "4001", "--reason", "signed out").done(t, "")
	alice.ClosedWith(4001, "signed out")
	bob.ClosedWith(4001, "signed out")
	g.cli(t, "", "close", "--user", "carol", "--code", "1001").failed(t, 3, "code must be 1000")
	g.cli(t, "", "close").failed(t, exitUsage, "which connections")
	g.cli(t, "", "close", "--all").done(t, "")
	carol.ClosedWith(1000, "")
}

func TestListAndCountShowConnectionsAsFieldsAndAsJSON(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	g.cli(t, "", "list").done(t, "")
	g.cli(t, "", "count").done(t, "0 connections of 0 users\n")
	c := g.Connect(t, visitor{User: "al\u009bice", Header: map[string]string{"User-Agent": "evil/\u009b31m"}})
	g.Dial(t, "bob")
	id := func() string {
		return strings.Split(g.cli(t, "", "list", "--limit", "1", "--user", "bob").stdout, "\t")[1]
	}()
	if id != g.only("bob") {
		t.Errorf("bob's connection is %q", id)
	}
	all := g.cli(t, "", "list")
	if all.code != 0 || strings.Count(all.stdout, "\n") != 2 || !strings.Contains(all.stdout, `al\u009bice`) ||
		!strings.Contains(all.stdout, "\t"+c.Local()+"\t"+`evil/\u009b31m`+"\n") {
		t.Errorf("got %+v", all)
	}
	for remote, want := range map[string]int{c.Local(): 1, "127.0.0.0/8": 2, "192.0.2.1": 0} {
		if got := strings.Count(g.cli(t, "", "list", "--remote", remote).stdout, "\n"); got != want {
			t.Errorf("%d connections from %s, want %d", got, remote, want)
		}
	}
	if got := g.cli(t, "", "list", "--user-prefix", "bo").stdout; strings.Count(got, "\n") != 1 || !strings.Contains(got, id) {
		t.Errorf("by prefix: %q", got)
	}
	for line := range strings.Lines(g.cli(t, "", "list", "--json").stdout) {
		var conn struct{ ID, Name, UserAgent, ConnectedAt, RemoteAddr string }
		if err := json.Unmarshal([]byte(line), &conn); err != nil || conn.ID == "" || conn.ConnectedAt == "" || conn.RemoteAddr == c.Local() && conn.UserAgent != "evil/\u009b31m" {
			t.Errorf("%s: %+v, %v", line, conn, err)
		}
	}
	g.cli(t, "", "count").done(t, "2 connections of 2 users\n")
	g.cli(t, "", "count", "--json").done(t, `{"connections":2,"users":2}`+"\n")
}

func TestListFollowsCursorsUntilItHasEnough(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.URL.RawQuery)
		n := 0
		fmt.Sscan(r.FormValue("limit"), &n)
		conns := strings.TrimSuffix(strings.Repeat(`{"id":"x"},`, n), ",")
		fmt.Fprintf(w, `{"code":0,"message":"success","data":[{"name":"u","conns":[%s]}],"cursor":"after %d"}`, conns, len(asked))
	}))
	defer api.Close()
	got := cli(t, "", nil, "list", "--gateway", api.URL, "--limit", "1201", "--user", "a,b", "--user", "c")
	mu.Lock()
	defer mu.Unlock()
	want := "limit=500&user=a%2Cb&user=c\ncursor=after+1&limit=500&user=a%2Cb&user=c\ncursor=after+2&limit=201&user=a%2Cb&user=c"
	if strings.Count(got.stdout, "\n") != 1201 || got.code != 0 || strings.Join(asked, "\n") != want {
		t.Errorf("%d lines, exit code %d; asked %q", strings.Count(got.stdout, "\n"), got.code, asked)
	}
}

func TestOverAUnixSocketTheTokenIsNeededFoundAndNeverShown(t *testing.T) {
	t.Parallel()
	socket := "unix:" + filepath.Join(t.TempDir(), "admin.sock")
	file := harness.WriteFile(t, "token", cliToken+"\n")
	startPushOnly(t, "--admin-listen", socket, "--admin-token-file", file)
	none := "0 connections of 0 users\n"
	cli(t, "", nil, "count", "--gateway", socket, "--token-file", file).done(t, none)
	cli(t, "", nil, "count", "--gateway", socket, "--token", cliToken).done(t, none)
	cli(t, "", []string{"WS_GATEWAY_GATEWAY=" + socket, "WS_GATEWAY_TOKEN=" + cliToken}, "count").done(t, none)
	cli(t, "", []string{"WS_GATEWAY_ADMIN_LISTEN=" + socket, "WS_GATEWAY_ADMIN_TOKEN_FILE=" + file}, "count").done(t, none)
	cli(t, "", nil, "count", "--gateway", socket).failed(t, 3, "--token-file")
	cli(t, "", nil, "count", "--gateway", socket, "--token", cliToken+"x").failed(t, 3, "does not take this token")
	cli(t, "", nil, "tail", "--gateway", socket, "--token", cliToken+"x").failed(t, 3, "does not take this token")
	cli(t, "", nil, "count", "--gateway", socket, "--token", cliToken, "--token-file", file).failed(t, exitUsage, "only one")
	cli(t, "", nil, "count", "--gateway", socket, "--token", cliToken+"\n").failed(t, exitUsage, "printable")
	cli(t, "", nil, "count", "--gateway", socket+"x").failed(t, 1, "no such file")
}

func TestWhoeverIsNoGatewayIsSaidToBeNoneAndGetsNoToken(t *testing.T) {
	t.Parallel()
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the thief is asked: %v", r.Header) }))
	defer thief.Close()
	for _, test := range []struct {
		answer http.HandlerFunc
		code   int
		part   string
	}{
		{func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }, 1, "not a gateway's"},
		{func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") }, 1, "not a gateway's"},
		{func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, thief.URL, http.StatusFound) }, 3, "302"},
		{func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "go\x1b[31maway\nor else", http.StatusForbidden)
		}, 3, `403: go\x1b[31maway`},
		{func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 1, "asking http://"},
	} {
		other := httptest.NewServer(test.answer)
		cli(t, "", nil, "count", "--gateway", other.URL, "--token", cliToken).failed(t, test.code, test.part)
		other.Close()
	}
	silent := listen(t, "tcp", "127.0.0.1:0") // nobody accepts
	cli(t, "", nil, "count", "--gateway", silent.Addr().String(), "--timeout", "50ms").failed(t, 1, "within 50ms")
	cli(t, "", nil, "count", "--gateway", "127.0.0.1:1").failed(t, 1, "connection refused")
	cli(t, "", nil, "--log-level", "debug", "count").failed(t, exitUsage, "first word")
}

// running is a command under way.
type running struct {
	t             *testing.T
	cmd           *exec.Cmd
	stdin         io.WriteCloser
	output, notes *logbook
	exited        chan struct{}
}

func startCLI(t *testing.T, args ...string) *running {
	t.Helper()
	r := &running{t: t, cmd: exec.Command(harness.Binary(t), args...), output: new(logbook), notes: new(logbook), exited: make(chan struct{})}
	r.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=20"}
	pipes := make([]io.Reader, 2)
	var errs [3]error
	r.stdin, errs[0] = r.cmd.StdinPipe()
	pipes[0], errs[1] = r.cmd.StdoutPipe()
	pipes[1], errs[2] = r.cmd.StderrPipe()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.exited)
		read := make(chan struct{})
		go func() {
			defer close(read)
			r.notes.Read(pipes[1])
		}()
		r.output.Read(pipes[0])
		<-read
		_ = r.cmd.Wait() // wait looks at the state
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.exited
		if all := r.output.Tail(1000) + r.notes.Tail(1000); strings.Contains(all, "DATA RACE") || strings.Contains(all, "panic:") || t.Failed() {
			t.Errorf("it printed:\n%s", all)
		}
	})
	return r
}

// shows waits for a line, on standard output or in the notes, that has all parts.
func (r *running) shows(book *logbook, parts ...string) {
	r.t.Helper()
	if _, ok := book.Await(harness.Patience, func(l logLine) bool { return l.Has(parts...) }); !ok {
		r.t.Fatalf("no line has %q", parts)
	}
}

// ends waits for the end and requires its exit code.
func (r *running) ends(code int) {
	r.t.Helper()
	<-r.exited
	if got := r.cmd.ProcessState.ExitCode(); got != code {
		r.t.Errorf("exit code %d, want %d", got, code)
	}
}

// interrupted ends it with Ctrl-C, which is no failure.
func (r *running) interrupted() {
	r.t.Helper()
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		r.t.Fatal(err)
	}
	r.ends(0)
}

func TestTailFollowsEventsAcrossARestartUntilCtrlC(t *testing.T) {
	t.Parallel()
	socket := "unix:" + filepath.Join(t.TempDir(), "admin.sock")
	g := startPushOnly(t, "--admin-listen", socket)
	r := startCLI(t, "tail", "--gateway", socket, "--payload", "--user", "alice", "--user", "b,c")
	// Whatever happens before it listens is not shown: repeat until it is.
	harness.Poll(t, "an event", func() bool {
		c := g.Dial(t, "alice")
		c.Close(websocket.StatusNormalClosure, "")
		return len(r.output.MatchingNow("close", "alice", "1000 by client")) > 0
	})
	g.Dial(t, "mallory")
	c := g.Dial(t, "b,c")
	c.Send("{\"a\":\t1.50,\"b\":\"\u009b\"}")
	r.shows(r.output, " open ", " b,c ", "from "+c.Local())
	r.shows(r.output, " message ", " b,c ", `{"a": 1.50,"b":"\u009b"}`)
	if code, _, _ := cliSendOver(t, socket, "b,c", "line\x1b[31m"); code != 0 {
		t.Errorf("send ends with %d", code)
	}
	r.shows(r.output, " send ", `9 B`, `line\x1b[31m`)

	g.Signal(syscall.SIGKILL)
	r.shows(r.notes, "trying again")
	<-g.Exited
	g = startPushOnly(t, "--admin-listen", socket)
	r.shows(r.notes, "the gateway is back")
	harness.Poll(t, "an event of the new gateway", func() bool {
		c := g.Dial(t, "alice")
		c.Close(4002, "again")
		return len(r.output.MatchingNow("4002 by client: again")) > 0
	})
	if len(r.output.MatchingNow("mallory")) > 0 {
		t.Error("another's events are shown")
	}
	r.interrupted()
}

// The token is rotated where tail has it from, and SIGHUP ends streams of the old one.
func TestTailGoesOnWithATokenThatWasRotated(t *testing.T) {
	t.Parallel()
	token := harness.WriteFile(t, "token", secret+"old\n")
	s := steer(t, nil, "admin-token-file: "+token)
	r := startCLI(t, "tail", "--gateway", s.Addr, "--token-file", token)
	events := func(code websocket.StatusCode) {
		harness.Poll(t, "an event", func() bool {
			s.Dial(t, "alice").Close(code, "")
			return len(r.output.MatchingNow(fmt.Sprint(int(code)), "by client")) > 0
		})
	}
	events(4001)
	replaceFile(t, token, secret+"new\n")
	s.reload([]string{"admin-token-file: " + token}, "admin-token-file")
	events(4002)
	r.interrupted()
}

func cliSendOver(t *testing.T, gateway, user, message string) (code int, stdout, stderr string) {
	t.Helper()
	got := cli(t, message, nil, "send", "--gateway", gateway, "--user", user)
	return got.code, got.stdout, got.stderr
}

func TestTailPrintsLinesOfJSONWithoutHeartbeats(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	r := startCLI(t, "tail", "--gateway", g.Addr, "--json", "--action", "open", "--action", "close")
	harness.Poll(t, "an event", func() bool {
		c := g.Dial(t, "alice")
		c.Send("left out")
		c.Close(4001, "bye")
		return len(r.output.MatchingNow(`"action":"close"`)) > 0
	})
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	r.ends(0)
	for _, line := range r.output.All() {
		action, left := line.Text("action"), strings.HasPrefix(line.Raw, `{"dropped":`) // more came than --rate lets through
		if action != "open" && action != "close" && !left {
			t.Errorf("it printed %s", line.Raw)
		}
	}
	cli(t, "", nil, "tail", "--gateway", "127.0.0.1:1").failed(t, 1, "connection refused")
	cli(t, "", nil, "tail", "--gateway", g.Addr, "--action", "cloze").failed(t, exitUsage, "cloze")
}

func TestConnectInAPipeSendsLinesAndPrintsAnswers(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	r := startCLI(t, "connect", "ws://"+g.Addr+"/ws?room=1", "--user", "alice", "-H", "Cookie: a=1", "-H", "User-Agent: mine/1", "--subprotocol", "v1")
	conn := app.opened("alice")
	fmt.Fprintf(r.stdin, "{\"n\":1}\nsecond\n")
	if first, second := app.message("alice", 1), app.message("alice", 2); string(first.event.Data) != `{"n":1}` || string(second.event.Data) != `"second"` {
		t.Errorf("the app got %s and %s", first.event.Data, second.event.Data)
	}
	g.send(`{"conn_id":"` + conn + `","payload":{"a":"\u001b"}}`)
	r.shows(r.output, `{"a":"\u001b"}`)
	g.send(`{"conn_id":"` + conn + `","payload":"two\nlines\u001b[31m","encoding":"text"}`)
	r.shows(r.output, `two\nlines\x1b[31m`)
	g.send(`{"conn_id":"` + conn + `","payload":"AAE=","encoding":"base64"}`)
	r.shows(r.output, `AAE=`)
	g.closeConns(`{"conns":["` + conn + `"],"code":4001,"reason":"signed out"}`)
	r.ends(3)
	r.shows(r.notes, "closed by the server: 4001 signed out")
	if n := len(r.output.All()); n != 3 {
		t.Errorf("%d lines were printed", n)
	}
	got := cli(t, "\x01\n", nil, "connect", "ws://"+g.Addr+"/ws", "--user", "bob", "--binary", "--wait", "0s")
	got.done(t, "")
	if m := app.message("bob", 1); string(m.event.Data) != `"AQ=="` {
		t.Errorf("the app got %s", m.event.Data)
	}
	if c := app.closed("bob"); c.event.Code != 1000 {
		t.Errorf("closed with %d", c.event.Code)
	}
}

func TestConnectPingsByItselfAndShowsPongsOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--ping-timeout", "4s")
	quiet := startCLI(t, "connect", "ws://"+g.Addr+"/ws", "--user", "quiet", "--ping", "20ms")
	verbose := startCLI(t, "connect", "ws://"+g.Addr+"/ws", "--user", "verbose", "--ping", "20ms", "-v")
	verbose.shows(verbose.notes, "connected to ws://")
	harness.Poll(t, "pongs past the timeout", func() bool { return len(verbose.output.MatchingNow(`{"event":"pong"}`)) > 250 })
	g.send(`{"users":["quiet"],"payload":"end","encoding":"text"}`)
	quiet.shows(quiet.output, "end")
	quiet.interrupted()
	if n := len(quiet.output.All()); n != 1 {
		t.Errorf("%d lines were printed", n)
	}
	g.Signal(syscall.SIGKILL)
	verbose.ends(1)
	verbose.shows(verbose.notes, "the connection is broken")
}

func TestConnectSaysWhyItIsNotLetIn(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--require-user")
	url := "ws://" + g.Addr
	cli(t, "", nil, "connect", url+"/ws").failed(t, 3, "--user")
	cli(t, "", nil, "connect", url+"/other", "--user", "a").failed(t, 3, "/ws unless")
	cli(t, "", nil, "connect", "ws://127.0.0.1:1/ws").failed(t, 1, "connection refused")
	cli(t, "", nil, "connect", "127.0.0.1:1").failed(t, exitUsage, "ws://HOST")
	cli(t, "", nil, "connect", url+"/ws", "-H", "nonsense").failed(t, exitUsage, "Name: value")
	cli(t, "", nil, "connect", url+"/ws", "--user", "a\nb").failed(t, exitUsage, "control characters")
	cli(t, "", nil, "connect", url+"/ws", "--user", "a", "-H", "X-BFL-USER: b").failed(t, exitUsage, "only one")
}

func TestBashCompletesWithTheScriptThatIsPrinted(t *testing.T) {
	t.Parallel()
	script := fmt.Sprintf(`source <(%q completion bash)
		COMP_WORDS=(%[1]q tail --action = c) COMP_CWORD=4 && _ws_gateway && echo "${COMPREPLY[*]}"
		COMP_WORDS=(%[1]q co) COMP_CWORD=1 && _ws_gateway && echo "${COMPREPLY[*]}"
		complete -p ws-gateway`, harness.Binary(t))
	out, err := exec.Command("bash", "-c", script).CombinedOutput()
	if want := "close\ncount connect config completion\ncomplete -F _ws_gateway ws-gateway\n"; err != nil || string(out) != want {
		t.Errorf("%v, %q, want %q", err, out, want)
	}
	for _, shell := range []string{"zsh", "fish"} {
		if got := cli(t, "", nil, "completion", shell); got.code != 0 || !strings.Contains(got.stdout, "ws-gateway") {
			t.Errorf("%s: %+v", shell, got)
		}
	}
	cli(t, "", nil, "completion", "tcsh").failed(t, exitUsage, "bash")
}
