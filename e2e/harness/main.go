// Package harness is what tests of the real binary share: the binary itself, a gateway
// that runs, its log, and a WebSocket client that has no code of the product. It imports
// nothing of the product, and only tests import it.
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
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Patience bounds every wait. It is generous because waits end with their
// condition; only a broken gateway makes a test wait this long, or a machine that
// has much else to do.
const Patience = 10 * time.Minute

// Binary is the program under test: WS_GATEWAY_BINARY, or what Main builds.
var Binary string

// scratch is a folder for what is built for several tests.
var scratch string

const product = "ws-gateway/cmd/ws-gateway"

// Main is a TestMain: it finds or builds the binary, runs the tests, and fails if they
// leave goroutines. So many tests run at a time: most wait for something (a timeout, a
// retry), few compute.
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
	if err := findBinary(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}

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

func findBinary() (err error) {
	if binary := os.Getenv("WS_GATEWAY_BINARY"); binary != "" {
		if binary, err = filepath.Abs(binary); err != nil {
			return err
		}
		if _, err := os.Stat(binary); err != nil { // go test runs the tests again if it has changed
			return err
		}
		Binary = filepath.Join(scratch, "ws-gateway") // the name that shells know it by
		return os.Symlink(binary, Binary)
	}
	if err := dependOnSources(); err != nil {
		return err
	}
	Binary, err = Build("ws-gateway", "-race")
	return err
}

// dependOnSources looks at the folders that the product is made of. go test notes what
// a test reads, and does not take an earlier result for this one's if that has changed.
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

// Build builds the gateway into the scratch folder.
func Build(name string, flags ...string) (path string, err error) {
	path = filepath.Join(scratch, name)
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
