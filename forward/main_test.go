package forward

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(sinkVariable) != "" {
		serveSink()
		return
	}
	goleak.VerifyTestMain(m)
}
