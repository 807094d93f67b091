package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ws-gateway/e2e/harness"
)

func TestTheReadyLineSaysWhoMayManage(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	socket := "unix:" + folder + "/a.sock"
	for _, test := range []struct {
		want string
		args []string
		env  []string
		open string // level of the line that says that a proxy may open it; "" for none
	}{
		{"loopback without a token, on the clients' port", nil, nil, "info"},
		{"loopback without a token, on the clients' port", []string{"--listen", ":0"}, nil, "warn"},
		{"who has the token, on the clients' port", []string{"--listen", ":0", "--admin-token", secret + "token-of-some-length"}, nil, ""},
		{"loopback without a token, at 127.0.0.1:", []string{"--listen", ":0", "--admin-listen", "127.0.0.1:0"}, nil, ""},
		{"who may open the unix socket " + folder + "/a.sock (mode 0600), without a token", []string{"--admin-listen", socket}, nil, ""},
	} {
		g := launch{args: append([]string{"--no-callback"}, test.args...), env: test.env}.start(t)
		if got := g.Ready.Text("manage"); !strings.HasPrefix(got, test.want) {
			t.Errorf("%q: %q, want %q", test.args, got, test.want)
		}
		said := g.Log.AwaitMatching(min(1, len(test.open)), "management:", "proxy on this host")
		if len(said) != min(1, len(test.open)) || len(said) == 1 && (said[0].Text("level") != test.open || !strings.Contains(said[0].Text("fix"), "--admin-listen")) {
			t.Errorf("%q: the log says %v, want it at level %q", test.args, said, test.open)
		}
		g.End()
	}
	// That is the contract of Olares, whose own proxies can be told.
	g := launch{args: []string{"--listen", ":0"}, env: []string{"WS_PORT=1", "WS_URL=/ws/message"}}.start(t)
	if said := g.logged(t, 1, "management:", "proxy on this host"); said[0].Text("level") != "info" {
		t.Errorf("as Olares starts it: %v", said)
	}
}

func TestCheckSaysWhoCanReachWhat(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	open := file("open", "a-token-of-20-letters\n", 0o644)
	private := file("private", "a-token-of-20-letters\n", 0o600)
	letters := file("dead.jsonl", "", 0o604)
	config := file("gateway.yaml", "admin-token: a-token-of-20-letters\n", 0o644)
	harmless := file("harmless.yaml", "no-callback: true\n", 0o644)
	for _, test := range []struct {
		name, state, message string
		args                 []string
	}{
		{"management", "warn", "proxy on this host", []string{"--listen", ":0"}},
		{"management", "ok", "proxy on this host", nil},
		{"management", "ok", "loopback without a token, at 127.0.0.1:0", []string{"--listen", ":0", "--admin-listen", "127.0.0.1:0"}},
		{"management", "ok", "who has the token, on the clients' port", []string{"--listen", ":0", "--admin-token-file", private}},
		{"management", "warn", "others reach the address", []string{"--admin-listen", ":0"}},
		{"origins", "warn", "any origin", nil},
		{"origins", "warn", "any origin", []string{"--allowed-origins", "*"}},
		{"origins", "warn", "any origin", []string{"--allowed-origins", "https://app.example.org,*"}},
		{"origins", "warn", "sandboxed", []string{"--allowed-origins", "https://app.example.org,null"}},
		{"origins", "ok", "named origins", []string{"--allowed-origins", "https://app.example.org"}},
		{"users", "warn", "X-Who is believed from everybody who connects at :0", []string{"--listen", ":0", "--user-header", "X-Who"}},
		{"users", "ok", "this host alone", nil},
		{"token", "warn", "15 characters", []string{"--admin-token", "fifteen-letters"}},
		{"token", "ok", "long enough", []string{"--admin-token", "sixteen--letters"}},
		{"profiles", "warn", "--pprof", []string{"--pprof"}},
		{"profiles", "ok", "--pprof", []string{"--pprof", "--admin-token-file", private}},
		{"metrics", "ok", "everybody who reaches :0", []string{"--metrics-listen", ":0"}},
		{"files", "warn", open + " of --admin-token-file holds the admin token, and other users may read it", []string{"--admin-token-file", open}},
		{"files", "ok", "no other user", []string{"--admin-token-file", private}},
		{"files", "warn", config + " of --config holds admin-token", []string{"--config", config}},
		{"files", "", "", []string{"--config", harmless}},
		{"files", "warn", letters + " of --dead-letter holds payloads and cookies", []string{"--callback-url", "http://127.0.0.1:1/", "--dead-letter", letters}},
	} {
		args := test.args
		if len(args) < 2 || args[0] != "--callback-url" {
			args = append(args, "--no-callback")
		}
		code, found := check(t, args...)
		got := found["security: "+test.name]
		if code != 0 || got["state"] != test.state || !strings.Contains(got["message"], test.message) || test.state == "warn" && got["fix"] == "" {
			t.Errorf("%q: exit code %d, %q; want %s %q", test.args, code, got, test.state, test.message)
		}
	}
	code, found := check(t, "--no-callback", "--admin-token", "short")
	if got := found["configuration"]; code != 78 || got["state"] != "fail" || !strings.Contains(got["message"], "at least 8 characters") {
		t.Errorf("a token of 5 letters: exit code %d, %q", code, got)
	}
}

func TestListenersInEachOthersWayAreAWrongConfiguration(t *testing.T) {
	t.Parallel()
	socket := "unix:" + t.TempDir() + "/s"
	for _, args := range [][]string{
		{"--listen", "127.0.0.1:40777", "--admin-listen", "127.0.0.1:40777"},
		{"--listen", ":40777", "--admin-listen", "localhost:40777"},
		{"--listen", "127.0.0.1:40777", "--metrics-listen", ":40777"},
		{"--listen", "127.0.0.1:0", "--admin-listen", socket, "--metrics-listen", socket},
	} {
		for _, command := range []string{"run", "check"} {
			code, stdout, stderr := launch{args: append([]string{command, "--no-callback"}, args...)}.runToEnd(t)
			if code != 78 || !strings.Contains(stdout+stderr, "must be another address than that of --") {
				t.Errorf("%s %q: exit code %d: %s%s", command, args, code, stdout, stderr)
			}
		}
	}
}

// As on a host with the package: nothing but the configuration says where the
// gateway is.
func TestAConfigurationFileIsAllThatThoseWhoAskNeed(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	config := filepath.Join(folder, "gateway.yaml")
	token := filepath.Join(folder, "token")
	text := "no-callback: true\nadmin-listen: unix:" + folder + "/admin.sock\nmetrics-listen: 127.0.0.1:0\nadmin-token-file: " + token + "\n"
	for path, content := range map[string]string{config: text, token: secret + "of-some-length\n"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g := launch{args: []string{"--config", config}}.start(t)
	g.Dial(t, "alice")
	for _, how := range []launch{
		{args: []string{"list", "--config", config}},
		{args: []string{"list"}, env: []string{"WS_GATEWAY_CONFIG=" + config}},
		{args: []string{"list"}, env: []string{"WS_GATEWAY_ADMIN_LISTEN=unix:" + folder + "/admin.sock", "WS_GATEWAY_ADMIN_TOKEN_FILE=" + token}},
	} {
		if code, stdout, stderr := how.runToEnd(t); code != 0 || !strings.Contains(stdout, "alice") {
			t.Errorf("%q %q: exit code %d: %s%s", how.args, how.env, code, stdout, stderr)
		}
	}
	if err := os.Remove(token); err != nil { // whoever asks for health need not be able to read it
		t.Fatal(err)
	}
	for _, how := range []launch{
		{args: []string{"health", "--ready", "--config", config}},
		{args: []string{"health"}, env: []string{"WS_GATEWAY_CONFIG=" + config}},
		{args: []string{"health"}, env: []string{"WS_GATEWAY_ADMIN_LISTEN=unix:" + folder + "/admin.sock", "WS_GATEWAY_NO_CALLBACK=1"}},
	} {
		if code, stdout, stderr := how.runToEnd(t); code != 0 || stdout != "ok\n" {
			t.Errorf("%q %q: exit code %d: %s%s", how.args, how.env, code, stdout, stderr)
		}
	}
}

func TestAReloadThatDropsTheTokenSaysWhatThatOpens(t *testing.T) {
	t.Parallel()
	config := harness.WriteFile(t, "gateway.yaml", "no-callback: true\nlisten: \":0\"\nadmin-token: "+secret+"of-some-length\n")
	g := launch{args: []string{"--config", config}}.run(t)
	if _, ok := g.Log.Await(harness.Patience, func(l logLine) bool { return l.Text("message") == "ready" }); !ok {
		t.Fatal("it is not ready")
	}
	if said := g.Log.MatchingNow("management:", "proxy on this host"); len(said) != 0 {
		t.Errorf("with a token it says %v", said)
	}
	if err := os.WriteFile(config, []byte("no-callback: true\nlisten: \":0\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.Signal(syscall.SIGHUP)
	if line, ok := g.Log.Await(harness.Patience, func(l logLine) bool { return strings.HasPrefix(l.Text("message"), "management:") }); !ok || line.Text("level") != "warn" {
		t.Errorf("it says %q", line.Raw)
	}
}
