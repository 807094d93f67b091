package child

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func shell(script string) Spec {
	return Spec{Name: "server", Path: "/bin/sh", Args: []string{"-c", script}, Ready: func(line string) (netip.AddrPort, bool) {
		addr, err := netip.ParseAddrPort(line)
		return addr, err == nil
	}}
}

func start(t *testing.T, script string) (*Process, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	return Start(ctx, shell(script))
}

func TestAProcessIsReadyWhenItSaysWhere(t *testing.T) {
	for _, stream := range []string{"1", "2"} {
		p, err := start(t, "echo hello; echo 127.0.0.1:4711 >&"+stream+"; exec sleep 60")
		if err != nil {
			t.Fatal(err)
		}
		if p.Addr().String() != "127.0.0.1:4711" || p.PID() <= 1 || p.Alive() != nil {
			t.Errorf("stream %s: %v, %d, %v", stream, p.Addr(), p.PID(), p.Alive())
		}
		if p.Last() != "127.0.0.1:4711" {
			t.Errorf("stream %s: its last line is %q", stream, p.Last())
		}
		p.Stop(20 * time.Second)
		if err := p.Alive(); !errors.Is(err, ErrEnded) || !strings.Contains(err.Error(), "terminated") {
			t.Errorf("after Stop: %v", err)
		}
	}
}

func TestAProcessThatEndsInsteadOfServingIsQuoted(t *testing.T) {
	_, err := start(t, "echo port taken >&2; exit 3")
	if !errors.Is(err, ErrEnded) || !strings.Contains(err.Error(), "port taken") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
}

func TestAProcessThatNeverGetsReadyIsKilled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, shell("exec sleep 60")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAProcessThatIgnoresSIGTERMIsKilled(t *testing.T) {
	p, err := start(t, "trap '' TERM; echo 127.0.0.1:1; exec sleep 60")
	if err != nil {
		t.Fatal(err)
	}
	p.Stop(10 * time.Millisecond)
	if err := p.Alive(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("got %v", err)
	}
}

func TestOnlyTheLastLinesAreKept(t *testing.T) {
	_, err := start(t, "for i in $(seq 1 30); do echo line $i; done; exit 1")
	if err == nil || strings.Contains(err.Error(), "line 10\n") || !strings.Contains(err.Error(), "line 11\n") || !strings.Contains(err.Error(), "line 30") {
		t.Errorf("got %v", err)
	}
}

func TestAProgramThatIsNotThereIsAnError(t *testing.T) {
	if _, err := Start(t.Context(), Spec{Name: "server", Path: "/nonexistent"}); err == nil {
		t.Error("no error")
	}
}
