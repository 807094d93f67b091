package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ws-gateway/e2e/harness"
)

// aKey is a private key in PEM that belongs to no certificate.
func aKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestWhatCheckPassesStartsAndWhatItRefusesDoesNot(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	folder := t.TempDir()
	path := func(name string) string { return filepath.Join(folder, name) }
	file := harness.WriteFile(t, "file", "no PEM\n")
	client, err := filepath.Abs("testdata/tls/client.pem")
	if err != nil {
		t.Fatal(err)
	}
	taken := listen(t, "tcp", "127.0.0.1:0").Addr().String()
	free := func() string {
		ln := listen(t, "tcp", "127.0.0.1:0")
		defer ln.Close()
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		return port
	}
	one := free()
	busy, state := path("busy-journal"), path("busy-state")
	launch{app: app, args: []string{"--journal", busy, "--resume-for", "1m", "--resume-state", state}}.start(t)
	if err := syscall.Mkfifo(path("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := listen(t, "unix", path("socket"))
	defer socket.Close()
	if err := os.Symlink(path("nowhere/dead.jsonl"), path("dangling")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path("made.jsonl"), path("linked")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args string
		code int
		want string // in what a start says
	}{
		{"--admin-listen 127.0.0.1:0", 0, ""},
		{"--admin-listen unix:" + path("admin.sock"), 0, ""},
		{"--dead-letter " + path("linked"), 0, ""},
		{"--journal " + path("a/b/journal") + " --dead-letter " + path("a/dead.jsonl"), 0, ""},
		{"--callback-cert " + client, 0, ""},

		{"--listen :" + one + " --admin-listen :" + one, 78, "--admin-listen"},
		{"--listen :" + one + " --admin-listen 127.0.0.1:" + one, 78, "another address than that of --listen"},
		{"--listen 127.0.0.1:" + one + " --admin-listen localhost:" + one, 78, "another address than that of --listen"},
		{"--listen 127.0.0.1:" + one + " --admin-listen [::]:" + one, 78, "another address than that of --listen"},
		{"--listen 0.0.0.0:" + one + " --admin-listen 127.0.0.1:" + one, 78, "another address than that of --listen"},
		{"--admin-listen unix:admin.sock", 78, "must be absolute"},
		{"--admin-listen unix:" + path(strings.Repeat("x", 108)), 78, "at most 107 bytes"},
		{"--admin-listen unix:" + path("none/admin.sock"), 1, "is not there; make it"},
		{"--admin-listen unix:" + file + "/admin.sock", 1, "is no folder"},
		{"--admin-listen unix:" + file, 1, "a file of another kind"},
		{"--admin-listen unix:" + path("socket"), 1, "another process listens there"},
		{"--admin-listen unix:/proc/admin.sock", 1, "address unix:/proc/admin.sock"},
		{"--admin-listen 192.0.2.1:1", 1, "not an address of this machine"},
		{"--listen " + taken, 1, "taken by another process"},
		{"--dead-letter " + path("none/dead.jsonl"), 1, "no such file"},
		{"--dead-letter " + file + "/dead.jsonl", 1, "not a directory"},
		{"--dead-letter " + folder, 1, "another kind"},
		{"--dead-letter " + path("socket"), 1, "another kind"},
		{"--dead-letter " + path("dangling"), 1, "nowhere"},
		{"--dead-letter " + path(strings.Repeat("x", 300)), 1, "too long"},
		{"--dead-letter /proc/dead.jsonl", 1, "/proc"},
		{"--journal " + file, 1, "another kind"},
		{"--journal " + file + "/journal", 1, "not a directory"},
		{"--journal " + busy, 1, "in use by another process"},
		{"--journal /proc/journal", 1, "/proc"},
		{"--resume-for 1m --resume-state " + state, 1, "another gateway that has not ended uses it"},
		{"--resume-for 1m --resume-state " + path("none/state"), 1, "no such file"},
		{"--resume-for 1m --resume-state " + path("c/journal/state") + " --journal " + path("c/journal"), 0, ""},
		{"--journal " + path("same") + " --dead-letter " + path("same"), 78, "--dead-letter"},
		{"--config " + folder, 78, "is a directory"},
		{"--config " + path("none.yaml"), 78, "no such file"},
		{"--callback-ca " + path("none.pem"), 78, "no such file"},
		{"--callback-ca " + file, 78, "certificates in PEM"},
		{"--callback-ca " + folder, 78, "is a directory"},
		{"--callback-cert " + client + " --callback-key " + harness.WriteFile(t, "key", aKey(t)), 78, "does not match"},
		{"--callback-cert " + path("none") + " --callback-key " + path("none"), 78, "--callback-key"},
		{"--admin-token-file " + folder, 78, "is a directory"},
		{"--callback-secret-file " + path("none"), 78, "no such file"},
		{"--manifest " + folder + " --callback-url=", 78, "is a directory"},
		{"--callback-url unix:" + path(strings.Repeat("x", 108)) + ":/", 78, "--callback-url"},
	} {
		args := append([]string{"--listen", "127.0.0.1:0", "--callback-url", app.url()}, strings.Fields(test.args)...)
		code, _, stderr := launch{args: append([]string{"check"}, args...)}.runToEnd(t)
		if code != test.code || stderr != "" {
			t.Errorf("%s: check ends with %d, want %d: %s", test.args, code, test.code, stderr)
		}
		if test.code == 0 {
			launch{args: args}.start(t)
			continue
		}
		code, _, stderr = launch{args: args}.runToEnd(t)
		if code != test.code || !strings.Contains(stderr, test.want) {
			t.Errorf("%s: the start ends with %d, want %d and %q:\n%s", test.args, code, test.code, test.want, stderr)
		}
	}
}

func TestAllMistakesOfAConfigurationAreSaidAtOnceByStartAndCheck(t *testing.T) {
	t.Parallel()
	taken := listen(t, "tcp", "127.0.0.1:0").Addr().String()
	config := harness.WriteFile(t, "gateway.yaml", strings.Join([]string{
		"lisen: ':1'", "write-timeout: soon", "subprotocols: {a: 1}", "loops: [1, 2]", "callback-timeout: 1ns", "nonsense: 1",
		"callback-batch: 2", "callback-reply: true", "message-rate: 10", "message-burst: 5", "admin-listen: " + taken, "",
	}, "\n"))
	args := []string{
		"--config", config, "--ping-timeout", "banana", "--colour", "red", "--require-user=perhaps", "--callback-url", "ftp://x", "--server-ping", "10m",
		"--callback-ca", "/none/ca.pem", "--dead-letter", "/none/dead.jsonl", "--max-message-size", "512MiB", "--message-memory", "lots",
	}
	env := []string{"WS_GATEWAY_LOG_LEVEL=loud", "WS_GATEWAY_CLOSE_TIMEOUT=5"}
	want := []string{
		"unknown flag --colour",
		`gateway.yaml:1: unknown key "lisen", did you mean listen?`,
		"gateway.yaml:3: subprotocols: must be a plain value",
		`gateway.yaml:6: unknown key "nonsense"`,
		`--close-timeout "5" (from WS_GATEWAY_CLOSE_TIMEOUT)`,
		`--loops "1, 2" (from gateway.yaml line 4): must be one value`,
		`--message-memory "lots" (from flag)`,
		`--ping-timeout "banana" (from flag)`,
		`--require-user "perhaps" (from flag)`,
		`--write-timeout "soon" (from gateway.yaml line 2)`,
		`--callback-timeout "1ns" (from gateway.yaml line 5): must be at least 10ms`,
		`--log-level "loud" (from WS_GATEWAY_LOG_LEVEL)`,
		`--message-burst "5" (from gateway.yaml line 10)`,
		`--callback-reply (from gateway.yaml line 8) and --callback-batch (from gateway.yaml line 7)`,
		`--callback-ca "/none/ca.pem" (from flag)`,
		`--callback-url "ftp://x" (from flag)`,
		"/none/dead.jsonl cannot be written",
		// A value that is not known tells nothing about others: message-memory, ping-timeout.
		"address " + taken + " is taken",
	}
	for _, command := range []string{"run", "check"} {
		code, stdout, stderr := launch{args: append([]string{command}, args...), env: env}.runToEnd(t)
		said := stderr + stdout
		if code != 78 {
			t.Errorf("%s: exit code %d", command, code)
		}
		for _, line := range want {
			if strings.Count(said, line) != 1 {
				t.Errorf("%s does not say once %q", command, line)
			}
		}
		mistakes := 0
		for line := range strings.Lines(said) {
			if strings.HasPrefix(line, "fail") || strings.HasPrefix(line, "ws-gateway: ") {
				mistakes++
			}
		}
		if mistakes != len(want) || t.Failed() {
			t.Errorf("%s: %d mistakes, want %d:\n%s", command, mistakes, len(want), said)
		}
	}
}

func TestAllThatKeepsAStartFromStartingIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	taken, other := listen(t, "tcp", "127.0.0.1:0").Addr().String(), listen(t, "tcp", "127.0.0.1:0").Addr().String()
	folder := t.TempDir()
	code, _, stderr := launch{app: app, args: []string{
		"--listen", taken, "--admin-listen", other, "--callback-url", app.url(), "--dead-letter", folder, "--journal", harness.WriteFile(t, "file", ""),
	}}.runToEnd(t)
	for _, part := range []string{"address " + taken + " is taken", "address " + other + " is taken", "dead-letter: " + folder, "journal: "} {
		if strings.Count(stderr, part) != 1 {
			t.Errorf("%q is not said once", part)
		}
	}
	if code != 1 || strings.Count(stderr, "\n") != 4 || t.Failed() {
		t.Errorf("exit code %d:\n%s", code, stderr)
	}
}
