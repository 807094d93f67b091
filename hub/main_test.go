package hub

import (
	"os"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	before := descriptors()
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		os.Stderr.WriteString(err.Error() + "\n")
		code = 1
	}
	// What the kernel or a finalizer closes in a moment is no leak. Two are the runtime's own.
	for end := time.Now().Add(10 * time.Second); code == 0 && descriptors() > before+2; runtime.GC() {
		if time.Now().After(end) {
			os.Stderr.WriteString("descriptors leaked\n")
			code = 1
		}
	}
	os.Exit(code)
}

func descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	return len(entries)
}
