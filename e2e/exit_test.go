package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// exitUsage is the exit code of a wrong configuration, as documented.
const exitUsage = 78

// Go's runtime exits with 2 after a panic, and the systemd unit does not restart
// after a wrong configuration: the two must differ, in every command.
func TestWhateverIsTypedWronglyIsExitCode78(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	broken := filepath.Join(folder, "broken.yaml")
	if err := os.WriteFile(broken, []byte("listen: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		env  []string
	}{
		{args: nil},
		{args: []string{"--no-such-flag"}},
		{args: []string{"nonsense"}},
		{args: []string{"--config", broken}},
		{args: []string{"--config", filepath.Join(folder, "none.yaml")}},
		{args: []string{"--no-callback"}, env: []string{"WS_GATEWAY_LOOPS=many"}},
		{args: []string{"--no-callback", "--print-config", "--ping-timeout=banana"}},
		{args: []string{"demo", "--no-such-flag"}},
		{args: []string{"check"}},
		{args: []string{"check", "--json"}},
		{args: []string{"check", "--no-callback", "--no-such-flag"}},
		{args: []string{"health", "--no-such-flag"}},
		{args: []string{"health", "--listen", "nonsense"}},
		{args: []string{"health", "--url", "::"}},
		{args: []string{"health", "--url", "127.0.0.1:40010"}},
		{args: []string{"health", "--url", "http://127.0.0.1:99999/healthz"}},
		{args: []string{"replay"}},
		{args: []string{"replay", broken}},
		{args: []string{"send", "x"}},
		{args: []string{"send", "--no-such-flag"}},
		{args: []string{"close"}},
		{args: []string{"list", "--no-such-flag"}},
		{args: []string{"count", "--gateway", "nonsense:x:y"}},
		{args: []string{"list", "--gateway", "http://127.0.0.1:99999"}},
		{args: []string{"tail", "--action", "cloze"}},
		{args: []string{"connect", "nonsense"}},
		{args: []string{"connect", "ws://127.0.0.1:99999/ws"}},
		{args: []string{"completion", "tcsh"}},
	} {
		code, stdout, stderr := launch{args: test.args, env: test.env}.runToEnd(t)
		if code != exitUsage || stdout+stderr == "" {
			t.Errorf("%q %q: exit code %d: %s%s", test.args, test.env, code, stdout, stderr)
		}
	}
}

// What is shipped and what is written say the same code.
func TestTheUnitAndTheDocumentsSayTheExitCodeOfAWrongConfiguration(t *testing.T) {
	for path, want := range map[string]string{
		"../deploy/systemd/ws-gateway.service": `(?m)^RestartPreventExitStatus=78$`,
		"../docs/configuration.md":             `exit code 78`,
		"../docs/operations.md":                `78, the configuration is wrong`,
		"../CHANGELOG.md":                      `exit code 78`,
		"../docs/protocol.md":                  `(?m)^\| 78 \| wrong options \|$`,
	} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(want).Match(text) {
			t.Errorf("%s does not say %s", path, want)
		}
		if old := regexp.MustCompile(`\b2(: wrong configuration| if the configuration)|exit code 2,`).Find(text); old != nil {
			t.Errorf("%s says %q, which is the Go runtime's exit code", path, old)
		}
	}
}
