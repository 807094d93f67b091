// Package e2e_test proves the gateway from the outside: the binary as it is
// shipped (built with the race detector), real sockets on the loopback
// interface, a WebSocket client that shares no code with it, and an app that
// records every callback. Nothing here imports the product.
//
// WS_GATEWAY_BINARY names the binary to test. Without it the tests build one.
package e2e_test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds every wait. It is generous because waits end with their
// condition; only a broken gateway makes a test wait this long, or a machine that
// has much else to do.
const patience = 10 * time.Minute

// gatewayBinary is the program under test: WS_GATEWAY_BINARY, or what TestMain builds.
var gatewayBinary string

// scratch is a folder for what is built for several tests.
var scratch string

const product = "ws-gateway/cmd/ws-gateway"

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
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

	// Most of these tests wait for something (a timeout, a retry), few compute.
	if !given("test.parallel") {
		if err := flag.Set("test.parallel", "10"); err != nil {
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
		gatewayBinary = filepath.Join(scratch, "ws-gateway") // the name that shells know it by
		return os.Symlink(binary, gatewayBinary)
	}
	if err := dependOnSources(); err != nil {
		return err
	}
	gatewayBinary, err = build("ws-gateway", "-race")
	return err
}

// dependOnSources looks at the folders that the product is made of. go test notes what
// a test reads, and does not take an earlier result for this one's if that has changed.
func dependOnSources() error {
	for _, folder := range []string{"admin", "cmd", "forward", "hub", "netpoll"} {
		err := filepath.WalkDir(filepath.Join("..", folder), func(_ string, _ fs.DirEntry, err error) error { return err })
		if err != nil {
			return err
		}
	}
	_, err := os.Stat("../go.mod")
	return err
}

// build builds the gateway into the scratch folder.
func build(name string, flags ...string) (path string, err error) {
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
