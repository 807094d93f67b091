package main

import (
	"os"
	"runtime"
	"strconv"
	"testing"

	"go.uber.org/goleak"
)

// On few processors a gateway in this process would leave one to all that follow: the
// race detector would see less of them.
func TestMain(m *testing.M) {
	os.Setenv("GOMAXPROCS", strconv.Itoa(runtime.GOMAXPROCS(0)))
	goleak.VerifyTestMain(m)
}
