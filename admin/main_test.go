package admin

import (
	"testing"

	"go.uber.org/goleak"
)

// fasthttp refreshes its coarse clock in a goroutine that never ends, one for
// the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}
