//go:build proxies

package proxies

import (
	"runtime"
	"testing"
	"time"

	"ws-gateway/e2e/harness"
)

// patience bounds what must happen soon.
const patience = 30 * time.Second

func TestMain(m *testing.M) { harness.Main(m, runtime.GOMAXPROCS(0)) }
