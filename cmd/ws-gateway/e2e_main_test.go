// Package main_test proves the gateway from the outside: the binary as it is
// shipped (built with the race detector), real sockets on the loopback
// interface, a WebSocket client that shares no code with it, and an app that
// records every callback. Nothing here imports the product.
package main_test

import (
	"flag"
	"fmt"
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
const patience = 3 * time.Minute

// gatewayBinary is the program under test; TestMain builds it.
var gatewayBinary string

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

	gatewayBinary = filepath.Join(dir, "ws-gateway")
	if out, err := exec.Command("go", "build", "-race", "-o", gatewayBinary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the gateway: %v\n%s", err, out)
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

func given(name string) (set bool) {
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}
