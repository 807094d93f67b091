package admin

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestOnceRetiringCommandsAreRefusedAndQuestionsAnswered(t *testing.T) {
	r := newRig(t)
	r.admin.RefuseMutations()
	for _, path := range []string{sendPath, closePath} {
		if got := r.do("POST", path, `{"all":true,"payload":1}`); got.status != 503 || got.body != shuttingDown {
			t.Errorf("%s answered %d %s", path, got.status, got.body)
		}
	}
	if got := r.do("GET", listPath, ""); got.body != emptyList {
		t.Errorf("list answered %d %s", got.status, got.body)
	}
}

func TestCommandsAfterTheLoopsHaveEndedAreRefused(t *testing.T) {
	r := newRig(t)
	ln := newCrowd()
	r.serve(ln)
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	if err := r.sockets.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	for path, body := range map[string]string{sendPath: `{"all":true,"payload":1}`, closePath: `{"all":true}`} {
		w := ln.from(t, "127.0.0.1:1").write(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body))
		if got := w.read("POST"); got.status != 503 || got.body != shuttingDown {
			t.Errorf("%s answered %d %s", path, got.status, got.body)
		}
	}
}

func TestShutdownLetsARequestFinishAndEndsSilentConnections(t *testing.T) {
	asked := make(chan struct{})
	answered, answer := context.WithCancel(t.Context())
	r := newRig(t, func(c *Config) {
		c.Ready = func() (bool, string) { close(asked); <-answered.Done(); return true, "" }
	})
	ln := newCrowd()
	r.serve(ln)
	silent := ln.from(t, "127.0.0.1:1")
	idle := ln.from(t, "127.0.0.1:2").write("GET " + countPath + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
	idle.read("GET")
	busy := ln.from(t, "127.0.0.1:3").write("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	<-asked
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		done <- r.admin.Shutdown(ctx)
	}()
	silent.ended()
	idle.ended()
	answer()
	if got := busy.read("GET"); got.status != 200 {
		t.Errorf("the request under way was answered with %d %q", got.status, got.body)
	}
	busy.ended()
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := r.admin.Serve(newCrowd()); err != nil {
		t.Errorf("Serve after Shutdown: %v", err)
	}
}

func TestShutdownCutsWhatDoesNotFinish(t *testing.T) {
	r := newRig(t)
	ln := newCrowd()
	r.serve(ln)
	w := ln.from(t, "127.0.0.1:1").write("POST " + sendPath + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
	await(t, "the head to be read", func() bool { return r.admin.conns.Counts().Busy == 1 })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.admin.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
	w.ended()
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	r := newRig(t)
	for name, change := range map[string]func(*Config){
		"no hub":            func(c *Config) { c.Hub = nil },
		"no socket figures": func(c *Config) { c.Sockets = nil },
		"client path taken": func(c *Config) { c.ClientPath = "/Tapr/ws/conn/send/" },
		"bad token":         func(c *Config) { c.Token = "a b" },
		"negative limit":    func(c *Config) { c.MaxBodyBytes = -1 },
	} {
		cfg := r.admin.cfg
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
