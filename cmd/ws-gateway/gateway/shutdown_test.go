package gateway

import (
	"os"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"ws-gateway/cmd/ws-gateway/config/configtest"
	"ws-gateway/cmd/ws-gateway/internal/logtest"
	"ws-gateway/cmd/ws-gateway/program"
)

// A system call that does not return, such as a write to a disk that is gone,
// cannot be cut off: then the process ends all the same.
func TestAShutdownThatHangsEndsTheProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	t.Parallel()
	log := logtest.New()
	cfg := configtest.MustParse(t, []string{"--no-callback", "--listen=127.0.0.1:0", "--shutdown-timeout=100ms", "--drain-period=0s"})
	disk := make(chan struct{})
	codes := make(chan int, 1)
	p := &program.Process{Signals: make(chan os.Signal, 1), HangUps: make(chan os.Signal), Exit: func(code int) { codes <- code; close(disk) }}
	g, err := New(p, cfg, zerolog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	g.serving.Go(func() { <-disk })
	p.Signals <- syscall.SIGTERM
	if err := g.Serve(func() {}); err != nil {
		t.Error(err)
	}
	if code := <-codes; code != program.ExitFailure {
		t.Errorf("exit code %d", code)
	}
	log.Await(t, "shutdown: something does not end, perhaps a disk does not answer; exiting at once")
}
