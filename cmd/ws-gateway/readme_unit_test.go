package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"ws-gateway/cmd/ws-gateway/internal/logtest"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/cmd/ws-gateway/settings"
)

const readme = "../../README.md"

// checkSection compares what is between a document's two comments called name
// with what must be there. With UPDATE_README set it puts it there (make readme).
func checkSection(t *testing.T, document, name, want string) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	open, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	before, rest, ok := strings.Cut(string(text), open)
	got, after, ok2 := strings.Cut(rest, end)
	switch {
	case !ok || !ok2:
		t.Fatalf("%s has no section %s", document, name)
	case got == want:
	case os.Getenv("UPDATE_README") != "":
		if err := os.WriteFile(document, []byte(before+open+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("section %s of %s is out of date: run make readme", name, document)
	}
}

func section(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "<!-- "+name+" -->\n")
	found, _, ok := strings.Cut(rest, "<!-- /"+name+" -->")
	if !ok {
		t.Fatalf("the README has no section %s", name)
	}
	return found
}

// shortList is the options that a newcomer meets first; docs/configuration.md has
// all of them.
var shortList = []string{
	"listen", "callback-url", "user-header", "require-user", "allowed-origins", "trusted-proxies", "max-connections", "max-message-size", "ping-timeout",
	"callback-timeout", "callback-retry-for", "dead-letter", "admin-listen", "admin-token-file", "drain-period", "shutdown-timeout",
}

func TestTheREADMEHasTheOptionsThatMatterMost(t *testing.T) {
	c := mustParse(t, nil, "WS_GATEWAY_NO_CALLBACK=1")
	table := strings.Builder{}
	table.WriteString("\n| option | default | |\n|---|---|---|\n")
	for _, name := range shortList {
		i := slices.IndexFunc(c.Values, func(v settings.Value) bool { return v.Name == name })
		if i < 0 {
			t.Fatalf("there is no option %s", name)
		}
		table.WriteString(optionRow(c.Values[i]))
	}
	checkSection(t, readme, "options", table.String()+"\n")
}

// optionRow is an option's line in a table.
func optionRow(v settings.Value) string {
	standard := ""
	if v.IsBool() {
		standard = "`false`"
	} else if v.Default != "" {
		standard = "`" + v.Default + "`"
	}
	return fmt.Sprintf("| `--%s` | %s | %s |\n", v.Name, standard, v.Help)
}

// The example apps are files that are run below, so that what the README shows
// works.
var examples = []struct{ file, language string }{{"app.go", "go"}, {"app.mjs", "js"}, {"app.py", "python"}}

func TestTheREADMEShowsTheAppsThatAreTested(t *testing.T) {
	for _, example := range examples {
		code, err := os.ReadFile(filepath.Join("testdata/apps", example.file))
		if err != nil {
			t.Fatal(err)
		}
		checkSection(t, readme, example.file, "```"+example.language+"\n"+string(code)+"```\n")
	}
}

func TestTheExampleAppsAnswerTheirClients(t *testing.T) {
	for _, example := range examples {
		t.Run(example.file, func(t *testing.T) {
			t.Parallel()
			port := freePort(t)
			p := start(t, "--listen=127.0.0.1:0", "--callback-url=http://127.0.0.1:"+port+"/ws/message", "--drain-period=0s")
			address := p.log.Await(t, "ready")["listen"].(string)
			output := runExample(t, example.file, port, address)

			ctx, cancel := context.WithTimeout(t.Context(), unitPatience)
			defer cancel()
			c := dialAs(t, ctx, address, "alice")
			const sent = `{"event":"hello","data":{"n":1}}`
			if err := c.Write(ctx, websocket.MessageText, []byte(sent)); err != nil {
				t.Fatal(err)
			}
			kind, got, err := c.Read(ctx)
			if err != nil || kind != websocket.MessageText || !sameJSON(string(got), sent) {
				t.Errorf("got %v %s, %v; the app said:\n%s", kind, got, err, output)
			}
			c.CloseNow()
			p.signals <- os.Interrupt
			if code := p.wait(t); code != program.ExitOK || !strings.Contains(p.log.String(), `"events_undelivered":0`) {
				t.Errorf("exit code %d:\n%s\nThe app said:\n%s", code, p.log, output)
			}
		})
	}
}

// sameJSON ignores blanks, which a library may put in.
func sameJSON(a, b string) bool {
	return strings.ReplaceAll(a, " ", "") == strings.ReplaceAll(b, " ", "")
}

// freePort is a port that nobody has; the app will take it.
func freePort(t *testing.T) string {
	t.Helper()
	// Not one of those that the kernel gives to whoever asks for any: such may be
	// given away before it is taken.
	for range 1000 {
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(20_000+rand.IntN(12_000))))
		if err != nil {
			continue
		}
		defer ln.Close()
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		return port
	}
	t.Fatal("no port is free")
	return ""
}

// runExample runs a copy of the app that has other ports.
func runExample(t *testing.T, file, port, gateway string) *logtest.Log {
	t.Helper()
	code, err := os.ReadFile(filepath.Join("testdata/apps", file))
	if err != nil {
		t.Fatal(err)
	}
	moved := strings.ReplaceAll(strings.ReplaceAll(string(code), "127.0.0.1:40010", gateway), "8888", port)
	path := writeTemp(t, file, moved)
	command := []string{"python3", path}
	switch filepath.Ext(file) {
	case ".go":
		binary := filepath.Join(t.TempDir(), "app")
		if out, err := exec.Command("go", "build", "-o", binary, path).CombinedOutput(); err != nil {
			t.Fatalf("%v:\n%s", err, out)
		}
		command = []string{binary}
	case ".mjs":
		command = []string{"node", path}
	}
	output := logtest.New()
	app := exec.Command(command[0], command[1:]...)
	app.Stdout, app.Stderr = output, output
	if err := app.Start(); err != nil {
		t.Fatalf("%s is needed to run this example: %v", command[0], err)
	}
	t.Cleanup(func() {
		app.Process.Kill()
		app.Wait()
	})
	return output
}

func dialAs(t *testing.T, ctx context.Context, address, user string) *websocket.Conn {
	t.Helper()
	c, response, err := websocket.Dial(ctx, "ws://"+address+"/ws", &websocket.DialOptions{HTTPHeader: map[string][]string{"X-Bfl-User": {user}}})
	if err != nil {
		t.Fatalf("%v, %v", err, response)
	}
	return c
}

func TestTheCallsOfTheREADMEWorkAsTheyStand(t *testing.T) {
	calls := regexp.MustCompile("(?m)^curl .*$").FindAllString(section(t, "calls"), -1)
	if len(calls) != 3 {
		t.Fatalf("there are %d calls", len(calls))
	}
	p := start(t, "--listen=127.0.0.1:0", "--no-callback")
	address := p.log.Await(t, "ready")["listen"].(string)
	ctx, cancel := context.WithTimeout(t.Context(), unitPatience)
	defer cancel()
	c := dialAs(t, ctx, address, "alice")
	answers := make([]string, len(calls))
	for i, call := range calls {
		curl := exec.CommandContext(ctx, "sh", "-c", strings.Replace(call, "127.0.0.1:40010", address, 1))
		var complaints bytes.Buffer
		curl.Stderr = &complaints
		answer, err := curl.Output()
		if err != nil {
			t.Fatalf("%s: %v: %s", call, err, &complaints)
		}
		answers[i] = string(answer)
	}
	const success = `{"code":0,"message":"success"}`
	if answers[0] != success || answers[2] != success || !strings.Contains(answers[1], `"data":[{"name":"alice","conns":[{"id":"`) {
		t.Errorf("got %q", answers)
	}
	if _, text, err := c.Read(ctx); err != nil || string(text) != `{"event":"hello","data":{}}` {
		t.Errorf("the client got %s, %v", text, err)
	}
	_, _, err := c.Read(ctx)
	if websocket.CloseStatus(err) != 4001 || !strings.Contains(err.Error(), "signed out") {
		t.Errorf("the client was closed with %v", err)
	}
	p.signals <- os.Interrupt
	p.wait(t)
}
