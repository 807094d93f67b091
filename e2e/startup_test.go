package e2e_test

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"ws-gateway/e2e/harness"
)

// culprit is a start that must fail.
type culprit struct {
	name     string
	args     []string // behind --listen 127.0.0.1:0
	env      []string
	names    []string // what the one line must contain
	callback bool     // args or env configure one; otherwise --no-callback is added
}

func TestABadStartSaysWhatIsWrongInOneLineAndExitsNonZero(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	port := fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)
	file := func(content string) string { return harness.WriteFile(t, "gateway.yaml", content) }
	none := filepath.Join(t.TempDir(), "none.yaml")

	for _, c := range []culprit{
		{"port taken", []string{"--listen", "127.0.0.1:" + port}, nil, []string{port}, false},
		{"admin port taken", []string{"--admin-listen", "127.0.0.1:" + port}, nil, []string{port}, false},
		{"unknown flag", []string{"--no-such-flag"}, nil, []string{"--no-such-flag"}, false},
		{"argument", []string{"nonsense"}, nil, []string{"nonsense"}, false},
		{"flag without its value", []string{"--ping-timeout"}, nil, []string{"ping-timeout"}, false},
		{"bad duration", []string{"--ping-timeout", "banana"}, nil, []string{"ping-timeout", "banana"}, false},
		{"duration without a unit", []string{"--ping-timeout", "75"}, nil, []string{"ping-timeout", "75"}, false},
		{"negative duration", []string{"--callback-timeout=-5s"}, nil, []string{"callback-timeout", "-5s"}, false},
		{"bad size", []string{"--max-message-size", "lots"}, nil, []string{"max-message-size", "lots"}, false},
		{"negative size", []string{"--max-message-size=-1"}, nil, []string{"max-message-size", "-1"}, false},
		{"bad number", []string{"--callback-concurrency", "many"}, nil, []string{"callback-concurrency", "many"}, false},
		{"no workers", []string{"--callback-concurrency", "0"}, nil, []string{"callback-concurrency", "0"}, false},
		{"bad choice", []string{"--keepalive", "sometimes"}, nil, []string{"keepalive", "sometimes"}, false},
		{"bad address", []string{"--listen", "nonsense"}, nil, []string{"listen", "nonsense"}, false},
		{"bad port", []string{"--listen", "127.0.0.1:99999"}, nil, []string{"listen", "99999"}, false},
		{"bad scheme", []string{"--callback-url", "ftp://127.0.0.1/x"}, nil, []string{"callback-url", "ftp"}, true},
		{"no host", []string{"--callback-url", "http:///x"}, nil, []string{"callback-url", "http:///x"}, true},
		{"no URL", []string{"--callback-url", "somewhere"}, nil, []string{"callback-url", "somewhere"}, true},
		{"bad path", []string{"--path", "ws"}, nil, []string{"path", "ws"}, false},
		{"bad environment", nil, []string{"WS_GATEWAY_PING_TIMEOUT=banana"}, []string{"WS_GATEWAY_PING_TIMEOUT", "banana"}, false},
		{"bad WS_PORT", []string{}, []string{"WS_PORT=banana", "WS_URL=/x"}, []string{"WS_PORT", "banana"}, true},
		{"WS_PORT of a Kubernetes Service", []string{}, []string{"WS_PORT=tcp://10.0.0.1:80", "WS_URL=/x"}, []string{"tcp://10.0.0.1:80", "Kubernetes", "Service that is called ws", "--callback-url"}, true},
		{"config in UTF-16", []string{"--config", file("\xff\xfel\x00")}, nil, []string{"gateway.yaml", "UTF-16", "save it as UTF-8"}, false},
		{"token behind a byte order mark", []string{"--admin-token-file", file("\ufeffa-long-enough-token\n")}, nil, []string{"admin-token-file", "byte order mark", "without BOM"}, false},
		{"secret behind a byte order mark", []string{"--callback-url", "http://127.0.0.1:1/x", "--callback-secret-file", file("\ufeffsecret\n")}, nil, []string{"callback-secret-file", "byte order mark"}, true},
		{"no config file", []string{"--config", none}, nil, []string{"none.yaml"}, false},
		{"unknown key", []string{"--config", file("listen: 127.0.0.1:0\nping-tmeout: 1s\n")}, nil, []string{"gateway.yaml", "ping-tmeout"}, false},
		{"bad value in the file", []string{"--config", file("ping-timeout: banana\n")}, nil, []string{"ping-timeout", "banana"}, false},
		{"bad YAML", []string{"--config", file("listen: [\n")}, nil, []string{"gateway.yaml"}, false},
		{"no manifest", []string{"--manifest", none}, nil, []string{"none.yaml"}, true},
		{"manifest without websocket", []string{"--manifest", file("options: {}\n")}, nil, []string{"gateway.yaml", "websocket"}, true},
		{"manifest with a bad port", []string{"--manifest", file("options:\n  websocket:\n    url: /x\n    port: banana\n")}, nil, []string{"port"}, true},
		{"no token file", []string{"--admin-token-file", none}, nil, []string{"admin-token-file"}, false},
		{"empty token file", []string{"--admin-token-file", file("\n")}, nil, []string{"admin-token-file"}, false},
		{"dead letters nowhere", []string{"--callback-url", "http://127.0.0.1:1/x", "--dead-letter", none + "/x/dead.jsonl"}, nil, []string{"none.yaml/x/dead.jsonl"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			// The culprit's own --listen comes last and counts.
			l := launch{args: []string{"--listen", "127.0.0.1:0"}, env: c.env}
			if !c.callback {
				l.args = append(l.args, "--no-callback")
			}
			l.args = append(l.args, c.args...)
			code, stdout, stderr := l.runToEnd(t)
			if code == 0 {
				t.Error("exit code 0")
			}
			if strings.Count(stderr, "\n") != 1 || stdout != "" {
				t.Errorf("it says more than one line:\n%s%s", stdout, stderr)
			}
			for _, part := range c.names {
				if !strings.Contains(stderr, part) {
					t.Errorf("%q does not name %q", stderr, part)
				}
			}
		})
	}
}

func TestWithoutACallbackTheStartFailsAndNamesTheWaysToConfigureOne(t *testing.T) {
	t.Parallel()
	code, _, stderr := launch{args: []string{"--listen", "127.0.0.1:0"}}.runToEnd(t)
	if code == 0 {
		t.Error("exit code 0")
	}
	for _, way := range []string{"--callback-url", "WS_PORT", "WS_URL", "--manifest", "--no-callback"} {
		if !strings.Contains(stderr, way) {
			t.Errorf("%q does not name %s", stderr, way)
		}
	}
}

func TestAFlagBeatsTheEnvironmentWhichBeatsTheFileWhichBeatsTheDefault(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := launch{
		args: []string{"--print-config", "--no-callback", "--ping-timeout", "41s",
			"--config", harness.WriteFile(t, "gateway.yaml", "ping-timeout: 11s\nclose-timeout: 12s\nwrite-timeout: 13s\nallowed-origins:\n  - https://a.example\n  - https://b.example\n")},
		env: []string{"WS_GATEWAY_PING_TIMEOUT=21s", "WS_GATEWAY_CLOSE_TIMEOUT=22s"},
	}.runToEnd(t)
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for option, value := range map[string]string{
		"ping-timeout": "41s", "close-timeout": "22s", "write-timeout": "13s", "handshake-timeout": "10s",
		"allowed-origins": "https://b.example",
	} {
		if line := lineOf(stdout, option); !strings.Contains(line, value) {
			t.Errorf("%s is printed as %q, want %s", option, line, value)
		}
	}
}

// lineOf returns the line of text that begins with an option's name.
func lineOf(text, option string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, option+":") {
			return line
		}
	}
	return ""
}

func TestPrintConfigShowsNoSecretAndItsOutputIsAConfigFile(t *testing.T) {
	t.Parallel()
	const token = "the-admin-token-itself"
	code, printed, stderr := launch{
		args: []string{"--print-config", "--no-callback", "--ping-timeout", "41s"},
		env:  []string{"WS_GATEWAY_ADMIN_TOKEN=" + token},
	}.runToEnd(t)
	if code != 0 || strings.Contains(printed+stderr, token) || !strings.Contains(printed, "admin-token") {
		t.Fatalf("exit code %d:\n%s%s", code, printed, stderr)
	}
	code, again, stderr := launch{args: []string{"--print-config", "--config", harness.WriteFile(t, "gateway.yaml", printed)}}.runToEnd(t)
	if code != 0 {
		t.Fatalf("its output is refused: %s", stderr)
	}
	if got, want := lineOf(again, "ping-timeout"), "41s"; !strings.Contains(got, want) {
		t.Errorf("the second time it prints %q", got)
	}
}

func TestVersionAndHelpGoToStandardOutput(t *testing.T) {
	t.Parallel()
	for flag, parts := range map[string][]string{
		"--version": {"ws-gateway"},
		"--help":    {"--listen", "--callback-url", "--ping-timeout", "--max-connections", "demo"},
	} {
		code, stdout, stderr := launch{args: []string{flag}}.runToEnd(t)
		if code != 0 || stderr != "" {
			t.Errorf("%s: exit code %d, standard error %q", flag, code, stderr)
		}
		for _, part := range parts {
			if !strings.Contains(stdout, part) {
				t.Errorf("%s does not mention %s:\n%s", flag, part, stdout)
			}
		}
	}
}

func TestTheLogNeedsNoTerminalAndHasNoColours(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	for _, line := range g.Log.All() {
		if line.Fields == nil || line.Text("level") == "" || line.Text("time") == "" {
			t.Errorf("not a JSON log line: %q", line.Raw)
		}
	}
}
