package docs_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/coder/websocket"

	"ws-gateway/cmd/ws-gateway/config/configtest"
	"ws-gateway/cmd/ws-gateway/settings"
	"ws-gateway/e2e/harness"
)

const readme = "../README.md"

// shortList is the options that a newcomer meets first.
var shortList = []string{
	"listen", "callback-url", "user-header", "require-user", "allowed-origins", "trusted-proxies", "max-connections", "max-message-size", "ping-timeout",
	"callback-timeout", "callback-retry-for", "dead-letter", "admin-listen", "admin-token-file", "drain-period", "shutdown-timeout",
}

func TestTheDocsHaveTheOptionsThatMatterMost(t *testing.T) {
	c := configtest.MustParse(t, nil, "WS_GATEWAY_NO_CALLBACK=1")
	table := strings.Builder{}
	table.WriteString("\n| option | default | |\n|---|---|---|\n")
	for _, name := range shortList {
		i := slices.IndexFunc(c.Values, func(v settings.Value) bool { return v.Name == name })
		if i < 0 {
			t.Fatalf("there is no option %s", name)
		}
		table.WriteString(optionRow(c.Values[i]))
	}
	writeSection(t, "configuration.md", "first", table.String()+"\n")
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

// The example app is a file that is run below, so that what the README shows works.
const exampleApp = "app.mjs"

func TestTheREADMEShowsTheAppThatIsTested(t *testing.T) {
	writeSection(t, readme, exampleApp, "```js\n"+read(t, "testdata/apps/"+exampleApp)+"```\n")
}

func TestTheExampleAppAnswersItsClients(t *testing.T) {
	port := harness.FreePort(t)
	g := harness.Launch{Args: []string{"--callback-url=http://127.0.0.1:" + port + "/ws/message"}}.Start(t)
	output := runExample(t, exampleApp, port, g.Addr)
	c := g.Dial(t, "alice")
	const sent = `{"event":"hello","data":{"n":1}}`
	c.Send(sent)
	kind, got, err := c.Read()
	if err != nil || kind != websocket.MessageText || !sameJSON(got, sent) {
		t.Errorf("got %v %s, %v; the app said:\n%s", kind, got, err, output())
	}
	c.HangUp()
	g.Signal(syscall.SIGINT)
	if code := g.Wait(harness.Patience); code != 0 || len(g.Log.MatchingNow(`"events_undelivered":0`)) != 1 {
		t.Errorf("exit code %d:\n%s\nThe app said:\n%s", code, g.Log.Tail(1000), output())
	}
}

// The README is for somebody who has ten minutes.
func TestTheREADMEIsShort(t *testing.T) {
	if lines := strings.Count(read(t, readme), "\n"); lines > 150 {
		t.Errorf("it has %d lines", lines)
	}
}

// sameJSON ignores blanks, which a library may put in.
func sameJSON(a, b string) bool {
	return strings.ReplaceAll(a, " ", "") == strings.ReplaceAll(b, " ", "")
}

// runExample runs a copy of the app that has other ports. It returns what the app has
// printed.
func runExample(t *testing.T, file, port, gateway string) (output func() string) {
	t.Helper()
	code := strings.NewReplacer("127.0.0.1:40010", gateway, "8888", port).Replace(read(t, "testdata/apps/"+file))
	return runProgram(t, file, code)
}

// runProgram runs a program in Go, JavaScript or Python until the test ends.
func runProgram(t *testing.T, file, code string) (output func() string) {
	t.Helper()
	path := harness.WriteFile(t, file, code)
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
	printed, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer printed.Close()
	app := exec.Command(command[0], command[1:]...)
	app.Stdout, app.Stderr = printed, printed
	if err := app.Start(); err != nil {
		t.Fatalf("%s is needed to run this example: %v", command[0], err)
	}
	t.Cleanup(func() {
		app.Process.Kill()
		app.Wait()
	})
	return func() string { return read(t, printed.Name()) }
}

func TestTheCallsOfTheREADMEWorkAsTheyStand(t *testing.T) {
	calls := regexp.MustCompile("(?m)^curl .*$").FindAllString(section(t, readme, "calls"), -1)
	if len(calls) != 4 {
		t.Fatalf("there are %d calls", len(calls))
	}
	g := harness.Launch{Args: []string{"--no-callback"}}.Start(t)
	c := g.Dial(t, "alice")
	answers := make([]string, len(calls))
	for i, call := range calls {
		curl := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(call, "127.0.0.1:40010", g.Addr, 1))
		var complaints bytes.Buffer
		curl.Stderr = &complaints
		answer, err := curl.Output()
		if err != nil {
			t.Fatalf("%s: %v: %s", call, err, &complaints)
		}
		answers[i] = string(answer)
	}
	const success = `{"code":0,"message":"success"}`
	if answers[0] != success || !strings.Contains(answers[1], `"data":[{"name":"alice","conns":[{"id":"`) || answers[2] != `{"code":0,"message":"success","data":{"matched":1}}` || answers[3] != success {
		t.Errorf("got %q", answers)
	}
	c.Receive(`{"event":"hello","data":{}}`)
	if closed, err := c.Ended(); err != nil || closed.Code != 4001 || !strings.Contains(closed.Reason, "signed out") {
		t.Errorf("the client was closed with %+v, %v", closed, err)
	}
}
