package main

import (
	"os"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"ws-gateway/cmd/ws-gateway/program"
)

// A system call that does not return, such as a write to a disk that is gone,
// cannot be cut off: then the process ends all the same.
func TestAShutdownThatHangsEndsTheProcess(t *testing.T) {
	t.Parallel()
	log := newLogs()
	cfg := mustParse(t, []string{"--no-callback", "--listen=127.0.0.1:0", "--shutdown-timeout=100ms", "--drain-period=0s"})
	g, err := newGateway(cfg, zerolog.New(log), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.start(); err != nil {
		t.Fatal(err)
	}
	disk := make(chan struct{})
	g.serving.Go(func() { <-disk })
	codes := make(chan int, 1)
	p := &program.Process{Signals: make(chan os.Signal, 1), HangUps: make(chan os.Signal), Exit: func(code int) { codes <- code; close(disk) }}
	p.Signals <- syscall.SIGTERM
	if err := g.untilSignal(p); err != nil {
		t.Error(err)
	}
	if code := <-codes; code != program.ExitFailure {
		t.Errorf("exit code %d", code)
	}
	log.await(t, "shutdown: something does not end, perhaps a disk does not answer; exiting at once")
}
