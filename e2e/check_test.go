package e2e_test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ws-gateway/e2e/harness"
)

// check runs ws-gateway check --json and returns its findings by name.
func check(t *testing.T, args ...string) (code int, found map[string]map[string]string) {
	t.Helper()
	code, stdout, stderr := launch{args: append([]string{"check", "--json", "--listen", "127.0.0.1:0"}, args...)}.runToEnd(t)
	var report struct {
		OK     bool
		Checks []map[string]string
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || stderr != "" || report.OK != (code == 0) {
		t.Fatalf("exit code %d, %v:\n%s%s", code, err, stdout, stderr)
	}
	found = map[string]map[string]string{}
	for _, f := range report.Checks {
		found[f["name"]] = f
	}
	return code, found
}

func TestCheckFindsWhatAStartWouldMissAndStartsNothing(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	taken := listen(t, "tcp", "127.0.0.1:0")
	folder := t.TempDir()
	file := harness.WriteFile(t, "file", "")
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	for _, test := range []struct {
		name, state, message string
		code                 int
		args                 []string
	}{
		{"configuration", "ok", "valid", 0, []string{"--callback-url", app.url()}},
		{"app", "ok", "somebody listens", 0, []string{"--callback-url", app.url()}},
		{"app", "warn", "refused", 0, []string{"--callback-url", "http://127.0.0.1:1/x?token=" + secret}},
		{"app", "fail", "not trusted", 1, []string{"--callback-url", secure.URL}},
		{"listen", "fail", "taken by another process", 1, []string{"--no-callback", "--listen", taken.Addr().String()}},
		{"admin-listen", "fail", "taken by another process", 1, []string{"--no-callback", "--admin-listen", taken.Addr().String()}},
		{"admin-listen", "ok", "free", 0, []string{"--no-callback", "--admin-listen", "unix:" + folder + "/admin.sock"}},
		{"descriptors", "warn", "does not fit", 0, []string{"--no-callback", "--max-connections", "100000000"}},
		{"dead-letter", "ok", "can be written", 0, []string{"--callback-url", app.url(), "--dead-letter", folder + "/dead.jsonl"}},
		{"dead-letter", "fail", "no such file", 1, []string{"--callback-url", app.url(), "--dead-letter", folder + "/none/dead.jsonl"}},
		{"dead-letter", "fail", "another kind", 1, []string{"--callback-url", app.url(), "--dead-letter", folder}},
		{"journal", "ok", "can be written", 0, []string{"--callback-url", app.url(), "--journal", folder + "/a/b/journal"}},
		{"journal", "fail", "another kind", 1, []string{"--callback-url", app.url(), "--journal", file}},
		{"configuration", "fail", "banana", exitUsage, []string{"--no-callback", "--ping-timeout", "banana"}},
		{"configuration", "fail", "--no-such-flag", exitUsage, []string{"--no-callback", "--no-such-flag"}},
		{"configuration", "fail", "none.yaml", exitUsage, []string{"--no-callback", "--config", folder + "/none.yaml"}},
		{"configuration", "fail", "no callback URL", exitUsage, nil},
	} {
		code, found := check(t, test.args...)
		if got := found[test.name]; code != test.code || got["state"] != test.state || !strings.Contains(got["message"], test.message) {
			t.Errorf("%q: exit code %d, %q; want %d, %s, %q", test.args, code, found[test.name], test.code, test.state, test.message)
		}
		if strings.Contains(found[test.name]["message"], secret) {
			t.Errorf("a secret is shown: %q", found[test.name])
		}
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
		t.Errorf("check has left %v, %v", left, err)
	}
	if len(app.lives) != 0 {
		t.Error("check has sent an event")
	}
}

func TestCheckPrintsATableForPeople(t *testing.T) {
	t.Parallel()
	code, stdout, _ := launch{args: []string{"check", "--no-callback", "--listen", "127.0.0.1:0", "--max-connections", "100000000"},
		env: []string{"WS_GATEWAY_PING_TIMEOT=1s"}}.runToEnd(t)
	for _, part := range []string{"ok    configuration", "warn  configuration        unknown environment variable WS_GATEWAY_PING_TIMEOT",
		"warn  descriptors", "→ raise the limit to 100000100", " 0 failures\n"} {
		if !strings.Contains(stdout, part) {
			t.Errorf("no %q", part)
		}
	}
	if code != 0 || t.Failed() {
		t.Errorf("exit code %d:\n%s", code, stdout)
	}
}

func TestTheStartSaysWhatItSawOfTheAppAndSendsItNothing(t *testing.T) {
	t.Parallel()
	app := listen(t, "tcp", "127.0.0.1:0")
	g := launch{args: []string{"--callback-url", "http://" + app.Addr().String() + "/x?token=" + secret}}.start(t)
	c, err := app.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, err := c.Read(make([]byte, 100)); n != 0 {
		t.Errorf("the app has got %d bytes, %v", n, err)
	}
	if line, ok := g.Log.Await(harness.Patience, func(l logLine) bool { return strings.HasPrefix(l.Text("message"), "app: somebody listens") }); !ok || line.Text("level") != "info" {
		t.Errorf("it says %q", line.Raw)
	}
	down := launch{args: []string{"--callback-url", "http://127.0.0.1:1/x"}}.start(t)
	if line, ok := down.Log.Await(harness.Patience, func(l logLine) bool { return strings.HasPrefix(l.Text("message"), "app: nobody") }); !ok || line.Text("level") != "warn" || line.Text("fix") == "" {
		t.Errorf("it says %q", line.Raw)
	}
}

func TestHealthSaysByItsExitCodeWhetherTheGatewayIsWell(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	_, port, _ := net.SplitHostPort(g.Addr)
	for _, test := range []struct {
		args []string
		env  []string
		code int
	}{
		{[]string{"health", "--listen", g.Addr}, nil, 0},
		{[]string{"health", "--ready"}, []string{"WS_GATEWAY_LISTEN=:" + port}, 0},
		{[]string{"health", "--url", "http://" + g.Addr + "/readyz"}, nil, 0},
		{[]string{"health", "--url", "http://" + g.Addr + "/nothing"}, nil, 1},
		{[]string{"health", "--listen", "127.0.0.1:1"}, nil, 1},
		{[]string{"health", "--admin-listen", "unix:" + filepath.Join(t.TempDir(), "none")}, nil, 1},
	} {
		code, stdout, stderr := launch{args: test.args, env: test.env}.runToEnd(t)
		if code != test.code || (stdout == "") == (code == 0) || (code != 0) != strings.HasPrefix(stderr, "ws-gateway: health: ") {
			t.Errorf("%q %q: exit code %d, want %d: %s%s", test.args, test.env, code, test.code, stdout, stderr)
		}
	}
}
