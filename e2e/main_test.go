// Package e2e_test proves the gateway from the outside: the binary as it is
// shipped (built with the race detector), real sockets on the loopback
// interface, a WebSocket client that shares no code with it, and an app that
// records every callback. Nothing here imports the product.
package e2e_test

import (
	"testing"

	"ws-gateway/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m, 10) }
