// Package harness is what tests of the real binary share: the binary itself, a gateway
// that runs, its log, and a WebSocket client that has no code of the product. Of ours it
// imports e2e/described, and only tests import it.
//
// WS_GATEWAY_BINARY names the binary to test. Without it the tests build one.
package harness

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Patience bounds every wait. It is generous because waits end with their
// condition; only a broken gateway makes a test wait this long, or a machine that
// has much else to do.
const Patience = 10 * time.Minute

// scratch is a folder for what is built for several tests.
var scratch string

const product = "ws-gateway/cmd/ws-gateway"

// Main is a TestMain: it fails if the tests leave goroutines. So many of them run at a
// time: most wait for something (a timeout, a retry), few compute.
func Main(m *testing.M, parallel int) {
	flag.Parse()
	os.Exit(buildAndRun(m, parallel))
}

func buildAndRun(m *testing.M, parallel int) int {
	dir, err := os.MkdirTemp("", "ws-gateway-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	scratch = dir
	if !given("test.parallel") {
		if err := flag.Set("test.parallel", strconv.Itoa(parallel)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}

	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines left by the tests:", err)
			return 1
		}
	}
	return code
}

// Binary is the program under test: WS_GATEWAY_BINARY, or what the first caller builds.
// It is called ws-gateway.
func Binary(t testing.TB) string {
	t.Helper()
	return must(t, binary)
}

// Plain is the gateway as it is shipped: for what is measured, where the race detector
// would take most of the memory itself, and for commands that come and go, as most of what
// they would take is its start.
func Plain(t testing.TB) string {
	t.Helper()
	return must(t, plain)
}

func must(t testing.TB, find func() (string, error)) string {
	t.Helper()
	path, err := find()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var plain = sync.OnceValues(func() (string, error) { return build(filepath.Join("plain", "ws-gateway")) })

// It is found within a test, not before all: only then go test notes what was looked at,
// and does not take an earlier result for this one's if that has changed.
var binary = sync.OnceValues(func() (string, error) {
	given := os.Getenv("WS_GATEWAY_BINARY")
	os.Unsetenv("WS_GATEWAY_BINARY") // a gateway that inherited it would warn of it
	if given == "" {
		if err := dependOnSources(); err != nil {
			return "", err
		}
		return build("ws-gateway", "-race")
	}
	given, err := filepath.Abs(given)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(given); err != nil {
		return "", err
	}
	path := filepath.Join(scratch, "ws-gateway") // the name that shells know it by
	return path, os.Symlink(given, path)
})

// dependOnSources looks at the folders that the product is made of.
func dependOnSources() error {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if .Main}}{{.Dir}} {{$.Dir}}{{end}}{{end}}", product).Output()
	if err != nil {
		return fmt.Errorf("listing what the gateway is made of: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		root, folder, _ := strings.Cut(strings.TrimSpace(line), " ")
		if root == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
			return err
		}
		// What a package embeds is below it.
		if err := filepath.WalkDir(folder, func(_ string, _ fs.DirEntry, err error) error { return err }); err != nil {
			return err
		}
	}
	return nil
}

// build builds the gateway into the scratch folder.
func build(name string, flags ...string) (path string, err error) {
	path = filepath.Join(scratch, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	out, err := exec.Command("go", append(append([]string{"build"}, flags...), "-o", path, product)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the gateway: %w\n%s", err, out)
	}
	return path, nil
}

func given(name string) (set bool) {
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}
