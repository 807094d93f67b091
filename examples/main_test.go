//go:build examples

package examples

import (
	"testing"

	"ws-gateway/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m, 2) }
